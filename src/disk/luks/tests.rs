use std::sync::Arc;

use zeroize::Zeroizing;

use super::*;
use crate::disk::layout::{Attributes, Layout, Request};
use crate::disk::{Architecture, PartitionKind};
use crate::host::{Cancel, Quiet, Recorder};

fn slot(size: u64) -> Slot {
    let request = Request {
        kind: PartitionKind::Home,
        size,
        size_is_minimum: false,
        uuid: Uuid::nil(),
        attributes: Attributes::default(),
    };
    Layout::new(Architecture::X86_64, &[request], 2048)
        .unwrap()
        .slots()[0]
        .clone()
}

#[test]
fn the_clear_text_is_for_its_owner_only_and_goes() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let clear = Clear::create(&slot(100 << 20), directory.path()).unwrap();
    let place = clear.place();
    assert_eq!((place.offset, place.size), (0, 84 << 20));
    let metadata = fs::metadata(place.file).unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o777), (84 << 20, 0o600));
    let path = place.file.to_owned();
    drop(clear);
    assert!(!path.exists());
    fs::write(&path, "somebody else's").unwrap();
    assert!(Clear::create(&slot(100 << 20), directory.path()).is_err());
    assert!(path.exists());
}

#[test]
fn without_a_header_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::default());
    recorder.fail("cryptsetup", 1, "no");
    let host = Host::new(recorder, Arc::new(Quiet), Cancel::default());
    let passphrase = Passphrase::new(Zeroizing::new(b"secret".to_vec()));
    let slot = slot(20 << 20);
    let clear = Clear::create(&slot, directory.path()).unwrap();
    let path = clear.place().file.to_owned();
    let image = tempfile::tempfile().unwrap();
    let error = clear
        .encrypt_into(
            4 << 20,
            &image,
            Path::new("image.raw"),
            Uuid::nil(),
            &passphrase,
            &host,
        )
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot encrypt the home partition");
    assert!(!path.exists());
    assert_eq!(image.metadata().unwrap().len(), 0);
}

#[test]
fn a_passphrase_is_never_shown() {
    let passphrase = Passphrase::new(Zeroizing::new(b"secret".to_vec()));
    assert_eq!(format!("{passphrase:?}"), "***");
}
