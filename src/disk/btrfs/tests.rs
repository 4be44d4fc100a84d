//! The command line of mkfs.btrfs.

use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::disk::PartitionKind;

#[test]
fn command_line() {
    let content = Content::default();
    let volume = |read_only| Volume {
        kind: PartitionKind::Home,
        tree: Path::new("TREE"),
        content: &content,
        read_only,
        minimal: false,
        uuid: Uuid::from_u128(1),
        hash_seed: Uuid::nil(),
        latest: None,
        zeroed: true,
        scratch: Path::new("SCRATCH"),
    };
    for (read_only, known, expected) in [
        (false, "", "-d single -m dup"),
        (
            true,
            "no-holes            - no explicit hole extents\n\
             free-space-tree     - free space tree\n\
             block-group-tree    - block group tree\n",
            "-d single -m single -O 'no-holes,free-space-tree,^block-group-tree'",
        ),
    ] {
        assert_eq!(
            command(&volume(read_only), Uuid::from_u128(2), known).to_string(),
            format!(
                "mkfs.btrfs -q -f -K -L home -U 00000000-0000-0000-0000-000000000002 {expected}"
            )
        );
    }
}
