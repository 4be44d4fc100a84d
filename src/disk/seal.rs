//! Protects a finished root partition: its hash tree, and the identifiers that follow from it.

use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use super::attach::partitions;
use super::layout::{Attributes, GRAIN, Layout, Request, round_up};
use super::types::type_uuid;
use super::verity::{Hash, Place, Superblock, VerityError, hash_size};
use super::{Architecture, DiskError, PartitionKind, Seed};
use crate::host::Host;

/// Writes the hash tree of the root partition into its own partition. As the Discoverable Partitions
/// Specification has it, the first half of the root hash becomes the identifier of the root
/// partition and the second half that of the tree's, so that who knows the hash finds both.
///
/// The root partition must be finished: a byte that is changed later makes it unreadable.
pub(super) fn seal(
    image: &File,
    path: &Path,
    layout: &mut Layout,
    seed: Seed,
    host: &Host,
) -> Result<Option<Hash>, DiskError> {
    let Some(place) = place(image, layout) else {
        return Ok(None);
    };
    let superblock = Superblock {
        uuid: seed.file_system(PartitionKind::RootVerity),
        data_blocks: 0,
        salt: seed.salt(PartitionKind::Root).to_vec(),
    };
    let hash = place
        .build(superblock, host)
        .map_err(|source| error(path, source))?;
    let (root, tree) = identifiers(&hash);
    layout.set_uuid(PartitionKind::Root, root);
    layout.set_uuid(PartitionKind::RootVerity, tree);
    Ok(Some(hash))
}

/// The partition for the hash tree over the root partition among `requests`.
pub(super) fn request(requests: &[Request], seed: Seed) -> Option<Request> {
    let root = requests
        .iter()
        .find(|request| request.kind == PartitionKind::Root)?;
    let data = round_up(root.size, GRAIN)?;
    Some(Request {
        kind: PartitionKind::RootVerity,
        size: hash_size(data),
        size_is_minimum: root.size_is_minimum,
        uuid: seed.partition(PartitionKind::RootVerity),
        // Nothing ever writes to a hash tree.
        attributes: Attributes {
            read_only: true,
            ..Attributes::default()
        },
    })
}

fn place<'a>(image: &'a File, layout: &Layout) -> Option<Place<'a>> {
    let root = layout.slot(PartitionKind::Root)?;
    let tree = layout.slot(PartitionKind::RootVerity)?;
    Some(Place {
        data: image,
        data_offset: root.offset,
        data_size: root.size,
        hashes: image,
        hash_offset: tree.offset,
    })
}

fn error(image: &Path, source: VerityError) -> DiskError {
    match source {
        VerityError::Cancelled => DiskError::Cancelled,
        VerityError::Io(source) => DiskError::io(
            "read or write the hash tree of the root partition in",
            image,
        )(source),
        source => DiskError::Verity {
            image: image.to_owned(),
            source,
        },
    }
}

/// The identifiers of a root partition and of its hash tree's.
pub(super) fn identifiers(hash: &Hash) -> (Uuid, Uuid) {
    let (mut first, mut second) = ([0; 16], [0; 16]);
    first.copy_from_slice(&hash[..16]);
    second.copy_from_slice(&hash[16..]);
    (Uuid::from_bytes(first), Uuid::from_bytes(second))
}

/// Checks all of an image's root partition, and its hash tree, against the root hash.
///
/// # Errors
/// [`DiskError::Changed`] when anything differs.
pub fn verify(
    image: &Path,
    architecture: Architecture,
    hash: &Hash,
    host: &Host,
) -> Result<(), DiskError> {
    let found = partitions(image)?;
    let slot = |kind| {
        let wanted = type_uuid(kind, architecture);
        found.iter().find(|slot| slot.type_uuid == wanted)
    };
    let missing = || DiskError::Verity {
        image: image.to_owned(),
        source: VerityError::NoTree,
    };
    let root = slot(PartitionKind::Root).ok_or_else(missing)?;
    let tree = slot(PartitionKind::RootVerity).ok_or_else(missing)?;
    let file = File::open(image).map_err(DiskError::io("open", image))?;
    let place = Place {
        data: &file,
        data_offset: root.offset,
        data_size: root.size,
        hashes: &file,
        hash_offset: tree.offset,
    };
    place.check(hash, host).map_err(|source| match source {
        VerityError::Changed => DiskError::Changed {
            image: image.to_owned(),
        },
        source => error(image, source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_the_halves_of_the_hash_as_it_is_written() {
        let mut hash = [0; 32];
        for (index, byte) in (0..).zip(&mut hash) {
            *byte = index;
        }
        let (root, tree) = identifiers(&hash);
        assert_eq!(root.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(tree.to_string(), "10111213-1415-1617-1819-1a1b1c1d1e1f");
    }
}
