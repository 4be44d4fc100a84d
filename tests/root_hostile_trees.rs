//! Trees and archives that a project may be given by somebody who means no good, in whole builds: over a
//! base image of next to nothing, so that each takes no time.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mkosi::host::{Cancel, Quiet};
use mkosi::tree::{CopyOptions, Root, copy_tree};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use support::{Project, Run, root};

/// A project that copies the tree `extra` over a base image.
fn project() -> Project {
    root();
    let project = Project::new();
    project
        .file("base/usr/lib/os-release", "ID=debian\nVERSION_ID=12\n")
        .file(
            "mkosi.default",
            "[Distribution]\nDistribution=debian\nRelease=bookworm\n\
             [Output]\nFormat=directory\nOutput=out\n\
             [Partitions]\nBaseImage=base\n",
        );
    fs::create_dir(project.path().join("extra")).unwrap();
    project
}

/// Whether a terminal would do anything but show it.
fn acts(text: &str) -> Option<(usize, char)> {
    let acts = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2028}');
    text.char_indices().find(|(_, c)| acts(*c))
}

fn shows(run: &Run) -> String {
    for text in [&run.stdout, &run.stderr] {
        assert_eq!(acts(text), None, "{text:?}");
    }
    format!("{}{}", run.stdout, run.stderr)
}

const NAMES: [&str; 8] = [
    "line\nbreak",
    "\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "back\rward",
    "c1\u{9b}31m",
    "turned\u{202e}txt",
    "tab\there",
    "line\u{2028}separator",
];

#[test]
fn root_names_are_never_told_as_they_are() {
    let project = project();
    for (number, name) in NAMES.iter().enumerate() {
        for tree in ["extra", "skeleton"] {
            project
                .file(&format!("{tree}/{name}"), "x")
                // Large enough for a page about what takes space.
                .file(&format!("{tree}/d {name}/f"), vec![b'y'; 300_000]);
        }
        // What goes wrong names them, too.
        project.file(&format!("clash{number}/{name}/x"), "");
        project.file(&format!("patches/{name}.mkosi.patch"), "no patch\n");
    }
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = std::ffi::OsStr::from_bytes(b"extra/\xff\xfe\x1b[1m");
    fs::write(project.path().join(bytes), "x").unwrap();

    let flags = ["--extra-tree=extra", "-v", "--timings", "--output=a"];
    let run = project.run(&flags);
    run.succeeds();
    shows(&run);
    let page = fs::read_to_string(project.path().join("a.timings.html")).unwrap();
    assert_eq!(acts(&page.replace(['\u{202e}', '\u{2028}'], "")), None);
    let manifest = fs::read_to_string(project.path().join("a.manifest")).unwrap();
    assert_eq!(acts(&manifest), None);

    fs::rename(project.path().join("extra"), project.path().join("b")).unwrap();
    fs::write(project.path().join("b").join(NAMES[1]), "changed").unwrap();
    fs::remove_file(project.path().join("b").join(NAMES[0])).unwrap();
    let diff = project.run(&["diff", "a", "b"]);
    diff.exits(1);
    let text = shows(&diff);
    assert!(
        text.contains("line") && text.contains("red") && !text.contains("line\nbreak"),
        "{text}"
    );
    for words in [["diff", "--json", "a", "b"], ["diff", "--all", "a", "b"]] {
        shows(&project.run(&words));
    }

    let skeleton = ["--skeleton-tree=skeleton", "-i", "--output=c"];
    shows(project.run(&skeleton).succeeds());
    fs::write(project.path().join("skeleton").join(NAMES[2]), "changed").unwrap();
    let run = project.run(&[&skeleton[..], &["why"]].concat());
    assert!(shows(&run).contains("title"), "{}", run.stdout);

    for number in 0..NAMES.len() {
        let clash = format!("--extra-tree=clash{number}");
        let run = project.run(&["-f", "--extra-tree=b", &clash, "--output=d"]);
        // Flags come in order: a directory meets a file, or the gap that one has left.
        assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
        shows(&run);
    }
    let run = project.run(&["--extra-tree=patches", "--output=e"]);
    run.exits(1);
    shows(&run);
}

#[test]
fn root_a_huge_hole_is_kept_or_refused_and_never_read() {
    let project = project();
    let path = |name: &str| project.path().join(name);
    // As long as this file system lets files be.
    let sparse = File::create(path("extra/hole")).unwrap();
    sparse.set_len(8 << 40).unwrap();
    let tar = Command::new("tar")
        .args(["--sparse", "--format=posix", "-cf", "extra.tar", "-C"])
        .args(["extra", "hole"])
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(tar.success());
    fs::create_dir(path("none")).unwrap();
    let allocated = |name: &str| {
        let all = walkdir::WalkDir::new(path(name)).into_iter();
        all.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
            .sum::<u64>()
    };
    let begun = Instant::now();
    for extra in ["extra", "extra.tar"] {
        for format in ["directory", "tar", "gpt_ext4", "gpt_xfs", "gpt_btrfs"] {
            let extra = format!("--extra-tree={extra}");
            project.run(&["-t", format, "-f", &extra]).succeeds();
            assert!(allocated("out") < 64 << 20, "{format}");
        }
        for (format, epoch, why) in [
            ("tar", true, "holds its holes as zeros"),
            ("plain_squashfs", false, "mksquashfs reads holes"),
            ("gpt_squashfs", false, "mksquashfs reads holes"),
        ] {
            let extra = format!("--extra-tree={extra}");
            let mut command = project.command(&["-t", format, "-f", &extra, "-o", "none/out"]);
            if epoch {
                command.env("SOURCE_DATE_EPOCH", "1700000000");
            }
            let run = support::finish(command);
            run.exits(1).says(why).says("hole has holes of 8T");
            assert_eq!(fs::read_dir(path("none")).unwrap().count(), 0, "{format}");
        }
    }
    // What names a cached tree reads the file, too.
    let skeleton = ["--skeleton-tree=extra", "-i", "-f"];
    project.run(&skeleton).succeeds();
    project.run(&skeleton).succeeds().says("cache hit");
    project.run(&["diff", "out", "extra"]);
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}

/// 128 MB in a few kilobytes, on a disk of 32 MB.
#[test]
fn root_an_archive_that_fills_the_disk_leaves_nothing() {
    let project = project();
    let small = project.path().join("small");
    fs::create_dir(&small).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(128 << 20);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_path("bomb").unwrap();
    header.set_cksum();
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::copy(&mut header.as_bytes().as_slice(), &mut bomb).unwrap();
    let ones = std::io::repeat(1);
    std::io::copy(&mut std::io::Read::take(ones, 128 << 20), &mut bomb).unwrap();
    project.file("bomb.tar.zst", bomb.finish().unwrap());
    // The mount goes with the shell that made it.
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec"])
        .arg(
            "mount -t tmpfs -o size=32m tmpfs small; code=0; \
             \"$0\" --extra-tree=bomb.tar.zst --workspace-dir=small --output=none/out || code=$?; \
             ls -A small >&2; df --output=pcent small >&2; exit $code",
        )
        .arg(env!("CARGO_BIN_EXE_mkosi"))
        .current_dir(project.path());
    let run = support::finish(command);
    run.exits(1).says("member bomb").says("No space left");
    let left: Vec<&str> = run.stderr.lines().rev().take(2).collect();
    assert!(left[1].contains("Use%"), "{}", run.stderr);
    assert_eq!(left[0].trim(), "0%", "{}", run.stderr);
    assert!(!run.stderr.lines().any(|line| line.starts_with(".mkosi")));
}

/// A directory that becomes a link while it is copied: nothing of where it leads gets into the image.
#[test]
fn root_a_source_that_changes_brings_nothing_from_outside() {
    root();
    let project = Project::new();
    let path = |name: &str| project.path().join(name);
    for dir in ["source/d/sub", "source/e", "outside/sub", "links", "image"] {
        fs::create_dir_all(path(dir)).unwrap();
    }
    for number in 0..20 {
        project.file(&format!("source/d/{number}"), "mine");
        project.file(&format!("source/d/sub/{number}"), "mine");
        project.file(&format!("source/e/{number}"), "mine");
        project.file(&format!("outside/{number}"), "secret");
        project.file(&format!("outside/sub/{number}"), "secret");
    }
    symlink(path("outside"), path("links/d")).unwrap();
    symlink(path("outside/7"), path("links/7")).unwrap();
    let stop = AtomicBool::new(false);
    let swaps = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0u64;
            while !stop.load(Ordering::Relaxed) {
                for (a, b) in [("source/d", "links/d"), ("source/e/7", "links/7")] {
                    let swapped = renameat_with(CWD, path(a), CWD, path(b), RenameFlags::EXCHANGE);
                    swaps += u64::from(swapped.is_ok());
                }
                // Not all of the time: the copy shall get somewhere between two of them.
                std::thread::sleep(Duration::from_micros(100));
            }
            swaps
        });
        // Also when something is wrong.
        let stop = Stop(&stop);
        let image = path("image");
        for _ in 0..60 {
            let root = Root::open(&image).unwrap();
            let cancel = Cancel::default();
            let options = CopyOptions::default();
            // Whether it fails is up to chance; a file may be incomplete then.
            let copied = copy_tree(
                &root,
                &path("source"),
                Path::new(""),
                &options,
                &Quiet,
                &cancel,
            );
            no_secret(&image, copied.is_ok());
            root.remove_content("").unwrap();
        }
        drop(stop);
        swapper.join().unwrap()
    });
    assert!(swaps > 60, "{swaps}");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn no_secret(image: &Path, complete: bool) {
    for entry in walkdir::WalkDir::new(image) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let content = fs::read_to_string(entry.path()).unwrap();
            let right = if complete {
                content == "mine"
            } else {
                "mine".starts_with(&content)
            };
            assert!(right, "{}: {content}", entry.path().display());
        }
    }
}
