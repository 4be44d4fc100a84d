//! The command line of mkfs.xfs.

use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::disk::{Content, PartitionKind};

fn line(size: u64, content: &Content, known: &str) -> String {
    let place = Place {
        file: Path::new("IMAGE"),
        offset: 1 << 20,
        size,
    };
    command(&place, &volume(content), known).to_string()
}

fn volume(content: &Content) -> Volume<'_> {
    Volume {
        kind: PartitionKind::Root,
        tree: Path::new("TREE"),
        content,
        read_only: false,
        minimal: false,
        uuid: Uuid::from_u128(1),
        hash_seed: Uuid::nil(),
        latest: None,
        zeroed: true,
        scratch: Path::new("SCRATCH"),
    }
}

#[test]
fn command_line() {
    let known =
        "[-m crc=0|1,inobtcount=0|1,bigtime=0|1] [-i nrext64=0|1,exchange=0|1] [-n parent=0|1]";
    assert_eq!(
        line(1300 << 20, &Content::default(), known),
        "mkfs.xfs -q -f -K -L root -b size=4096 -s size=512 -d agcount=4,noalign -l size=16384b \
         -m crc=1,finobt=1,reflink=1,rmapbt=0,uuid=00000000-0000-0000-0000-000000000001,bigtime=1,inobtcount=1 \
         -i size=512,sparse=1,nrext64=0,exchange=0 -n size=4096,parent=0"
    );
    let many = Content::roughly(0, 1_000_000, 10);
    assert!(line(900 << 20, &many, "").ends_with("-i size=512,sparse=1,maxpct=100 -n size=4096"));
}

#[test]
fn too_small_is_refused_before_anything_runs() {
    let content = Content::roughly(600 << 20, 1000, 100);
    let recorder = std::sync::Arc::new(crate::host::Recorder::default());
    let host = Host::new(
        recorder.clone(),
        std::sync::Arc::new(crate::host::Quiet),
        crate::host::Cancel::default(),
    );
    let place = Place {
        file: Path::new("IMAGE"),
        offset: 0,
        size: 500 << 20,
    };
    let error = crate::disk::FileSystem::Xfs
        .make(&place, &volume(&content), &host)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the root partition has 500M but its files need 706M; set RootSize=706M or more"
    );
    assert_eq!(recorder.lines(), [""; 0]);
}
