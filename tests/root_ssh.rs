//! `mkosi ssh` into an image that was built for it, in a virtual machine and in a container.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Project, Run, assert_no_leaks, finish, root, tool};

/// A machine, ended when this goes.
struct Machine {
    child: Child,
    log: std::path::PathBuf,
}

impl Machine {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let log = project.path().join("console");
        let file = File::create(&log).unwrap();
        let mut command = project.command(arguments);
        let child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Waits until it is off.
    #[track_caller]
    fn ends(mut self) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                begun.elapsed() < Duration::from_secs(300),
                "{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = Command::new("kill").arg(&pid).status();
            std::thread::sleep(Duration::from_secs(2));
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Runs the words in the machine, once that runs.
fn ssh(project: &Project, words: &[&str]) -> Run {
    let begun = Instant::now();
    loop {
        let mut all = vec!["ssh"];
        all.extend(words);
        let run = project.run(&all);
        let starting = run.stderr.contains("it is not running");
        if !starting || begun.elapsed() > Duration::from_secs(60) {
            return run;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// A project whose image has a server, and a key of somebody else for root.
fn project(settings: &str) -> Project {
    let project = Project::debian(&format!(
        "[Output]\nHostname=reached\n{settings}\n\n[Host]\nSsh=yes\nQemuHeadless=yes\nQemuKvm=no\n"
    ));
    project.file("mkosi.extra/root/.ssh/authorized_keys", "ssh-rsa AAAA ann");
    project
}

#[test]
fn root_ssh_into_a_virtual_machine() {
    root();
    let project = project(
        "Bootable=yes\nOutput=image.raw\nKernelCommandLine=console=ttyS0 quiet\n[Validation]\nCheckSum=yes",
    );
    let path = |name: &str| project.path().join(name);
    project
        .run(&["ssh"])
        .exits(2)
        .says("there is no key")
        .says("build the image with Ssh=yes");
    // An emulated processor takes long to make one of these.
    fs::create_dir_all(path("mkosi.extra/etc/ssh")).unwrap();
    let slow = path("mkosi.extra/etc/ssh/ssh_host_rsa_key");
    let slow = slow.to_string_lossy();
    tool("ssh-keygen", &["-q", "-t", "rsa", "-N", "", "-f", &slow]);
    project
        .run(&["--ssh=no", "ssh"])
        .exits(2)
        .says("Ssh=yes is not set");

    // The key belongs to who called sudo.
    let mut command = project.command(&[]);
    command.env("SUDO_UID", "1234").env("SUDO_GID", "1235");
    let run = finish(command);
    run.succeeds()
        .says("Setting up ssh: done")
        .says("with a new key");
    assert!(
        !run.stderr.contains("nothing in the image makes new ones"),
        "{}",
        run.stderr
    );
    let key = path("image.ssh").metadata().unwrap();
    assert_eq!(key.permissions().mode() & 0o7777, 0o600);
    assert_eq!((key.uid(), key.gid()), (1234, 1235));
    let sums = fs::read_to_string(path("SHA256SUMS")).unwrap();
    assert!(!sums.contains(".ssh"), "{sums}");
    project.run(&["ssh"]).exits(2).says("it is not running");

    let machine = Machine::start(&project, &["qemu"]);
    let words = ["--", "cat", "/etc/hostname", "/root/.ssh/authorized_keys"];
    let run = ssh(&project, &words);
    let public = fs::read_to_string(path("image.ssh.pub")).unwrap();
    assert!(run.code == Some(0), "{}\n{}", run.stderr, machine.said());
    assert_eq!(run.stdout, format!("reached\nssh-rsa AAAA ann\n{public}"));
    project.run(&["ssh", "exit 7"]).exits(7);
    // Nothing failed, and the link is for nothing but ssh.
    let run = project.run(&[
        "ssh",
        "systemctl --failed --no-legend; networkctl --no-legend",
    ]);
    let lines: Vec<&str> = run.succeeds().stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[2].contains("configured"), "{lines:?}");

    // Another key is not let in.
    fs::rename(path("image.ssh"), path("kept")).unwrap();
    let other = path("image.ssh").to_string_lossy().into_owned();
    tool(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", &other],
    );
    let refused = project.run(&["ssh", "true"]);
    refused.exits(255).says("Permission denied");
    fs::rename(path("kept"), path("image.ssh")).unwrap();
    fs::write(path("image.ssh.pub"), public).unwrap();
    // The connection may end before the command does.
    let run = project.run(&["ssh", "systemctl poweroff"]);
    assert!(matches!(run.code, Some(0 | 255)), "{}", run.stderr);
    machine.ends();
    project.run(&["ssh"]).exits(2).says("it is not running");
    assert_no_leaks(project.path());
}

#[test]
fn root_ssh_into_a_container() {
    root();
    let project = project("Format=directory\nOutput=tree\nIncremental=yes");
    let path = |name: &str| project.path().join(name);
    project.run(&[]).succeeds().says("with a new key");
    let key = fs::read(path("tree.ssh")).unwrap();
    assert!(
        fs::read_dir(path("tree/etc/ssh"))
            .unwrap()
            .all(|entry| !entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("_key")),
        "host keys are in the image"
    );
    let authorized = path("tree/root/.ssh/authorized_keys");
    assert_eq!(authorized.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(
        path("tree/root/.ssh").metadata().unwrap().mode() & 0o7777,
        0o700
    );
    for layer in fs::read_dir(path(".mkosi-layers")).unwrap() {
        assert!(
            !layer
                .unwrap()
                .path()
                .join("tree/root/.ssh/authorized_keys")
                .exists()
        );
    }

    // The same key for the next image, from the same tree with packages.
    project.file("tree.ssh.pub", "ssh-ed25519 AAAA other\n");
    let run = project.run(&["-f"]);
    run.succeeds()
        .says("is not the public half of")
        .says("with the key of earlier builds")
        .says("cache hit");
    assert_eq!(key, fs::read(path("tree.ssh")).unwrap());
    project.mode("tree.ssh", 0o640);
    project.run(&["-f"]).exits(1).says("nobody else can read");
    project.mode("tree.ssh", 0o600);
    fs::remove_file(path("tree.ssh.pub")).unwrap();
    project.run(&["-f"]).succeeds();
    assert!(path("tree.ssh.pub").exists());

    let machine = Machine::start(&project, &["--network-veth", "boot"]);
    let run = ssh(&project, &["cat", "/etc/hostname"]);
    assert!(run.code == Some(0), "{}\n{}", run.stderr, machine.said());
    assert_eq!(run.stdout, "reached\n");
    project.run(&["ssh", "exit 9"]).exits(9);
    let key = path("tree/etc/ssh/ssh_host_ed25519_key.pub");
    let text = fs::read_to_string(&key).unwrap();
    // The server's key is another one than its files say.
    for entry in fs::read_dir(path("tree/etc/ssh")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with("_key.pub") {
            fs::remove_file(path("tree/etc/ssh").join(name)).unwrap();
        }
    }
    fs::write(&key, text.replacen("AAAAI", "AAAAJ", 1)).unwrap();
    project
        .run(&["ssh", "true"])
        .exits(255)
        .says("verification failed");
    fs::write(&key, text).unwrap();
    // The connection may end before the command does.
    let run = project.run(&["ssh", "systemctl poweroff"]);
    assert!(matches!(run.code, Some(0 | 255)), "{}", run.stderr);
    machine.ends();

    // Without a network of its own, the host's server might answer.
    let machine = Machine::start(&project, &["boot"]);
    ssh(&project, &["true"])
        .exits(2)
        .says("NetworkVeth=yes (--network-veth)");
    drop(machine);

    project.run(&["clean"]).succeeds();
    for name in ["tree", "tree.ssh", "tree.ssh.pub"] {
        assert!(!path(name).exists(), "{name}");
    }
    assert_no_leaks(project.path());
}
