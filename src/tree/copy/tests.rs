use super::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

/// Keeps the warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Report for Warnings {
    fn line(&self, _: &str) {}
    fn warn(&self, message: &str) {
        lock(&self.0).push(message.to_owned());
    }
    fn progress(&self, done: u64, total: u64) {
        assert!(done <= total);
    }
    fn command(&self, _: &str) {}
}

struct Case {
    source: TempDir,
    image: TempDir,
    warnings: Warnings,
}

impl Case {
    fn new() -> Self {
        Self {
            source: tempfile::tempdir().unwrap(),
            image: tempfile::tempdir().unwrap(),
            warnings: Warnings::default(),
        }
    }

    fn from(&self, path: impl AsRef<Path>) -> PathBuf {
        self.source.path().join(path)
    }

    fn to(&self, path: impl AsRef<Path>) -> PathBuf {
        self.image.path().join(path)
    }

    fn copy(&self) -> Result<Copied, TreeError> {
        self.copy_with(&CopyOptions::default(), &Cancel::default())
    }

    fn copy_with(&self, options: &CopyOptions<'_>, cancel: &Cancel) -> Result<Copied, TreeError> {
        let root = Root::open(self.image.path()).unwrap();
        copy_tree(
            &root,
            self.source.path(),
            Path::new("/"),
            options,
            &self.warnings,
            cancel,
        )
    }
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn merges_directories_and_keeps_the_mode_of_those_that_exist() {
    let case = Case::new();
    fs::create_dir_all(case.from("root/new/deep")).unwrap();
    fs::write(case.from("root/.profile"), "x").unwrap();
    chmod(case.from("root"), 0o755);
    chmod(case.from("root/new"), 0o511);
    fs::create_dir(case.to("root")).unwrap();
    fs::write(case.to("root/kept"), "").unwrap();
    chmod(case.to("root"), 0o700);
    let copied = case.copy().unwrap();
    assert_eq!(copied.entries, 4);
    assert_eq!(
        fs::metadata(case.to("root")).unwrap().mode() & 0o7777,
        0o700
    );
    assert_eq!(
        fs::metadata(case.to("root/new")).unwrap().mode() & 0o7777,
        0o511
    );
    assert!(case.to("root/kept").exists() && case.to("root/new/deep").is_dir());
}

#[test]
fn follows_the_images_directory_links_beneath_its_root() {
    let case = Case::new();
    fs::create_dir_all(case.from("lib/modules")).unwrap();
    fs::write(case.from("lib/modules/x"), "x").unwrap();
    fs::create_dir_all(case.from("etc/evil")).unwrap();
    fs::write(case.from("etc/evil/x"), "x").unwrap();
    fs::create_dir_all(case.to("usr/lib")).unwrap();
    fs::create_dir(case.to("etc")).unwrap();
    symlink("usr/lib", case.to("lib")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), case.to("etc/evil")).unwrap();
    case.copy().unwrap();
    assert!(case.to("usr/lib/modules/x").exists());
    assert!(fs::symlink_metadata(case.to("lib")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let beneath = outside.path().strip_prefix("/").unwrap().join("x");
    assert!(case.to(beneath).exists());
}

#[test]
fn replaces_files_and_links_without_writing_through_them() {
    let case = Case::new();
    let host = tempfile::NamedTempFile::new().unwrap();
    fs::write(host.path(), "host").unwrap();
    for name in ["a", "b", "c"] {
        fs::write(case.from(name), "new").unwrap();
    }
    symlink("elsewhere", case.from("link")).unwrap();
    symlink(host.path(), case.to("a")).unwrap();
    fs::write(case.to("b"), "old and longer").unwrap();
    fs::hard_link(case.to("b"), case.to("other-name")).unwrap();
    symlink("usr", case.to("link")).unwrap();
    case.copy().unwrap();
    for name in ["a", "b", "c"] {
        assert!(fs::symlink_metadata(case.to(name)).unwrap().is_file());
        assert_eq!(fs::read_to_string(case.to(name)).unwrap(), "new");
    }
    assert_eq!(fs::read_to_string(host.path()).unwrap(), "host");
    assert_eq!(
        fs::read_to_string(case.to("other-name")).unwrap(),
        "old and longer"
    );
    assert_eq!(
        fs::read_link(case.to("link")).unwrap(),
        Path::new("elsewhere")
    );
}

#[test]
fn keeps_links_holes_times_modes_and_strange_names() {
    let case = Case::new();
    let strange = OsStr::from_bytes(b"a\n\xffb \x1b[0m");
    fs::create_dir(case.from(strange)).unwrap();
    fs::write(case.from(strange).join("one"), vec![b'x'; 300_000]).unwrap();
    fs::hard_link(case.from(strange).join("one"), case.from("two")).unwrap();
    chmod(case.from("two"), 0o4751);
    let sparse = fs::File::create(case.from("sparse")).unwrap();
    use std::os::unix::fs::FileExt as _;
    sparse.write_at(b"data", 5 << 20).unwrap();
    sparse.set_len(64 << 20).unwrap();
    let past = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    sparse.set_modified(past).unwrap();
    xattrs_of(&sparse);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        case.from("fifo"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(case.from("sock\nname")).unwrap();
    case.copy().unwrap();
    let one = fs::metadata(case.to(strange).join("one")).unwrap();
    let two = fs::metadata(case.to("two")).unwrap();
    assert_eq!((one.ino(), one.nlink(), one.len()), (two.ino(), 2, 300_000));
    assert_eq!(two.mode() & 0o7777, 0o4751);
    let copy = fs::File::open(case.to("sparse")).unwrap();
    let meta = copy.metadata().unwrap();
    assert_eq!(
        (meta.mtime(), meta.mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    assert_eq!(meta.len(), 64 << 20);
    assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    let mut data = [0; 4];
    copy.read_exact_at(&mut data, 5 << 20).unwrap();
    assert_eq!(&data, b"data");
    let note = crate::tree::xattrs::get(crate::tree::xattrs::Of::fd(&copy), c"user.note");
    assert_eq!(note.unwrap().unwrap(), b"kept");
    use std::os::unix::fs::FileTypeExt as _;
    let fifo = fs::symlink_metadata(case.to("fifo")).unwrap();
    assert!(fifo.file_type().is_fifo());
    assert_eq!(fifo.mode() & 0o7777, 0o600);
    assert!(!case.to("sock\nname").exists());
    let warnings = lock(&case.warnings.0).clone();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].ends_with("sock\\nname: it is a socket"),
        "{warnings:?}"
    );
}

fn xattrs_of(file: &fs::File) {
    use crate::tree::xattrs::{Of, set};
    set(Of::fd(file), c"user.note", b"kept").unwrap();
    set(Of::fd(file), c"user.overlay.origin", b"no").unwrap();
}

#[test]
fn a_clash_of_directory_and_file_is_an_error() {
    for (source_is_dir, what, found) in [
        (true, "a directory", "a file"),
        (false, "a file", "a directory"),
    ] {
        let case = Case::new();
        let (dir, file) = match source_is_dir {
            true => (case.from("etc/x"), case.to("etc/x")),
            false => (case.to("etc/x"), case.from("etc/x")),
        };
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let text = case.copy().unwrap_err().to_string();
        assert!(text.contains(&format!("cannot put {what} at ")), "{text}");
        assert!(
            text.contains(&format!("etc/x: {found} is there already")),
            "{text}"
        );
    }
}

#[test]
fn selects_and_lists_what_comes_later() {
    let case = Case::new();
    fs::create_dir_all(case.from("skip/inner")).unwrap();
    fs::create_dir_all(case.from("etc")).unwrap();
    for name in ["etc/b.patch", "etc/a.patch", "etc/plain", "skip/inner/x"] {
        fs::write(case.from(name), "").unwrap();
    }
    let select = |path: &Path, _: Kind| match path {
        p if p == Path::new("skip") => Select::Skip,
        p if p.extension() == Some(OsStr::new("patch")) => Select::Later,
        _ => Select::Copy,
    };
    let options = CopyOptions {
        select: &select,
        ..CopyOptions::default()
    };
    let copied = case.copy_with(&options, &Cancel::default()).unwrap();
    assert_eq!(
        copied.later,
        ["etc/a.patch", "etc/b.patch"].map(PathBuf::from)
    );
    assert!(!case.to("skip").exists() && !case.to("etc/a.patch").exists());
    assert!(case.to("etc/plain").exists());
}

#[test]
fn stops_when_asked() {
    let case = Case::new();
    fs::write(case.from("x"), "").unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let result = case.copy_with(&CopyOptions::default(), &cancel);
    assert!(matches!(result, Err(TreeError::Cancelled)));
    assert!(!case.to("x").exists());
}

#[test]
fn does_not_copy_the_image_into_itself() {
    let case = Case::new();
    let image = case.from("work/image");
    fs::create_dir_all(&image).unwrap();
    let root = Root::open(&image).unwrap();
    let result = copy_tree(
        &root,
        case.source.path(),
        Path::new("src"),
        &CopyOptions::default(),
        &case.warnings,
        &Cancel::default(),
    );
    let text = result.unwrap_err().to_string();
    assert!(text.contains("it holds the image's own tree"), "{text}");
}

#[test]
fn copies_paths_longer_than_the_kernel_takes() {
    let case = Case::new();
    let root = Root::open(case.source.path()).unwrap();
    let deep: PathBuf = std::iter::repeat_n("d".repeat(200), 30).collect();
    root.write(deep.join("one"), "x", 0o644).unwrap();
    let there = root.spot(&deep.join("one")).unwrap();
    rustix::fs::linkat(
        &there.dir,
        "one",
        &there.dir,
        "two",
        rustix::fs::AtFlags::empty(),
    )
    .unwrap();
    case.copy().unwrap();
    let image = Root::open(case.image.path()).unwrap();
    assert_eq!(image.metadata(deep.join("two")).unwrap().unwrap().links, 2);
}
