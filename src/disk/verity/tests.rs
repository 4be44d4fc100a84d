use std::sync::Arc;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::uuid;

use super::*;
use crate::host::{Cancel, Quiet, Recorder};

fn host() -> Host {
    let runner = Arc::new(Recorder::default());
    Host::new(runner, Arc::new(Quiet), Cancel::default())
}

fn superblock(salt: &[u8]) -> Superblock {
    Superblock {
        uuid: uuid!("00112233-4455-6677-8899-aabbccddeeff"),
        data_blocks: 0,
        salt: salt.to_vec(),
    }
}

/// Blocks that all differ, by a rule that other programs can follow too.
fn pattern(blocks: usize) -> Vec<u8> {
    let byte = |block: usize, at: usize| (block * 7 + at * 31 + (at >> 8)) as u8;
    (0..blocks)
        .flat_map(|block| (0..BLOCK).map(move |at| byte(block, at)))
        .collect()
}

fn file_of(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn place<'a>(data: &'a File, hashes: &'a File) -> Place<'a> {
    Place {
        data,
        data_offset: 0,
        data_size: data.metadata().unwrap().len(),
        hashes,
        hash_offset: 0,
    }
}

fn sha256_of(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    hash_text(&Sha256::digest(bytes).into())
}

/// Root hashes, and SHA-256 of everything that was written, of version 2.6.1 of
/// `veritysetup format --salt … --uuid 00112233-4455-6677-8899-aabbccddeeff`.
#[test]
fn trees_are_those_of_veritysetup() {
    let salt: Vec<u8> = (0..32).collect();
    for (blocks, salt, root_hash, written) in [
        (
            1,
            &*salt,
            "d41da291cf4a12f90866b4e4f6857e58c8a2bcdd5df53b9bdeaf42cab771d9ea",
            "65d91df5f86d11c33b49464fa434156904972bd8fae1d81ffe21eaae7d1554f2",
        ),
        (
            1,
            &[],
            "470d1b89fc75293c6793ec18ae42d29a06e47c26fde262729975d35de66bc5b1",
            "eff901018b9b6ab066f4cf9072bd3986d26605376d22425924910fac0b48b661",
        ),
        (
            2,
            &*salt,
            "a580de24e370005e1c3ed08b8629599ebfd04d89ba8c15b11d8b3029d59bb869",
            "0a40a4224a9be15e2aeee97af269ff63e0d4f074e363b19378b6dbe7c3b70dbe",
        ),
        (
            128,
            &*salt,
            "4f6e68ae833675463a2e5931706b89a17a0819b6cdec48318ead6bce546d4ee0",
            "a7dbf8c6b0ca53c7816f3d66df7a3be33bd5aa3bf4129bc3318b0f2f842e981e",
        ),
        (
            129,
            &*salt,
            "6fdcb167dcaf8dfac8ea52068b623cbb5503860f54a78fd76edfee13bd530938",
            "f46332fb645c3d842ff16e40018a9fad8da0024e6dcd1e5caf525cb3221f93c0",
        ),
        (
            129,
            &[],
            "836e753bb1f935457c7c64798dd9c74f81463c9f2bce503f29648c7b60fa4e65",
            "722524dd964fc7e9c19b2d2cce6f3f699b679649f94338ee073487f232af6cf0",
        ),
        (
            300,
            &*salt,
            "fec13ec90cf263e5aed2a76ddd9a86137e2aa8c39d3e30370d94d7399216239f",
            "fbe114b1b680dc65667c7fd077508cd58364d8b2977a828b7f5cd9512b7e98c1",
        ),
    ] {
        let (data, hashes) = (file_of(&pattern(blocks)), tempfile::tempfile().unwrap());
        let place = place(&data, &hashes);
        let root = place.build(superblock(salt), &host()).unwrap();
        assert_eq!(hash_text(&root), root_hash, "{blocks}");
        assert_eq!(sha256_of(&hashes), written, "{blocks}");
        assert_eq!(
            hashes.metadata().unwrap().len(),
            hash_size(place.data_size),
            "{blocks}"
        );
        place.check(&root, &host()).unwrap();
    }
}

#[test]
fn holes_hash_like_zeros() {
    let blocks = 5000;
    let mut bytes = vec![0; blocks * BLOCK];
    let data = tempfile::tempfile().unwrap();
    data.set_len(bytes.len() as u64).unwrap();
    for block in [0, 130, 131, 4000] {
        bytes[block * BLOCK..][..BLOCK].copy_from_slice(&pattern(1));
        data.write_all_at(&pattern(1), (block * BLOCK) as u64)
            .unwrap();
    }
    let build = |data: &File| {
        let hashes = tempfile::tempfile().unwrap();
        let root = place(data, &hashes)
            .build(superblock(&[7; 32]), &host())
            .unwrap();
        (root, sha256_of(&hashes))
    };
    assert_eq!(build(&file_of(&bytes)), build(&data));
}

#[test]
fn neighbours_of_the_data_do_not_matter() {
    let bytes = pattern(20);
    let apart = file_of(&bytes);
    let hashes = tempfile::tempfile().unwrap();
    let alone = place(&apart, &hashes)
        .build(superblock(&[1; 32]), &host())
        .unwrap();
    let image = file_of(&[&[9; 3 * BLOCK], &*bytes, &[9; 2 * BLOCK]].concat());
    let together = Place {
        data: &image,
        data_offset: 3 * BLOCK as u64,
        data_size: bytes.len() as u64,
        hashes: &image,
        hash_offset: 30 * BLOCK as u64,
    };
    assert_eq!(
        together.build(superblock(&[1; 32]), &host()).unwrap(),
        alone
    );
    together.check(&alone, &host()).unwrap();
}

#[test]
fn every_changed_byte_is_noticed() {
    let blocks = 140;
    let (data, hashes) = (file_of(&pattern(blocks)), tempfile::tempfile().unwrap());
    let place = place(&data, &hashes);
    let root = place.build(superblock(&[3; 32]), &host()).unwrap();
    let changed = |file: &File, at: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let result = place.check(&root, &host());
        file.write_all_at(&byte, at).unwrap();
        result
    };
    for at in [0, 4095, 128 * 4096, 140 * 4096 - 1] {
        let error = changed(&data, at).unwrap_err();
        assert!(matches!(error, VerityError::Changed), "data {at}: {error}");
    }
    // The salt, then all three blocks of the tree.
    for at in [88, 4096, 2 * 4096 + 5, 3 * 4096 + 12 * 32 - 1] {
        let error = changed(&hashes, at).unwrap_err();
        assert!(
            matches!(error, VerityError::Changed),
            "hashes {at}: {error}"
        );
    }
    for at in [0, 16 + 56] {
        let error = changed(&hashes, at).unwrap_err();
        assert!(matches!(error, VerityError::NoTree), "{at}: {error}");
    }
    place.check(&root, &host()).unwrap();
    let error = place.check(&[0; 32], &host()).unwrap_err();
    assert!(matches!(error, VerityError::Changed));
}

#[test]
fn sizes_that_are_no_blocks_and_interruptions() {
    let (data, hashes) = (file_of(&[1; 5000]), tempfile::tempfile().unwrap());
    let odd = place(&data, &hashes);
    let error = odd.build(superblock(&[]), &host()).unwrap_err();
    assert!(matches!(error, VerityError::Size(5000)));
    let empty = Place {
        data_size: 0,
        ..odd
    };
    let error = empty.build(superblock(&[]), &host()).unwrap_err();
    assert!(matches!(error, VerityError::Size(0)));
    let good = Place {
        data_size: 4096 * 2,
        ..odd
    };
    data.set_len(4096 * 2).unwrap();
    let host = host();
    host.cancel.cancel();
    let error = good.build(superblock(&[]), &host).unwrap_err();
    assert!(matches!(error, VerityError::Cancelled));
}

#[test]
fn sizes_of_trees() {
    for (blocks, expected) in [
        (1, vec![]),
        (2, vec![1]),
        (128, vec![1]),
        (129, vec![2, 1]),
        (128 * 128, vec![128, 1]),
        (128 * 128 + 1, vec![129, 2, 1]),
    ] {
        assert_eq!(levels(blocks), expected, "{blocks} blocks");
    }
    assert_eq!(hash_size(4096), 4096);
    assert_eq!(hash_size(129 * 4096), 4 * 4096);
    // 20 GB take 1/128 of that, and 1/128 of that, and so on.
    assert_eq!(hash_size(20 << 30) / 4096, 1 + 40_960 + 320 + 3 + 1);
}

proptest! {
    #[test]
    fn hashes_are_read_as_they_are_written(hash: [u8; 32]) {
        let text = hash_text(&hash);
        prop_assert_eq!(parse_hash(&text), Some(hash));
        prop_assert_eq!(parse_hash(&format!(" {}\n", text.to_uppercase())), Some(hash));
        prop_assert_eq!(parse_hash(&text[1..]), None);
        prop_assert_eq!(parse_hash(&text.replace(&text[..1], "g")), None);
    }

    #[test]
    fn each_level_holds_the_digests_of_the_one_below(data_blocks in 1_u64..1 << 48) {
        let levels = levels(data_blocks);
        let mut below = data_blocks;
        for &level in &levels {
            prop_assert!(level * FAN_OUT >= below && (level - 1) * FAN_OUT < below);
            below = level;
        }
        prop_assert_eq!(below, 1);
        prop_assert!(levels.len() as u32 <= data_blocks.ilog(FAN_OUT) + 1);
        let size = hash_size(data_blocks * BLOCK as u64);
        prop_assert_eq!(size / BLOCK as u64, 1 + levels.iter().sum::<u64>());
    }
}
