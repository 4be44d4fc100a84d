//! What must not work: the message, the exit status, and that nothing is left behind.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{chown, symlink};

use support::{Project, root};

/// Settings whose build ends long before a package is installed.
const DIRECTORY: &str = "[Output]\nFormat=directory\n";

#[test]
fn root_existing_output_without_force() {
    root();
    let project = Project::debian(DIRECTORY);
    fs::create_dir(project.path().join("image")).unwrap();
    let before = project.untouched();
    project
        .run(&[])
        .exits(2)
        .says("image")
        .says("already exists")
        .says("--force");
    before.check();
}

#[test]
fn root_is_needed_to_build() {
    root();
    let project = Project::debian(DIRECTORY);
    let path = project.path().join("mkosi");
    fs::copy(env!("CARGO_BIN_EXE_mkosi"), &path).unwrap();
    support::tool("chmod", &["-R", "a+rwX", &project.path().to_string_lossy()]);
    for verb in ["build", "shell", "boot", "clean"] {
        let before = project.untouched();
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg("--")
            .arg(&path)
            .arg(verb)
            .current_dir(project.path());
        support::finish(command).exits(2).says("root").says("sudo");
        before.check();
    }
}

#[test]
fn unknown_format_and_distribution() {
    let project = Project::new();
    project.file(
        "mkosi.default",
        "[Distribution]\nDistribution=debain\n[Output]\nFormat=gpt_ext5\n",
    );
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("mkosi.default:2")
        .says("debain")
        .says("debian")
        .says("mkosi.default:4")
        .says("gpt_ext5")
        .says("gpt_ext4");
    before.check();
    project
        .run(&["--format=gpt_ext5", "summary"])
        .exits(2)
        .says("gpt_ext5");
}

#[test]
fn size_that_is_no_size() {
    let project = Project::new();
    project.file("mkosi.default", "[Partitions]\nRootSize=3 elephants\n");
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("mkosi.default:2")
        .says("3 elephants")
        .says("RootSize");
    before.check();
}

#[test]
fn bootable_tar() {
    let project = Project::debian("[Output]\nFormat=tar\nBootable=yes\n");
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("Bootable")
        .says("tar");
    before.check();
}

#[test]
fn postinst_without_executable_bit() {
    let project = Project::debian(DIRECTORY);
    project.file("mkosi.postinst", "#!/bin/sh\nexit 0\n");
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("mkosi.postinst")
        .says("chmod +x");
    before.check();
}

#[test]
fn root_password_that_others_can_read() {
    let project = Project::debian(DIRECTORY);
    project
        .file("mkosi.rootpw", "secret\n")
        .mode("mkosi.rootpw", 0o644);
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(2)
        .says("mkosi.rootpw")
        .says("0644")
        .says("chmod");
    before.check();
}

/// Whoever owns a file can read and change it, whatever its mode; and behind a link, the file counts.
#[test]
fn root_secrets_that_others_own_or_read_behind_a_link() {
    for name in ["mkosi.rootpw", "mkosi.passphrase", "mkosi.secure-boot.key"] {
        for (uid, mode, linked, said) in [
            (4711, 0o600, false, Some("belongs to user 4711")),
            (4711, 0o600, true, Some("belongs to user 4711")),
            (0, 0o640, true, Some("has mode 0640")),
            (0, 0o604, false, Some("has mode 0604")),
            (0, 0o600, true, None),
        ] {
            let project = Project::debian(DIRECTORY);
            let real = if linked { "elsewhere/secret" } else { name };
            project.file(real, "secret").mode(real, mode);
            chown(project.path().join(real), Some(uid), None).unwrap();
            if linked {
                symlink(real, project.path().join(name)).unwrap();
            }
            let before = project.untouched();
            // Without a word against the secret, something else is wrong.
            let run = project.run(&["--package=", "--format=tar", "--bootable", "build"]);
            run.exits(2);
            match said {
                Some(said) => {
                    run.says(name).says(said);
                }
                None => assert!(!run.stderr.contains(name), "{}", run.stderr),
            }
            before.check();
        }
    }
}

/// The key that opens the machines of an image, beside which it lies.
#[test]
fn root_ssh_keys_that_others_have() {
    for (uid, mode, said) in [
        (4711, 0o600, "belongs to user 4711"),
        (0, 0o640, "has mode 0640"),
        (0, 0o604, "has mode 0604"),
    ] {
        let project = Project::debian(DIRECTORY);
        project.file("image.ssh", "a key").mode("image.ssh", mode);
        chown(project.path().join("image.ssh"), Some(uid), None).unwrap();
        let before = project.untouched();
        let run = project.run(&["--ssh", "--output=image", "build"]);
        run.exits(1).says("image.ssh").says(said);
        assert!(!run.stderr.contains("Installing"), "{}", run.stderr);
        before.check();
    }
}

#[test]
fn settings_file_that_does_not_exist() {
    let project = Project::new();
    let before = project.untouched();
    project
        .run(&["--default=nowhere.default", "build"])
        .exits(2)
        .says("nowhere.default");
    before.check();
}

#[test]
fn root_settings_that_cannot_be_built_are_named() {
    root();
    let project =
        Project::debian("[Output]\nFormat=gpt_ext4\nVerity=yes\nEncrypt=data\nNetdev=yes\n");
    let before = project.untouched();
    project.run(&["build"]).exits(2).says("Netdev");
    before.check();
}

#[test]
fn root_release_that_does_not_exist() {
    root();
    let project = Project::debian(DIRECTORY);
    let before = project.untouched();
    project
        .run(&["--release=trixxie", "build"])
        .exits(2)
        .says("trixxie")
        .says("bookworm");
    before.check();
}

#[test]
fn root_package_that_does_not_exist() {
    root();
    let project = Project::debian(DIRECTORY);
    let before = project.untouched();
    project
        .run(&["--package=no-such-package-anywhere", "build"])
        .exits(1)
        .says("no-such-package-anywhere")
        .says("Packages=");
    before.check();
}

#[test]
fn root_unreachable_mirror() {
    root();
    let project = Project::debian(DIRECTORY);
    let before = project.untouched();
    project
        .run(&["--mirror=http://127.0.0.1:9/debian", "build"])
        .exits(1)
        .says("http://127.0.0.1:9/debian")
        .says("Mirror=");
    before.check();
}

#[test]
fn root_postinst_that_fails() {
    root();
    let project = Project::debian(DIRECTORY);
    project.script("mkosi.postinst", "#!/bin/sh\necho last words\nexit 3\n");
    let before = project.untouched();
    project
        .run(&["build"])
        .exits(1)
        .says("mkosi.postinst")
        .says("3")
        .says("last words");
    before.check();
}

/// Archives that try to write outside the image's root.
#[test]
fn root_tar_that_escapes() {
    root();
    let project = Project::debian(DIRECTORY);
    let outside = project.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let hostile: [(&str, &str); 2] = [
        (
            "dots",
            "import tarfile,io\n\
             t=tarfile.open('mkosi.extra.tar','w')\n\
             i=tarfile.TarInfo('../../etc/x'); i.size=1\n\
             t.addfile(i,io.BytesIO(b'x'))\n\
             t.close()\n",
        ),
        (
            "link",
            "import tarfile,io,os\n\
             t=tarfile.open('mkosi.extra.tar','w')\n\
             l=tarfile.TarInfo('evil'); l.type=tarfile.SYMTYPE; l.linkname=os.path.abspath('outside')\n\
             t.addfile(l)\n\
             i=tarfile.TarInfo('evil/x'); i.size=1\n\
             t.addfile(i,io.BytesIO(b'x'))\n\
             t.close()\n",
        ),
    ];
    for (name, program) in hostile {
        let mut python = std::process::Command::new("python3");
        python.args(["-c", program]).current_dir(project.path());
        support::finish(python).succeeds();
        let before = project.untouched();
        let run = project.run(&["build"]);
        run.exits(1).says("mkosi.extra.tar");
        run.says(if name == "dots" {
            "../../etc/x"
        } else {
            "evil/x"
        });
        before.check();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

/// A directory tree with a symbolic link where the image has a directory cannot lead outside.
#[test]
fn root_extra_tree_behind_a_link_stays_inside() {
    root();
    let project = Project::debian(DIRECTORY);
    let outside = project.path().join("outside");
    fs::create_dir(&outside).unwrap();
    project.file("mkosi.skeleton/keep", "");
    symlink(&outside, project.path().join("mkosi.skeleton/trap")).unwrap();
    project.file("mkosi.extra/trap/x", "x");
    // Whether it fails or lands beneath the root: nothing may appear outside.
    let run = project.run(&["build"]);
    assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
