//! The block before a hash tree, which says how the tree was made.
//!
//! Source: cryptsetup's `struct verity_sb` (its `lib/verity/verity.c`), version 1.

use uuid::Uuid;

use super::{BLOCK, MOST_SALT};

const MAGIC: &[u8] = b"verity\0\0";
/// The version of the superblock.
const VERSION: u32 = 1;
/// The salt comes before the data, not after it.
const HASH_TYPE: u32 = 1;
const ALGORITHM: &[u8] = b"sha256";

/// What a tree's superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The tree's identifier.
    pub uuid: Uuid,
    /// Blocks of data that the tree covers.
    pub data_blocks: u64,
    /// Hashed before every block: 0 to 256 bytes.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// The block to write.
    pub(super) fn to_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &HASH_TYPE.to_le_bytes());
        put(16, self.uuid.as_bytes());
        put(32, ALGORITHM);
        put(64, &(BLOCK as u32).to_le_bytes());
        put(68, &(BLOCK as u32).to_le_bytes());
        put(72, &self.data_blocks.to_le_bytes());
        put(80, &(self.salt.len() as u16).to_le_bytes());
        put(88, &self.salt);
        block
    }

    /// What a block says, if it is a superblock for trees of the kind that this program makes.
    pub(super) fn from_block(block: &[u8; BLOCK]) -> Option<Self> {
        let field = |at: usize, size: usize| &block[at..at + size];
        let known = field(0, 8) == MAGIC
            && field(8, 4) == VERSION.to_le_bytes()
            && field(12, 4) == HASH_TYPE.to_le_bytes()
            && field(32, 6) == ALGORITHM
            && field(38, 26).iter().all(|byte| *byte == 0)
            && field(64, 4) == (BLOCK as u32).to_le_bytes()
            && field(68, 4) == (BLOCK as u32).to_le_bytes();
        let salt = usize::from(u16::from_le_bytes([block[80], block[81]]));
        if !known || salt > MOST_SALT {
            return None;
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(field(16, 16));
        let mut blocks = [0; 8];
        blocks.copy_from_slice(field(72, 8));
        Some(Self {
            uuid: Uuid::from_bytes(uuid),
            data_blocks: u64::from_le_bytes(blocks),
            salt: field(88, salt).to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            uuid: u128,
            data_blocks: u64,
            salt in proptest::collection::vec(any::<u8>(), 0..=MOST_SALT),
        ) {
            let superblock = Superblock { uuid: Uuid::from_u128(uuid), data_blocks, salt };
            prop_assert_eq!(
                Superblock::from_block(&superblock.to_block()),
                Some(superblock.clone())
            );
        }

        #[test]
        fn no_block_is_too_odd_to_look_at(
            start in proptest::collection::vec(any::<u8>(), 100),
            good_until in 0_usize..100,
        ) {
            let mut block = Superblock { uuid: Uuid::nil(), data_blocks: 1, salt: vec![1; 32] }
                .to_block();
            block[good_until..100].copy_from_slice(&start[good_until..]);
            if let Some(read) = Superblock::from_block(&block) {
                prop_assert!(read.salt.len() <= MOST_SALT);
            }
        }
    }

    #[test]
    fn foreign_superblocks_are_not_taken() {
        let good = Superblock {
            uuid: Uuid::nil(),
            data_blocks: 1,
            salt: Vec::new(),
        }
        .to_block();
        assert!(Superblock::from_block(&good).is_some());
        for at in [0, 8, 12, 32, 40, 65, 69, 81] {
            let mut block = good;
            block[at] ^= 0xff;
            assert_eq!(Superblock::from_block(&block), None, "{at}");
        }
    }
}
