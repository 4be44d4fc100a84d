//! What the fuzz targets kept, once more.

use std::fs;
use std::path::Path;

/// Runs a target with every input that is kept for it.
fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        // Tells which one it was.
        let outcome = std::panic::catch_unwind(|| run(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 10, "{count} inputs in {}", directory.display());
}

#[test]
fn settings() {
    replay("settings", super::settings);
}

#[test]
fn packages() {
    replay("packages", super::packages);
}

#[test]
fn readers() {
    replay("readers", super::readers);
}

#[test]
fn disks() {
    replay("disks", super::disks);
}
