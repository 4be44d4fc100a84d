//! Steps of making disk images as commands, for `scripts/bench` to measure beside other programs.
//!
//! ```text
//! disk verity DATA TREE              the hash tree of a file, in another file
//! disk image TREE IMAGE [encrypted] [sealed] [GIGABYTES]
//!                                    an ext4 image of a directory
//! ```

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use mkosi::disk::verity::{Place, Superblock, hash_text};
use mkosi::disk::{
    Architecture, Content, DiskSpec, FileSystem, Files, Filling, Partition, PartitionKind,
    Passphrase, Seed, Site, Size, assemble,
};
use mkosi::host::{Cancel, Host, HostRunner, Quiet};
use mkosi::tree::{Root, measure};
use uuid::Uuid;
use zeroize::Zeroizing;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds a flag of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
    match *words {
        ["verity", data, tree] => verity(Path::new(data), Path::new(tree), &host),
        ["image", tree, image, ref words @ ..] => {
            make_image(Path::new(tree), Path::new(image), words, &host)
        }
        _ => {
            println!("run by scripts/bench");
            Ok(())
        }
    }
}

fn verity(data: &Path, tree: &Path, host: &Host) -> Result<(), Box<dyn Error>> {
    let data = File::open(data)?;
    let hashes = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(tree)?;
    let place = Place {
        data_offset: 0,
        data_size: data.metadata()?.len(),
        data: &data,
        hashes: &hashes,
        hash_offset: 0,
    };
    let superblock = Superblock {
        uuid: Uuid::from_u128(1),
        data_blocks: 0,
        salt: vec![7; 32],
    };
    println!("Root hash: {}", hash_text(&place.build(superblock, host)?));
    Ok(())
}

fn make_image(
    tree: &Path,
    image: &Path,
    words: &[&str],
    host: &Host,
) -> Result<(), Box<dyn Error>> {
    let size = measure(&Root::open(tree)?, Path::new(""), &[], &host.cancel)?;
    let filling = Filling::Files(Files {
        file_system: FileSystem::Ext4,
        directory: None,
        content: Content::roughly(size.data_bytes, size.inodes, size.dirs),
    });
    let gigabytes = words.iter().find_map(|word| word.parse::<u64>().ok());
    let size = gigabytes.map_or(Size::Automatic, |number| Size::Fixed(number << 30));
    let mut root = Partition::new(PartitionKind::Root, size, filling);
    root.encrypted = words.contains(&"encrypted");
    let mut spec = DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(1)));
    spec.verity = words.contains(&"sealed");
    spec.partitions = vec![root];
    let scratch = tempfile::tempdir_in(image.parent().unwrap_or(Path::new(".")))?;
    let site = Site {
        tree,
        output: image,
        scratch: scratch.path(),
        booting: None,
        passphrase: Some(&Passphrase::new(Zeroizing::new(b"benchmark".to_vec()))),
    };
    assemble(&spec, &site, host)?;
    Ok(())
}
