//! Makes of an image what a build makes of it, for `scripts/bench` to measure as a whole command.
//!
//! usage: artifacts IMAGE [xz|zstd|gz OUTPUT] [map] [digest]

// Wrong usage ends a benchmark.
#![allow(clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use mkosi::output::{Compression, Wanted, read_image};

fn main() {
    // cargo bench adds this.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(image) = words.next() else {
        println!("usage: artifacts IMAGE [xz|zstd|gz OUTPUT] [map] [digest]");
        return;
    };
    let mut target = None;
    let (mut map, mut digest) = (false, false);
    while let Some(word) = words.next() {
        let compression = match word.as_str() {
            "xz" => Compression::Xz,
            "zstd" => Compression::Zstd,
            "gz" => Compression::Gz,
            "map" => {
                map = true;
                continue;
            }
            "digest" => {
                digest = true;
                continue;
            }
            _ => panic!("{word}: unknown word"),
        };
        let output = words.next().unwrap_or_else(|| panic!("{word}: where to?"));
        target = Some((PathBuf::from(output), compression));
    }
    let wanted = Wanted {
        compressed: target
            .as_ref()
            .map(|(path, compression)| (path.as_path(), *compression)),
        map: map.then_some(&[]),
        digest,
    };
    let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
    match read_image(&PathBuf::from(image), wanted, &host) {
        Ok(made) => {
            let blocks = made.map.map(|map| map.mapped());
            println!(
                "{:?} {blocks:?}",
                made.digest.map(|digest| digest.to_string())
            );
        }
        Err(error) => panic!("{error}"),
    }
}
