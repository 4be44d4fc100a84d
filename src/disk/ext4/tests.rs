//! The command line of mkfs.ext4 and what is made of its failures.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::disk::{Content, PartitionKind};
use crate::host::{Cancel, Quiet, Recorder};

/// Makes a file system on paper: commands whose line has the first text in it fail with the second.
fn run(
    size: u64,
    read_only: bool,
    content: &Content,
    failure: Option<(&str, &str)>,
) -> (DiskError, Vec<String>) {
    let recorder = Arc::new(Recorder::default());
    if let Some((fragment, message)) = failure {
        recorder.fail(fragment, 1, message);
    }
    let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(size + (2 << 20)).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let volume = Volume {
        kind: PartitionKind::Root,
        tree: tree.path(),
        content,
        read_only,
        minimal: false,
        uuid: Uuid::from_u128(1),
        hash_seed: Uuid::from_u128(2),
        latest: Some(0),
        zeroed: true,
        scratch: Path::new("/nonexistent"),
    };
    let place = Place {
        file: image.path(),
        offset: 1 << 20,
        size,
    };
    // The file stays empty, so the end is always an error; which one depends on the answers.
    let error = make(&place, &volume, &host).unwrap_err();
    let lines = recorder
        .lines()
        .iter()
        .map(|line| {
            line.replace(image.path().to_str().unwrap(), "IMAGE")
                .replace(tree.path().to_str().unwrap(), "TREE")
        })
        .collect();
    (error, lines)
}

#[test]
fn command_line() {
    let (error, lines) = run(1 << 30, false, &Content::default(), None);
    assert!(matches!(error, DiskError::Unexpected { .. }), "{error}");
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    let from = line.find("mkfs.ext4").unwrap();
    assert_eq!(
        &line[from..],
        "mkfs.ext4 -q -F -b 4096 -I 256 -N 65536 -m 5 -L root \
         -U 00000000-0000-0000-0000-000000000001 \
         -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,\
         sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum -J size=32 \
         -E offset=1048576,nodiscard,hash_seed=00000000-0000-0000-0000-000000000002,\
         assume_storage_prezeroed=1 -d TREE IMAGE 262144"
    );
}

#[test]
fn read_only_has_no_journal_and_reserves_nothing() {
    let (_, lines) = run(64 << 20, true, &Content::default(), None);
    assert!(lines[0].contains(" -m 0 "));
    assert!(lines[0].contains("-O none,ext_attr,"));
    assert!(!lines[0].contains("-J"));
}

#[test]
fn an_older_program_is_asked_again_without_what_it_does_not_know() {
    let (_, lines) = run(
        1 << 30,
        false,
        &Content::default(),
        Some((
            "prezeroed",
            "Bad option(s) specified: assume_storage_prezeroed",
        )),
    );
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains("000002,lazy_itable_init=1,lazy_journal_init=1 "));
}

#[test]
fn too_small_is_refused_before_anything_runs() {
    let content = Content::roughly(300 << 20, 1000, 100);
    let (error, lines) = run(100 << 20, false, &content, None);
    assert_eq!(
        error.to_string(),
        "the root partition has 100M but its files need 324M; set RootSize=324M or more"
    );
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn failures_say_what_to_do() {
    for (tail, message) in [
        (
            "__populate_fs: Could not allocate block in ext2 filesystem while writing file \"x\"",
            "the root partition of 1G was full before all its files were in it; they need up to 1.1G: \
             set RootSize=1.1G or more",
        ),
        (
            "mkfs.ext4: No space left on device while writing",
            "no space is left on the disk in /",
        ),
        ("something else", "cannot make the root file system"),
    ] {
        let (error, _) = run(1 << 30, false, &Content::default(), Some(("mkfs", tail)));
        let said = error.to_string();
        match error {
            // How much is free is the machine's business.
            DiskError::HostFull(_) => assert!(said.starts_with(message), "{said}"),
            _ => assert_eq!(said, message),
        }
    }
}

#[test]
fn tree_must_be_a_directory() {
    let link = tempfile::tempdir().unwrap();
    let path = link.path().join("link");
    std::os::unix::fs::symlink("/", &path).unwrap();
    assert!(matches!(
        root_directory(&path, None),
        Err(DiskError::Io { doing: "read", .. })
    ));
}
