//! IMGBUILD for Arch Linux, from a repository of the tests' own by the host's pacman, and for Alpine Linux,
//! by a program that stands in for apk. Needs root, pacman, repo-add, gpg and busybox-static; no network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod apk;
mod makeimg;
mod pacman;
mod signing;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use makeimg::with_program;
use pacman::{Package, Repository, add_base, trust};
use signing::Key;
use support::{Project, assert_no_leaks, root, tool};

const ARCH: &str = "imgname=box\ntarget=arch\nformat=dir\npackages=hello\nhostconf=keyring\n\
                    provision() {\n cat /etc/motd > /etc/provisioned\n}\n";

/// The file as its manual has it: options, and a list of servers that is included.
const PACMAN_CONF: &str = "[options]\nArchitecture = auto\nCheckSpace\nGPGDir = ./gnupg\n\
                           SigLevel = Required DatabaseOptional\nNoExtract = usr/share/licenses/*\n\n\
                           [core]\nInclude = ./mirrorlist\n";

#[test]
fn an_imgbuild_for_arch_uses_its_pacman_conf() {
    root();
    let key = Key::new("Tester <tester@example.com>");
    let repository = Repository::new();
    add_base(&repository, Some(&key));
    let evil = Package {
        files: &[("usr/bin/evil", "#!/bin/sh\n")],
        ..Package::new("evil")
    };
    repository.add(&evil, None);
    repository.index(Some(&key));
    let project = Project::new();
    let server = format!(
        "Server = file://{}/$repo/os/$arch\n",
        repository.mirror().display()
    );
    project
        .file("IMGBUILD", ARCH)
        .file("pacman.conf", PACMAN_CONF)
        .file("mirrorlist", server)
        .file("files/etc/motd", "hello\n");
    trust(&project, Some(&key));
    let untouched = project.untouched();

    // What it must not say, and what is not signed, before anything that works.
    let with = |conf: &str, words: &[&str]| {
        project.file("pacman.conf", conf);
        let run = project.run(words);
        project.file("pacman.conf", PACMAN_CONF);
        run
    };
    for level in ["Never", "Optional TrustAll"] {
        with(
            &PACMAN_CONF.replace("Required DatabaseOptional", level),
            &[],
        )
        .exits(2)
        .says(&format!(
            "pacman.conf:5: SigLevel = {level}: packages are installed only if"
        ))
        .says("--repository-key-check=no");
    }
    with("[core]\nInclude = /etc/shadow\n", &[])
        .exits(2)
        .says("pacman.conf:2: Include = /etc/shadow: it leads out of the project");
    project
        .run(&["--package=evil"])
        .exits(1)
        .says("must be signed");
    untouched.check();

    project.run(&[]).succeeds().says("with pacman");
    let tree = project.path().join("box");
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!(read("etc/provisioned"), "hello\n");
    assert!(tree.join("usr/bin/hello").exists());
    assert!(
        !tree.join("usr/share/licenses/hello").exists(),
        "NoExtract counts"
    );
    assert!(
        !tree.join("etc/pacman.conf").exists(),
        "the file stays in the project"
    );
    let packages = fs::read_to_string(project.path().join("box.packages")).unwrap();
    assert!(
        packages.lines().any(|line| line == "hello 1.0-1 x86_64"),
        "{packages}"
    );
    // The image can check packages itself, and has nobody's secret key.
    let keys = tree.join("etc/pacman.d/gnupg");
    assert!(!keys.join("private-keys-v1.d").exists() && !keys.join("secring.gpg").exists());
    let signature = format!("{}.sig", repository.file("hello").display());
    let gpgdir = keys.to_string_lossy();
    tool(
        "pacman-key",
        &[
            "--config",
            "/dev/null",
            "--gpgdir",
            &gpgdir,
            "--verify",
            &signature,
        ],
    );
    assert_no_leaks(project.path());

    // A cached tree belongs to the keys and servers that it was made with.
    fs::remove_dir_all(project.path().join("gnupg")).unwrap();
    trust(&project, None);
    project
        .run(&["--force"])
        .exits(1)
        .says("a signature could not be verified");
    project
        .file("IMGBUILD", ARCH.replace("hostconf=keyring\n", ""))
        .run(&["--force", "--repository-key-check=no"])
        .succeeds()
        .says("SIGNATURES OF PACKAGES ARE NOT CHECKED");
    assert!(!keys.exists(), "without hostconf the image has no keyring");
    assert_no_leaks(project.path());
}

#[test]
fn an_imgbuild_for_alpine_uses_its_repositories_and_keys() {
    root();
    let project = Project::new();
    apk::install(&project);
    project
        .file(
            "IMGBUILD",
            "imgname=box\ntarget=alpine\nformat=dir\npackages='\ncurl\n'\n\
             provision() {\n echo \"$format\" > /etc/provisioned\n}\n",
        )
        .file(
            "repositories",
            "# mine\n./packages\n@edge https://example.com/edge/main\n",
        )
        .file("packages/content", "mirror\n")
        .file("keys/own.rsa.pub", "key\n")
        .file("files/etc/motd", "hello\n");
    let run = |words: &[&str]| support::finish(apk::in_reach(&project, project.command(words)));
    run(&["--mirror=https://example.com"])
        .exits(2)
        .says("Mirror: the project's file repositories says where packages come from");
    run(&[]).succeeds().says("with apk");
    let tree = project.path().join("box");
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    let noted = read("noted");
    assert!(!noted.contains("--allow-untrusted"), "{noted}");
    assert!(
        noted.ends_with(
            "add -- alpine-base curl\n\
             /run/mkosi/mirrors/0\n@edge https://example.com/edge/main\nown.rsa.pub\nmirror\n"
        ),
        "{noted}"
    );
    assert_eq!(read("etc/provisioned"), "dir\n");
    assert_eq!(read("etc/motd"), "hello\n");
    // apk brings its keys along; the list of repositories stays in the project.
    assert_eq!(read("etc/apk/keys/own.rsa.pub"), "key\n");
    assert!(!tree.join("etc/apk/repositories").exists());
    let packages = fs::read_to_string(project.path().join("box.packages")).unwrap();
    assert!(packages.contains("curl"), "{packages}");
    assert_no_leaks(project.path());

    fs::rename(project.path().join("keys"), project.path().join("other")).unwrap();
    fs::create_dir(project.path().join("keys")).unwrap();
    run(&["--force"])
        .exits(2)
        .says("keys: it holds no public key");
    project.file("repositories", "https://example.com/a b\n");
    run(&["--force"])
        .exits(2)
        .says("repositories:1: https://example.com/a b: expected an address");
    // Of another package manager nothing is read.
    project.file("pacman.conf", "nonsense\n");
    run(&["summary"]).exits(2).says("pacman.conf is not read");
}

/// The manual's example: a template with a secret out of a password store, which is revealed here, and built
/// with on another machine, where there is no such store.
#[test]
fn secrets_revealed_here_build_elsewhere() {
    root();
    let (project, buildhost) = (Project::new(), Project::new());
    apk::install(&project);
    let bin = with_program(&project);
    project
        .script(
            "bin/pass",
            "#!/bin/sh\n[ \"$*\" = 'show vpn/server_key' ] && echo c2VjcmV0LWtleQ==\n",
        )
        .script(
            "bin/scp",
            "#!/bin/sh\nset -e\n[ \"$3\" = user@buildhost: ]\nexec cp -r \"$2\" \"$BUILDHOST\"\n",
        )
        .script(
            "bin/ssh",
            "#!/bin/sh\nset -e\nrm bin/pass\ncd \"$BUILDHOST\"\nshift\nexec \"$@\"\n",
        )
        .file(
            "IMGBUILD",
            "imgname=vpn\ntarget=alpine\nformat=dir\nSERVER_IP=10.0.0.1\n",
        )
        .file("keys/own.rsa.pub", "key\n")
        .file("repositories", "./packages\n")
        .file("packages/content", "")
        .file("secrets/+vpn_server_key", "pass show vpn/server_key\n")
        .file(
            "files/etc/wireguard/wg0.conf.makeimg.template",
            "[Interface]\nAddress = ${SERVER_IP}/24\nListenPort = 51820\n\
             PrivateKey = $(makeimg -S +vpn_server_key)\n\n[Peer]\nAllowedIPs =\n",
        )
        .mode("files/etc/wireguard/wg0.conf.makeimg.template", 0o600);
    let mut shell = Command::new("bash");
    shell
        .current_dir(project.path())
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("BUILDHOST", buildhost.path())
        .env_remove("SUDO_UID")
        .env_remove("SUDO_USER")
        .args(["-ec", "makeimg -R xsecrets\nscp -r . user@buildhost:\nssh user@buildhost makeimg -r xsecrets\n"]);
    support::finish(shell).succeeds();
    let conf = buildhost.path().join("vpn/etc/wireguard/wg0.conf");
    assert_eq!(
        fs::read_to_string(&conf).unwrap(),
        "[Interface]\nAddress = 10.0.0.1/24\nListenPort = 51820\n\
         PrivateKey = c2VjcmV0LWtleQ==\n\n[Peer]\nAllowedIPs =\n"
    );
    assert_eq!(fs::metadata(&conf).unwrap().mode() & 0o7777, 0o600);
    assert!(!project.path().join("vpn").exists());
    assert_no_leaks(buildhost.path());
}
