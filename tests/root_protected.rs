//! Whole builds of images that are sealed or encrypted, checked by cryptsetup's tools.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Project, Run, assert_no_leaks, finish, root, tool};

/// Start and size in bytes, identifier and attributes of an image's partitions.
fn partitions(image: &Path) -> Vec<(u64, u64, String, String)> {
    let json: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", &image.to_string_lossy()])).unwrap();
    let table = json["partitiontable"]["partitions"].as_array().unwrap();
    let entry = |p: &serde_json::Value| {
        (
            p["start"].as_u64().unwrap() * 512,
            p["size"].as_u64().unwrap() * 512,
            p["uuid"].as_str().unwrap().replace('-', "").to_lowercase(),
            p["attrs"].as_str().unwrap_or_default().to_owned(),
        )
    };
    table.iter().map(entry).collect()
}

/// A part of a file as a file of its own, made by dd.
fn part(image: &Path, name: &str, start: u64, size: u64) -> PathBuf {
    let target = image.with_file_name(name);
    let arguments = [
        "bs=1M".to_owned(),
        "conv=sparse".to_owned(),
        "iflag=skip_bytes,count_bytes".to_owned(),
        format!("if={}", image.display()),
        format!("of={}", target.display()),
        format!("skip={start}"),
        format!("count={size}"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    tool("dd", &arguments);
    let file = File::options().write(true).open(&target).unwrap();
    file.set_len(size).unwrap();
    target
}

#[test]
fn root_sealed_and_split() {
    root();
    let project = Project::debian("[Output]\nVerity=yes\nSplitArtifacts=yes\nOutput=image.raw\n");
    let before = project.entries();
    project.run(&[]).succeeds();
    assert_no_leaks(project.path());
    let path = |name: &str| project.path().join(name);
    let text = |name: &str| path(name).to_string_lossy().into_owned();

    let line = fs::read_to_string(path("image.roothash")).unwrap();
    let hash = line.strip_suffix('\n').expect("one line");
    assert_eq!(hash.len(), 64);
    let table = partitions(&path("image.raw"));
    let [
        (root_start, root_size, root_id, root_flags),
        (start, size, id, flags),
    ] = &*table
    else {
        panic!("{table:?}");
    };
    assert_eq!((root_id.as_str(), id.as_str()), (&hash[..32], &hash[32..]));
    assert_eq!(
        (root_flags.as_str(), flags.as_str()),
        ("GUID:60", "GUID:60")
    );

    // The files of their own are the partitions, and as sparse.
    let image = path("image.raw");
    let root_part = part(&image, "root.part", *root_start, *root_size);
    let tree_part = part(&image, "tree.part", *start, *size);
    for (part, split) in [
        (&root_part, "image.root.raw"),
        (&tree_part, "image.root.verity"),
    ] {
        tool("cmp", &[&part.to_string_lossy(), &text(split)]);
        fs::remove_file(part).unwrap();
    }
    let on_disk = fs::metadata(path("image.root.raw")).unwrap().blocks() * 512;
    assert!(on_disk < 500 << 20, "{on_disk}");
    let verify = [
        "verify",
        &text("image.root.raw"),
        &text("image.root.verity"),
        hash,
    ];
    tool("veritysetup", &verify);
    tool(
        "veritysetup",
        &[
            "verify",
            &format!("--root-hash-file={}", text("image.roothash")),
            &text("image.root.raw"),
            &text("image.root.verity"),
        ],
    );
    tool("e2fsck", &["-fn", &text("image.root.raw")]);

    project
        .run(&["shell", "sh", "-c", "touch /x || exit 7"])
        .exits(7)
        .says("checked against image.roothash");
    // A flipped bit in the middle of the file system, found by both before anything runs.
    let file = File::options().read(true).write(true).open(&image).unwrap();
    let flip = |at: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    };
    flip(root_start + root_size / 2 + 77);
    project
        .run(&["shell", "true"])
        .exits(1)
        .says("changed or damaged");
    flip(root_start + root_size / 2 + 77);
    let split = File::options()
        .write(true)
        .open(path("image.root.raw"))
        .unwrap();
    split.write_all_at(b"!", root_size / 2).unwrap();
    let mut refused = Command::new("veritysetup");
    assert_ne!(finish_quietly(refused.args(verify)).code, Some(0));
    project.run(&["shell", "true"]).succeeds();

    fs::remove_file(path("image.roothash")).unwrap();
    project
        .run(&["shell", "true"])
        .succeeds()
        .says("no image.roothash");
    assert_no_leaks(project.path());

    // Built again without them, what belonged to the former image goes.
    fs::write(path("image.roothash"), "old").unwrap();
    project
        .run(&["--force", "--verity=no", "--split-artifacts=no", "build"])
        .succeeds();
    let mut expected = before.clone();
    expected.extend(["image.manifest", "image.raw"].map(str::to_owned));
    expected.sort();
    assert_eq!(project.entries(), expected);
    project.run(&["clean"]).succeeds();
    assert_eq!(project.entries(), before);
}

fn finish_quietly(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

const PASSPHRASE: &str = "Zauber-Lehrling 17$(id)";

/// Stands before cryptsetup, and looks for the passphrase wherever others could see it. It must not
/// hold the word itself, or it would find that.
const SPY: &str = r##"#!/bin/sh
word=Zauber
word="$word-Lehrling"
{
    ps axeww -o pid,args
    for process in /proc/[0-9]*; do
        tr '\0' '\n' < "$process/environ"
        tr '\0' '\n' < "$process/cmdline"
    done 2>/dev/null
} > spied
grep -r --text --files-with-matches -e "$word" .mkosi-work-* .mkosi-out-* > found
ls -la .mkosi-work-*/scratch > listed
stat -c %a .mkosi-work-* .mkosi-out-* > modes
exec /usr/sbin/cryptsetup "$@"
"##;

#[test]
fn root_encrypted_without_showing_the_passphrase() {
    root();
    let project = Project::debian(
        "[Output]\nEncrypt=all\nOutput=image.raw\n\n[Partitions]\nRootSize=700M\n\n\
         [Host]\nExtraSearchPaths=spies\n",
    );
    project.script("spies/cryptsetup", SPY);
    project
        .file("mkosi.passphrase", PASSPHRASE)
        .mode("mkosi.passphrase", 0o600);
    let run = project.run(&["--debug=run", "--verbose", "build"]);
    run.succeeds();
    assert_no_leaks(project.path());
    let path = |name: &str| project.path().join(name);
    let read = |name: &str| String::from_utf8_lossy(&fs::read(path(name)).unwrap()).into_owned();
    let word = "Zauber-Lehrling";
    for (place, shown) in [
        ("standard error", &run.stderr),
        ("standard output", &run.stdout),
        ("processes", &read("spied")),
        ("working directories", &read("found")),
        ("manifest", &read("image.manifest")),
    ] {
        assert!(!shown.contains(word), "{place}");
    }
    assert!(run.stderr.contains("luksFormat"), "{}", run.stderr);
    assert!(read("spied").contains("luksFormat"));
    assert!(read("listed").contains("clear-root"), "{}", read("listed"));
    assert!(read("modes").lines().all(|mode| mode == "700"));

    let image = path("image.raw");
    let table = partitions(&image);
    let [(start, size, ..)] = &*table else {
        panic!("{table:?}");
    };
    assert_eq!(*size, 700 << 20);
    let partition = part(&image, "partition", *start, *size);
    let partition = partition.to_string_lossy();
    let key = format!("--key-file={}", path("mkosi.passphrase").display());
    tool(
        "cryptsetup",
        &["open", "--test-passphrase", &key, &partition],
    );
    fs::write(path("wrong"), PASSPHRASE.to_owned() + "\n").unwrap();
    let mut wrong = Command::new("cryptsetup");
    wrong.args(["open", "--test-passphrase", "--key-file"]);
    wrong.arg(path("wrong")).arg(&*partition);
    assert_eq!(finish_quietly(&mut wrong).code, Some(2));
    tool(
        "cryptsetup",
        &[
            "reencrypt",
            "--decrypt",
            "--batch-mode",
            "--force-offline-reencrypt",
            &key,
            "--header",
            &path("header").to_string_lossy(),
            &partition,
        ],
    );
    File::options()
        .write(true)
        .open(&*partition)
        .unwrap()
        .set_len(size - (16 << 20))
        .unwrap();
    tool("e2fsck", &["-fn", &partition]);
    let release = tool("debugfs", &["-R", "cat /usr/lib/os-release", &partition]);
    assert!(release.contains("ID=debian"), "{release}");

    // No container can open it here, which is said before anything is built.
    project
        .run(&["shell", "true"])
        .exits(2)
        .says("partitions are encrypted");
    project
        .run(&["--encrypt=no", "shell", "true"])
        .exits(1)
        .says("encrypted partitions");
    assert_no_leaks(project.path());
}

/// A project whose build fails right after it began, so that only the beginning is seen.
fn doomed() -> Project {
    let project = Project::new();
    project.file(
        "mkosi.default",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\nMirror=file:///nowhere\n\
         [Output]\nEncrypt=all\n",
    );
    project
}

#[test]
fn root_passphrase_without_file_and_terminal() {
    root();
    let project = doomed();
    let before = project.untouched();
    let mut command = Command::new("setsid");
    command
        .args(["--wait", env!("CARGO_BIN_EXE_mkosi"), "build"])
        .current_dir(project.path());
    finish(command)
        .exits(2)
        .says("put it into mkosi.passphrase (mode 0600, without a newline");
    before.check();
    project
        .file("mkosi.passphrase", "x")
        .mode("mkosi.passphrase", 0o644);
    project.run(&[]).exits(2).says("chmod 600 mkosi.passphrase");
    project
        .file("mkosi.passphrase", "")
        .mode("mkosi.passphrase", 0o600);
    project.run(&[]).exits(2).says("it is empty");
    project.file("mkosi.passphrase", "x\n");
    project
        .run(&[])
        .exits(1)
        .says("ends in a newline")
        .says("truncate -s -1");
}

/// Builds on a terminal of its own: waits for each question and types its answer. Prints what the
/// terminal showed, the exit status, and whether the terminal shows again what is typed.
const TYPIST: &str = r#"
import os, pty, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "build"])
shown = b""
def until(what, start):
    global shown
    while what not in shown[start:]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # nobody is left on the other side
            return
start = 0
for turn in sys.argv[2:]:
    question, answer = turn.split("=")
    until(question.encode(), start)
    start = len(shown)
    os.write(terminal, answer.encode().decode("unicode_escape").encode())
until(b"no such words", start)
echo = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(shown.decode(errors="replace"), "STATUS", status, "ECHO", echo)
"#;

fn typing(project: &Project, turns: &[&str]) -> Run {
    let mut command = Command::new("python3");
    command
        .args(["-c", TYPIST, env!("CARGO_BIN_EXE_mkosi")])
        .args(turns)
        .current_dir(project.path());
    finish(command)
}

#[test]
fn root_passphrase_is_asked_for_twice_and_never_shown() {
    root();
    for (turns, said, status) in [
        (
            vec!["partitions: =geheim\n", "again: =geheim\n"],
            "failed",
            1,
        ),
        (
            vec![
                "partitions: =geheim\n",
                "again: =geheimnis\n",
                "partitions: =\n",
                "partitions: =geheim\n",
                "again: =geheim2\n",
            ],
            "the passphrases were not the same",
            2,
        ),
        (vec!["partitions: =geh\\x03"], "interrupted", 130),
        (
            vec!["partitions: =geheim\n", "again: =\\x03"],
            "interrupted",
            130,
        ),
    ] {
        let project = doomed();
        let before = project.untouched();
        let run = typing(&project, &turns);
        run.succeeds()
            .prints(said)
            .prints(&format!("STATUS {status} ECHO True"));
        assert!(!run.stdout.contains("geh"), "{}", run.stdout);
        before.check();
    }
}
