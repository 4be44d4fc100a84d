use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use super::super::testing::{ar, tar};
use std::path::Path;

use super::*;

const SHA256: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A directory with a package in it that xz takes a moment for.
struct Bench {
    directory: tempfile::TempDir,
    plain: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut state = 1u32;
        let noise: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + (state >> 26) as u8)
        })
        .take(3 << 20)
        .collect();
        let plain = tar(&[("./noise", &noise)]);
        let mut data = Vec::new();
        liblzma::read::XzEncoder::new(plain.as_slice(), 0)
            .read_to_end(&mut data)
            .unwrap();
        let control = tar(&[("./control", "Package: x\nVersion: 1\nArchitecture: all\n")]);
        let package = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar.xz", &data),
        ]);
        fs::write(directory.path().join("x.deb"), package).unwrap();
        Self { directory, plain }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("copies")
    }

    fn open(&self) -> Recompressed {
        let mut copies = Recompressed::open(self.cache()).unwrap();
        copies.room = 0;
        copies
    }

    /// The package, read from its copy if there is one.
    fn package(&self, copies: &Recompressed) -> Package {
        let package = Package::read(self.directory.path().join("x.deb")).unwrap();
        let archive = Archive {
            name: "x".into(),
            version: "1".into(),
            architecture: "all".into(),
            sha256: SHA256.into(),
            required: false,
            repository: None,
        };
        let mut packages = [package];
        copies.attach(&mut packages, &[archive]);
        let [package] = packages;
        package
    }

    /// What the second build that uses it has to do.
    fn wanted(&self) -> (Recompressed, Vec<Wanted>) {
        self.package(&self.open());
        let copies = self.open();
        let wanted = Recompressed::wanted([self.package(&copies)].iter());
        assert_eq!(wanted.len(), 1);
        (copies, wanted)
    }

    fn make(&self) {
        let (copies, wanted) = self.wanted();
        copies.make(&wanted, true, &AtomicBool::new(false));
        // A build asks for it twice.
        let state = || fs::metadata(self.cache().join(SHA256)).map(|found| state(&found));
        let before = state().ok();
        copies.make(&wanted, true, &AtomicBool::new(false));
        assert_eq!(state().ok(), before);
    }

    /// Whether a copy is used.
    fn is_used(&self) -> bool {
        let package = self.package(&self.open());
        let used = !package.archive.reserve().is_slow();
        let mut all = Vec::new();
        let mut take = |bytes: &[u8]| {
            all.extend_from_slice(bytes);
            Ok(())
        };
        package.archive.reserve().each_piece(&mut take).unwrap();
        assert!(all == self.plain);
        used
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_copy_is_made_once_and_used_from_then_on() {
    let bench = Bench::new();
    assert!(!bench.is_used());
    bench.make();
    assert!(bench.is_used());
    assert_eq!(bench.names(), [SHA256, NOTES, USED]);
    // From here on nothing else of the package is read.
    let copies = bench.open();
    let package = bench.package(&copies);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(bench.directory.path().join("x.deb"));
    file.unwrap().set_len(0).unwrap();
    let first = package.archive.data().unwrap().next().unwrap().unwrap();
    assert_eq!(first.name, b"./noise");
}

#[test]
fn what_somebody_has_changed_is_no_copy() {
    let changes: [fn(&Path); 4] = [
        |path| fs::write(path, "other").unwrap(),
        |path| {
            // The same size and time of change of its content.
            let before = fs::metadata(path).unwrap().modified().unwrap();
            let mut bytes = fs::read(path).unwrap();
            bytes[100] ^= 1;
            fs::write(path, bytes).unwrap();
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(before).unwrap();
        },
        |path| {
            let beside = path.with_extension("beside");
            fs::copy(path, &beside).unwrap();
            fs::rename(beside, path).unwrap();
        },
        |path| {
            let elsewhere = path.parent().unwrap().with_extension("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(elsewhere, path).unwrap();
        },
    ];
    for change in changes {
        let bench = Bench::new();
        bench.make();
        change(&bench.cache().join(SHA256));
        assert!(!bench.is_used());
        assert_eq!(bench.names(), [NOTES, USED]);
        bench.make();
        assert!(bench.is_used());
    }
}

#[test]
fn what_a_dead_build_left_and_what_is_old_is_removed() {
    let bench = Bench::new();
    bench.make();
    fs::write(bench.cache().join(".tmpAbCdEf"), "half a copy").unwrap();
    // The line of a copy that was made when the disk became full.
    let mut notes = OpenOptions::new()
        .append(true)
        .open(bench.cache().join(NOTES))
        .unwrap();
    notes.write_all(b"\n0011 12:3").unwrap();
    drop(notes);
    assert!(bench.is_used());
    assert_eq!(bench.names(), [SHA256, NOTES, USED]);
    let text = fs::read_to_string(bench.cache().join(NOTES)).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");

    let path = bench.cache().join(SHA256);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let then = SystemTime::now() - DAY * (OLD + 1);
    file.set_modified(then).unwrap();
    let noted = format!("{SHA256} {}\n", state(&file.metadata().unwrap()));
    fs::write(bench.cache().join(NOTES), noted).unwrap();
    assert!(!bench.is_used());
    assert_eq!(bench.names(), [NOTES, USED]);
}

#[test]
fn nothing_is_left_of_a_copy_that_is_not_wanted_any_more() {
    let bench = Bench::new();
    let (copies, wanted) = bench.wanted();
    let stop = AtomicBool::new(true);
    copies.make_one(&wanted[0], &stop).unwrap_err();
    copies.make(&wanted, true, &stop);
    assert_eq!(bench.names(), [USED]);
}

#[test]
fn a_damaged_package_has_no_copy() {
    let bench = Bench::new();
    let path = bench.directory.path().join("x.deb");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    bench.make();
    assert_eq!(bench.names(), [USED]);
}

#[test]
fn a_full_disk_gets_no_copies() {
    let bench = Bench::new();
    let (mut copies, wanted) = bench.wanted();
    copies.room = u64::MAX;
    copies.make(&wanted, true, &AtomicBool::new(false));
    assert_eq!(bench.names(), [USED]);
}

#[test]
fn what_is_used_once_has_no_copy() {
    let bench = Bench::new();
    let package = bench.package(&bench.open());
    assert!(Recompressed::wanted(std::iter::once(&package)).is_empty());
    // Nor what was used so long ago that it is as good as new.
    fs::write(bench.cache().join(USED), format!("{SHA256} 7\n")).unwrap();
    let package = bench.package(&bench.open());
    assert!(Recompressed::wanted(std::iter::once(&package)).is_empty());
    let package = bench.package(&bench.open());
    assert!(!Recompressed::wanted(std::iter::once(&package)).is_empty());
}

#[test]
fn what_takes_too_long_is_given_up() {
    let bench = Bench::new();
    let (mut copies, wanted) = bench.wanted();
    let stop = AtomicBool::new(true);
    copies.make(&wanted, true, &stop);
    assert_eq!(bench.names(), [USED]);
    copies.patience = Duration::ZERO;
    copies.make(&wanted, false, &stop);
    assert_eq!(bench.names(), [USED]);
    for tried in 1..=TRIES {
        let (mut copies, wanted) = bench.wanted();
        copies.patience = Duration::ZERO;
        copies.make(&wanted, true, &stop);
        assert_eq!(bench.names(), [SHA256, NOTES, USED]);
        let size = fs::metadata(bench.cache().join(SHA256)).unwrap().len();
        assert_eq!(size, tried);
        assert!(!bench.is_used());
    }
    let package = bench.package(&bench.open());
    assert!(Recompressed::wanted(std::iter::once(&package)).is_empty());
}

#[test]
fn what_there_was_not_time_enough_for_comes_last_and_is_made_once_there_is() {
    let bench = Bench::new();
    let (mut copies, wanted) = bench.wanted();
    copies.patience = Duration::ZERO;
    copies.make(&wanted, true, &AtomicBool::new(true));
    let copies = bench.open();
    let mut packages = [bench.package(&copies), bench.package(&copies)];
    packages[1].wanted.as_mut().unwrap().tried = 0;
    let wanted = Recompressed::wanted(packages.iter());
    let tried: Vec<u64> = wanted.iter().map(|one| one.wish.tried).collect();
    assert_eq!(tried, [0, 1]);
    bench.make();
    assert!(bench.is_used());
}
