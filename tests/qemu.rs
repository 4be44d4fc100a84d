//! `mkosi qemu` around the guest: its console, its exit status, and what is said where nothing can
//! be started. The guest is one sector long.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Project, Run, finish, root, tool};

const SETTINGS: &str = "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n\
                        [Output]\nBootable=yes\nBootProtocols=bios\nOutput=image.raw\n\n\
                        [Host]\nQemuHeadless=yes\nQemuKvm=no\nQemuMem=64M\nQemuSmp=1\n";
const DEBUG_EXIT: [&str; 2] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// A project whose image is there already: the guest.
fn project() -> Project {
    let project = Project::new();
    project.file("mkosi.default", SETTINGS);
    let path = |name: &str| project.path().join(name).to_string_lossy().into_owned();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/sector.s");
    tool("as", &["--32", "-o", &path("object"), source]);
    tool(
        "ld",
        &[
            "-m",
            "elf_i386",
            "-Ttext=0x7c00",
            "--entry=0x7c00",
            "--oformat=binary",
            "-o",
            &path("image.raw"),
            &path("object"),
        ],
    );
    fs::remove_file(path("object")).unwrap();
    let image = fs::File::options()
        .write(true)
        .open(path("image.raw"))
        .unwrap();
    image.set_len(1 << 20).unwrap();
    // Where qemu puts what it throws away.
    fs::create_dir(path("temporary")).unwrap();
    project
}

/// Runs the program on a terminal of its own: waits for each text and does what follows it, which is
/// to type it or to run a command with the program's process id. Prints what the terminal showed, the exit status, and
/// whether the terminal shows again what is typed.
const TYPIST: &str = r#"
import os, pty, signal, subprocess, sys, termios, time
signal.alarm(300)
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TMPDIR"] = os.path.abspath("temporary")
    os.execv(sys.argv[1], sys.argv[1:2] + sys.argv[3:])
shown = b""
said = ""
def more():
    global shown
    try:
        data = os.read(terminal, 4096)
    except OSError:  # nobody is left on the other side
        data = b""
    shown += data
    return data
start = 0
for turn in sys.argv[2].split(";"):
    wait, do = turn.split("=>")
    while wait.encode() not in shown[start:] and more():
        pass
    start = len(shown)
    if do.startswith("!"):
        done = subprocess.run(do[1:], shell=True, text=True, capture_output=True,
                              env=dict(os.environ, PID=str(pid)))
        said += done.stdout + done.stderr
    else:
        os.write(terminal, do.encode().decode("unicode_escape").encode())
while more():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(shown.decode(errors="replace"), said, "STATUS", status)
"#;

fn typing(project: &Project, turns: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new("python3");
    command
        .args(["-c", TYPIST, env!("CARGO_BIN_EXE_mkosi"), turns])
        .args(arguments)
        .current_dir(project.path());
    let run = finish(command);
    run.succeeds();
    let left = fs::read_dir(project.path().join("temporary")).unwrap();
    assert_eq!(left.count(), 0, "something is left of the overlay");
    run
}

fn image(project: &Project) -> Vec<u8> {
    fs::read(project.path().join("image.raw")).unwrap()
}

#[test]
fn the_console_is_the_guests_and_its_end_the_status() {
    let project = project();
    let before = image(&project);
    // Ctrl-C is a key like any other there.
    typing(
        &project,
        "GUEST: written=>\\x03;GUEST: Ctrl-C=>q",
        &["qemu"],
    )
    .prints("STATUS 0");
    assert_ne!(image(&project), before, "the guest wrote to the image");

    let mut words = vec!["qemu", "--"];
    words.extend(DEBUG_EXIT);
    typing(&project, "GUEST: written=>x", &words).prints("STATUS 7");
    // qemu's own way out.
    typing(&project, "GUEST: written=>\\x01x", &["qemu"]).prints("STATUS 0");
}

#[test]
fn what_is_written_to_a_read_only_image_is_thrown_away() {
    let project = project();
    let before = image(&project);
    let entries = project.entries();
    typing(&project, "GUEST: written=>q", &["--read-only", "qemu"]).prints("STATUS 0");
    assert_eq!(image(&project), before);
    // No more is left of it when it is killed, and qemu goes with the program.
    let children = "!pgrep --parent $PID qemu && kill -KILL $PID";
    let run = typing(
        &project,
        &format!("GUEST: written=>{children}"),
        &["--read-only", "qemu"],
    );
    run.prints("STATUS -9");
    let qemu = run
        .stdout
        .lines()
        .filter_map(|line| line.trim().parse::<u32>().ok())
        .next_back()
        .expect("qemu's process");
    assert!(gone(qemu), "{}", run.stdout);
    assert_eq!(image(&project), before);
    assert_eq!(project.entries(), entries);
}

/// Whether a process ends within a while.
fn gone(process: u32) -> bool {
    let path = format!("/proc/{process}");
    (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        !Path::new(&path).exists()
    })
}

#[test]
fn what_cannot_be_started_is_explained() {
    let project = project();
    let before = image(&project);
    for (flags, code, said) in [
        (vec!["--format=directory", "qemu"], 2, "Bootable"),
        (
            vec!["--format=directory", "--bootable=no", "qemu"],
            2,
            "it is no disk image",
        ),
        (
            vec!["--bootable=no", "qemu"],
            2,
            "no kernel and no boot loader; build it with Bootable=yes",
        ),
        (vec!["--xz", "qemu"], 2, "it is compressed as a whole"),
        (vec!["qemu", "--", "--no-such-option"], 1, "invalid option"),
        (vec!["qemu", "--", "-drive", "file=/nowhere"], 1, "/nowhere"),
        (
            vec!["--architecture=s390x", "--boot-protocols=uefi", "qemu"],
            2,
            "s390x",
        ),
    ] {
        project.run(&flags).exits(code).says(said);
    }
    assert_eq!(image(&project), before);
}

#[test]
fn root_what_is_missing_is_named_with_its_package() {
    root();
    let project = project();
    let without = |hide: &str, flags: &str| {
        let script = format!("{hide}\nexec \"$0\" {flags} qemu");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_mkosi")])
            .current_dir(project.path());
        finish(command)
    };
    let firmware = "for place in OVMF edk2 edk2-ovmf qemu; do\n\
                    [ ! -d /usr/share/$place ] || mount -t tmpfs none /usr/share/$place\n\
                    done";
    without(firmware, "--boot-protocols=uefi")
        .exits(2)
        .says("no UEFI firmware for x86_64")
        .says("ovmf");
    let program = "mount --bind /dev/null \"$(command -v qemu-system-x86_64)\"";
    without(program, "")
        .exits(2)
        .says("qemu-system-x86_64 is not installed")
        .says("qemu-system-x86");
}

#[test]
fn root_an_image_that_is_not_there_is_built_first() {
    root();
    let project = project();
    fs::remove_file(project.path().join("image.raw")).unwrap();
    project
        .run(&["--mirror=file:///nowhere", "qemu"])
        .exits(1)
        .says("failed");
    assert_eq!(project.entries(), ["mkosi.default", "temporary"]);
}

#[test]
fn root_a_link_of_its_own_lasts_as_long_as_the_machine() {
    root();
    let project = project();
    let link = Path::new("/sys/class/net/vt-image");
    let turns = "GUEST: written=>!ls /sys/class/net | grep ^vt-;=>q";
    typing(&project, turns, &["--network-veth", "qemu"])
        .prints("vt-image")
        .prints("STATUS 0");
    assert!(!link.exists());
}
