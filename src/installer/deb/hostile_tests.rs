//! Packages that nobody would make by mistake: none of them reaches outside, or takes more memory than
//! there is.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::fuzzing::mend;

/// What a package of these two archives leads to.
fn problem_of(scene: &Scene, control: &[u8], data: &[u8]) -> String {
    let path = scene.dir.path().join("x.deb");
    fs::write(&path, deb(control, data)).unwrap();
    let unpacked = Package::read(path)
        .map_err(Failed::Package)
        .and_then(|package| scene.unpack(0, &package, Way::Usual));
    match unpacked {
        Err(Failed::Package(fault)) => {
            let source = fault.source.map(|e| e.to_string()).unwrap_or_default();
            format!("{}: {source}", fault.problem)
        }
        other => format!("{other:?}"),
    }
}

fn control() -> Vec<u8> {
    tar(&[("./control", CONTROL), ("./md5sums", "")])
}

/// So many zeros, in next to nothing.
fn zeros(mebibytes: u64) -> Vec<u8> {
    zstd::encode_all(std::io::repeat(0).take(mebibytes << 20), 1).unwrap()
}

/// An xz file that asks for a dictionary of this size, in the format's way of saying it.
fn xz_with_dictionary(size: u8) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(&control()[..], 0)
        .read_to_end(&mut packed)
        .unwrap();
    // After the stream's header of 12 bytes: the block header's size in words, flags, the filter and the
    // size of its properties, which are this byte. A checksum ends the header.
    let end = 12 + usize::from(packed[12]) * 4;
    assert_eq!(packed[14..16], [0x21, 1]);
    packed[16] = size;
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&packed[12..end]);
    packed[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    packed
}

#[test]
fn refuses_what_would_take_all_memory_or_for_ever() {
    let scene = Scene::new();
    let fine = tar(&[("./a", "x")]);
    let large = format!("{CONTROL}Description: {}\n", "x".repeat(40 << 20));
    // A frame with a window of 2 GiB that holds nothing.
    let window: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0];
    for (control, data, expected) in [
        (zeros(64), fine.clone(), "too much follows the end"),
        (control(), zeros(64), "too much follows the end"),
        (tar(&[("./control", &large)]), fine.clone(), "too large"),
        (window.to_vec(), fine.clone(), "memory"),
        (control(), window.to_vec(), "memory"),
        (xz_with_dictionary(40), fine.clone(), "memory"),
        (control(), xz_with_dictionary(37), "memory"),
    ] {
        let problem = problem_of(&scene, &control, &data);
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    // As dpkg-deb's strongest setting has it.
    let problem = problem_of(&scene, &xz_with_dictionary(28), &fine);
    assert!(problem.starts_with("Ok("), "{problem}");
}

#[test]
fn a_control_file_of_many_fields_takes_no_time() {
    let mut text = String::from(CONTROL);
    for number in 0..200_000 {
        text.push_str(&format!("F{number}: x\n"));
    }
    let begun = Instant::now();
    let problem = problem_of(&Scene::new(), &tar(&[("./control", &text)]), &tar(&[]));
    assert!(problem.starts_with("Ok("), "{problem}");
    assert!(begun.elapsed().as_secs() < 60);
}

#[test]
fn refuses_a_crowd_of_control_files_and_records_for_everyone() {
    let scene = Scene::new();
    let names: Vec<String> = (0..1100).map(|number| format!("./f{number}")).collect();
    let mut many: Vec<(&str, &str)> = vec![("./control", CONTROL)];
    many.extend(names.iter().map(|name| (name.as_str(), "")));
    let problem = problem_of(&scene, &tar(&many), &tar(&[]));
    assert!(problem.contains("too many files"), "{problem}");
    let twice = tar(&[("./control", CONTROL), ("./control", CONTROL)]);
    let problem = problem_of(&scene, &twice, &tar(&[]));
    assert!(problem.contains("twice"), "{problem}");

    let value = "x".repeat(40_000);
    let mut records = Vec::new();
    for key in ["a", "b"] {
        // The length counts itself.
        let record = format!("40009 {key}={value}\n");
        assert_eq!(record.len(), 40_009);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XGlobalHeader);
        header.set_size(record.len() as u64);
        header.set_path("x").unwrap();
        header.set_cksum();
        records.extend(header.as_bytes());
        records.extend(record.as_bytes());
        records.resize(records.len().next_multiple_of(512), 0);
    }
    let data = [records, tar(&[("./a", "x")])].concat();
    let problem = problem_of(&scene, &control(), &data);
    assert!(problem.contains("pax header of 40009 bytes"), "{problem}");
}

#[test]
fn control_characters_are_never_told_raw() {
    for name in [
        "./\u{1b}[31mred",
        "./\u{7}bell",
        "./\u{9b}1m",
        "./a\rb",
        "./\u{202e}b",
    ] {
        let problem = Scene::new().problem(&[], &[(name, "x"), (name, "y")]);
        assert!(problem.contains("twice"), "{problem}");
        let raw = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!problem.contains(raw), "{problem:?}");
    }
}

/// Names that packages may try, made of these steps.
const STEPS: [&str; 9] = [
    "..",
    ".",
    "",
    "a",
    "b",
    "lib",
    "usr",
    "@OUTSIDE",
    "mkosi-hostile",
];

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&STEPS[..]), 1..5).prop_map(|steps| steps.join("/"))
}

/// Name, what it is, and where it leads.
fn member() -> impl Strategy<Value = (String, u8, String)> {
    (name(), 0..4_u8, name())
}

/// Everything beneath a directory, with contents of files.
fn everything(directory: &Path) -> BTreeSet<(std::path::PathBuf, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(directory).into_iter().flatten();
    entries
        .map(|entry| {
            let is_file = entry.file_type().is_file();
            let content = if is_file {
                fs::read(entry.path()).unwrap()
            } else {
                Vec::new()
            };
            (entry.into_path(), content)
        })
        .collect()
}

/// A tree beside a directory that is nobody's business.
fn scene_with_outside() -> (Scene, std::path::PathBuf) {
    let scene = Scene::new();
    let outside = scene.dir.path().join("o");
    fs::create_dir_all(outside.join("a/b")).unwrap();
    fs::write(outside.join("mkosi-hostile"), "mine").unwrap();
    (scene, outside)
}

/// Damage: where, and what is done there.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..6)
}

fn apply(bytes: &mut Vec<u8>, damage: &[(prop::sample::Index, u8, u8)]) {
    for (index, kind, value) in damage {
        if bytes.is_empty() {
            return;
        }
        let at = index.index(bytes.len());
        match kind {
            0 => bytes[at] ^= value,
            1 => bytes[at] = *value,
            2 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(*value)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_names_lead_outside(packages in prop::collection::vec(prop::collection::vec(member(), 1..6), 1..4)) {
        let (scene, outside) = scene_with_outside();
        let before = everything(&outside);
        let replaced = |name: &str| name.replace("@OUTSIDE", &outside.to_string_lossy());
        for (number, members) in packages.iter().enumerate() {
            let members: Vec<String> = members
                .iter()
                .map(|(name, kind, target)| {
                    let (name, target) = (replaced(name), replaced(target));
                    match kind {
                        0 => name,
                        1 => format!("{name}/"),
                        2 => format!("{name} -> {target}"),
                        _ => format!("{name} => {target}"),
                    }
                })
                .filter(|member| member.len() < 100)
                .collect();
            let data: Vec<(&str, &str)> = members.iter().map(|m| (m.as_str(), "theirs")).collect();
            let package = scene.package(&[("./md5sums", "")], &data);
            let _ = scene.unpack(number, &package, Way::First);
        }
        prop_assert_eq!(before, everything(&outside));
        prop_assert!(!Path::new("/mkosi-hostile").exists());
        let beside = fs::read_dir(scene.dir.path()).unwrap().count();
        prop_assert_eq!(beside, 3, "tree, package, outside");
    }

    #[test]
    fn damage_is_an_error_or_harmless(
        in_control in damage(),
        in_data in damage(),
        in_package in damage(),
        mended in any::<bool>(),
    ) {
        let (scene, outside) = scene_with_outside();
        let before = everything(&outside);
        let mut control = tar(&[
            ("./", ""),
            ("./control", CONTROL),
            ("./conffiles", "/etc/x\n"),
            ("./md5sums", ""),
            ("./preinst", "#!/bin/sh\n"),
            ("./triggers", "interest /usr/x\n"),
        ]);
        let mut data = tar(&[
            ("./", ""),
            ("./etc/", ""),
            ("./etc/x", "settings"),
            ("./usr/lib/x", "content"),
            ("./usr/lib/twin => ./usr/lib/x", ""),
            ("./usr/lib/link -> ../../o", ""),
        ]);
        apply(&mut control, &in_control);
        apply(&mut data, &in_data);
        if mended {
            mend(&mut control);
            mend(&mut data);
        }
        let mut bytes = deb(&control, &data);
        apply(&mut bytes, &in_package);
        let path = scene.dir.path().join("x.deb");
        fs::write(&path, bytes).unwrap();
        if let Ok(package) = Package::read(path) {
            let _ = scene.unpack(0, &package, Way::Usual);
            let _ = package.write_without("preinst", &scene.dir.path().join("y.deb"));
            let _ = fs::remove_file(scene.dir.path().join("y.deb"));
        }
        prop_assert_eq!(before, everything(&outside));
        let beside = fs::read_dir(scene.dir.path()).unwrap().count();
        prop_assert_eq!(beside, 3, "tree, package, outside");
    }
}
