//! The random-looking numbers of a disk image, all derived from one seed so that the same seed
//! gives the same image.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::PartitionKind;

/// Where a disk image's identifiers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(Uuid);

impl Seed {
    /// Derives everything from `seed`: a random one, or one made from the configuration.
    #[must_use]
    pub const fn new(seed: Uuid) -> Self {
        Self(seed)
    }

    /// The identifier of the whole disk.
    #[must_use]
    pub fn disk(self) -> Uuid {
        self.derive("disk")
    }

    /// The identifier of a partition in the partition table.
    #[must_use]
    pub fn partition(self, kind: PartitionKind) -> Uuid {
        self.derive(&format!("partition {}", kind.short_name()))
    }

    /// The identifier of the file system in a partition.
    #[must_use]
    pub fn file_system(self, kind: PartitionKind) -> Uuid {
        self.derive(&format!("file system {}", kind.short_name()))
    }

    /// The identifier of the LUKS header of an encrypted partition.
    #[must_use]
    pub fn encrypted(self, kind: PartitionKind) -> Uuid {
        self.derive(&format!("encrypted {}", kind.short_name()))
    }

    /// The seed of the directory hashes of the file system in a partition.
    #[must_use]
    pub fn directory_hash(self, kind: PartitionKind) -> Uuid {
        self.derive(&format!("directory hash {}", kind.short_name()))
    }

    /// What is hashed before every block of a partition that a hash tree protects.
    #[must_use]
    pub fn salt(self, kind: PartitionKind) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0.as_bytes())
            .chain_update(format!("salt {}", kind.short_name()))
            .finalize()
            .into()
    }

    fn derive(self, name: &str) -> Uuid {
        Uuid::new_v5(&self.0, name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_identifier_is_its_own_and_repeats() {
        let seed = Seed::new(Uuid::from_u128(7));
        let all = || {
            let mut all = vec![seed.disk()];
            for kind in PartitionKind::ALL {
                all.extend([
                    seed.partition(kind),
                    seed.file_system(kind),
                    seed.encrypted(kind),
                    seed.directory_hash(kind),
                ]);
            }
            all
        };
        assert_eq!(all(), all());
        assert_eq!(all().iter().collect::<HashSet<_>>().len(), all().len());
        assert_ne!(seed.disk(), Seed::new(Uuid::from_u128(8)).disk());
        assert_eq!(
            seed.salt(PartitionKind::Root),
            seed.salt(PartitionKind::Root)
        );
        assert_ne!(
            seed.salt(PartitionKind::Root),
            Seed::new(Uuid::from_u128(8)).salt(PartitionKind::Root)
        );
    }
}
