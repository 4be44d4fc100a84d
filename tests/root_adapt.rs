//! Patches, templates and secrets in real builds. Needs root and the network, or what it brought earlier.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use support::{Project, root};

/// One base for everything here.
const SETTINGS: &str =
    "Environment=SERVER_IP=10.0.0.1\n[Output]\nFormat=directory\nIncremental=yes\n";

const PATCH: &str = "--- a/whatever\n+++ b/whatever\n@@ -1,2 +1,3 @@\n root:x:0:0:root:/root:/bin/bash\n\
    +toor:x:0:0:root:/root:/bin/sh\n daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n";

const TEMPLATE: &str = "Address = ${SERVER_IP}/24\nPrivateKey = $(makeimg -S key)\n\
    Same = $(mkosi secret key | tr a-z A-Z)\nThird = $(secret +user)\nHere = $(cat note)";

fn project() -> Project {
    let project = Project::debian(SETTINGS);
    project
        .file("mkosi.extra/etc/passwd.mkosi.patch", PATCH)
        .file("mkosi.extra/etc/wg/wg0.conf.mkosi.template", TEMPLATE)
        .mode("mkosi.extra/etc/wg/wg0.conf.mkosi.template", 0o640)
        .file(
            "mkosi.skeleton/etc/early.mkosi.template",
            "early $SERVER_IP\n",
        )
        .file("secrets/key", "echo asked >> asked; echo correcthorse\n")
        .file("secrets/+user", "id -un\n")
        .file("note", "noted\n");
    project
}

#[test]
fn trees_adapt_what_is_installed() {
    root();
    let project = project();
    // The template reads the project as its owner, and has none of root's rights.
    std::os::unix::fs::chown(project.path(), Some(4711), Some(4711)).unwrap();
    let mut build = project.command(&[]);
    build.env("SUDO_UID", "1").env("SUDO_GID", "1");
    support::finish(build)
        .succeeds()
        .says("Rendering templates");
    let at = |name: &str| project.path().join("image").join(name);
    let passwd = fs::read_to_string(at("etc/passwd")).unwrap();
    assert_eq!(passwd.lines().nth(1), Some("toor:x:0:0:root:/root:/bin/sh"));
    assert_eq!(
        fs::read_to_string(at("etc/early")).unwrap(),
        "early 10.0.0.1\n"
    );
    let conf = at("etc/wg/wg0.conf");
    assert_eq!(
        fs::read_to_string(&conf).unwrap(),
        "Address = 10.0.0.1/24\nPrivateKey = correcthorse\nSame = CORRECTHORSE\nThird = daemon\n\
         Here = noted"
    );
    let meta = fs::metadata(&conf).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.uid(), meta.gid()),
        (0o640, 0, 0)
    );
    for name in [
        "etc/passwd.mkosi.patch",
        "etc/wg/wg0.conf.mkosi.template",
        "etc/early.mkosi.template",
    ] {
        assert!(!at(name).exists(), "{name}");
    }
    let asked = fs::read_to_string(project.path().join("asked")).unwrap();
    assert_eq!(asked, "asked\n", "one command serves all who ask");

    // A changed skeleton template makes a new base, a changed extra template does not.
    project.file("mkosi.extra/etc/wg/wg0.conf.mkosi.template", "x\n");
    project.run(&["why"]).succeeds().prints("base: reused");
    project
        .run(&["--environment=SERVER_IP=10.0.0.2", "why"])
        .succeeds()
        .prints("Environment, SERVER_IP");
    project.file("mkosi.skeleton/etc/early.mkosi.template", "earlier\n");
    project
        .run(&["why"])
        .succeeds()
        .prints("etc/early.mkosi.template");
    project.file(
        "mkosi.skeleton/etc/early.mkosi.template",
        "early $SERVER_IP\n",
    );

    // What does not fit, and what fails, ends the build.
    let untouched = project.untouched();
    let failing = |name: &str, text: &str, words: &[&str]| {
        project.file(name, text);
        let run = project.run(&[&["-f"], words].concat());
        fs::remove_file(project.path().join(name)).unwrap();
        untouched.check();
        run
    };
    failing("mkosi.extra/etc/hosts.equiv.mkosi.patch", PATCH, &[])
        .exits(1)
        .says("etc/hosts.equiv.mkosi.patch to /etc/hosts.equiv: the image has no such file");
    failing("mkosi.extra/etc/group.mkosi.patch", PATCH, &[])
        .exits(1)
        .says("group.mkosi.patch to /etc/group: the change at line 3 of the patch does not fit: it expects");
    failing("mkosi.extra/etc/x.mkosi.template", "$NOBODY\n", &[])
        .exits(1)
        .says("etc/x.mkosi.template: it printed:")
        .says("NOBODY: unbound variable")
        .says("--warn-only");
    // Values are kept out of what a template prints.
    let leak = failing(
        "mkosi.extra/etc/x.mkosi.template",
        "$(secret key >&2)\n",
        &[],
    );
    leak.exits(1).says("it printed:\n    ***");
    assert!(!leak.stderr.contains("correcthorse"), "{}", leak.stderr);
    // Neither the network, nor other places, nor rights.
    for (text, says) in [
        ("$(touch note)\n", "cannot touch 'note'"),
        ("$(touch /etc/x)\n", "Read-only file system"),
        ("$(ls /home)\n", "No such file or directory"),
        (
            "$(if grep -q . /etc/shadow; then echo shadow >&2; fi; \
             if grep -qE '^ *[a-km-z]+.*:' /proc/net/dev; then echo network >&2; fi; \
             echo \"user $(id -u), end\" >&2)\n",
            "it printed:\n    user 4711, end\n",
        ),
    ] {
        failing("mkosi.extra/etc/x.mkosi.template", text, &[])
            .exits(1)
            .says(says);
    }
    failing(
        "mkosi.extra/etc/x.mkosi.template",
        "now $(false)\n",
        &["--warn-only"],
    )
    .succeeds()
    .says("a command failed with status 1: false");
}

#[test]
fn cached_trees_get_no_secrets() {
    root();
    let project = Project::debian(SETTINGS.trim_end_matches("Incremental=yes\n"));
    project
        .file("secrets/key", "echo correcthorse\n")
        .file("note", "noted\n")
        .file("mkosi.skeleton/a.mkosi.template", "$(mkosi secret key)\n");
    let untouched = project.untouched();
    project
        .run(&[])
        .exits(1)
        .says("what is in it becomes part of cached images; move the template to an extra tree");
    untouched.check();
    // Nor do they read what nobody would notice a change of.
    let note = project.path().join("note");
    project.file(
        "mkosi.skeleton/a.mkosi.template",
        format!("$(cat {})\n", note.display()),
    );
    project
        .run(&[])
        .exits(1)
        .says("note: No such file or directory");
    project.file("mkosi.skeleton/a.mkosi.template", "");
    project.file("mkosi.skeleton/etc/passwd.makeimg.patch", PATCH);
    project.run(&[]).exits(1).says(
        "/etc/passwd: the image has no such file yet: packages are installed after skeleton trees",
    );
    untouched.check();
}

#[test]
fn secrets_are_printed_and_revealed() {
    root();
    let project = Project::new();
    project
        .file("secrets/key", "printf 'a\\0b'")
        .file("secrets/+me", "id -u; id -G; echo $HOME");
    let run = project.run(&["secret", "key"]);
    run.succeeds();
    assert_eq!(run.stdout, "a\0b");
    project.run(&["secret", "+me"]).succeeds().prints("0\n");
    fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.command(&["secret", "+me"]);
    command.env("SUDO_UID", "1").env("SUDO_GID", "7");
    support::finish(command)
        .succeeds()
        .prints("1\n7 1\n/usr/sbin\n");
    let mut command = project.command(&["secret", "+me"]);
    command.env("DOAS_USER", "daemon");
    support::finish(command)
        .succeeds()
        .prints("1\n1\n/usr/sbin\n");
    project
        .run(&["secret", "other"])
        .exits(1)
        .says("secrets/other does not exist");
    project.run(&["secret"]).exits(2).says("mkosi secret NAME");
    project
        .run(&["secrets", "reveal"])
        .exits(2)
        .says("mkosi secrets reveal DIRECTORY");
    project
        .run(&["secrets", "reveal", "xsecrets"])
        .succeeds()
        .says("xsecrets/key");
    let revealed = project.path().join("xsecrets");
    assert_eq!(fs::metadata(&revealed).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(
        fs::metadata(revealed.join("key")).unwrap().mode() & 0o7777,
        0o600
    );
    fs::remove_dir_all(project.path().join("secrets")).unwrap();
    let run = project.run(&["--revealed=xsecrets", "secret", "key"]);
    assert_eq!(run.succeeds().stdout, "a\0b");
}

#[test]
fn modes_are_recorded_and_applied() {
    root();
    let project = Project::new();
    project
        .script("mkosi.extra/usr/bin/tool", "")
        .file("mkosi.skeleton/etc/key", "")
        .mode("mkosi.skeleton/etc/key", 0o600);
    project
        .run(&["modes", "apply"])
        .exits(1)
        .says("no modes have been recorded");
    let mut command = project.command(&["modes", "record"]);
    command.env("SUDO_UID", "1").env("SUDO_GID", "1");
    support::finish(command)
        .succeeds()
        .says("the modes of 2 files");
    let record = project.path().join(".mkosi.modes");
    assert_eq!(fs::metadata(&record).unwrap().uid(), 1);
    assert_eq!(
        fs::read_to_string(&record).unwrap(),
        "0755 mkosi.extra/usr/bin/tool\n0600 mkosi.skeleton/etc/key\n"
    );
    project
        .mode("mkosi.extra/usr/bin/tool", 0o600)
        .mode("mkosi.skeleton/etc/key", 0o644);
    project
        .run(&["modes", "apply"])
        .succeeds()
        .says("changed the modes of 2 files");
    let mode = |name: &str| fs::metadata(project.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        (
            mode("mkosi.extra/usr/bin/tool"),
            mode("mkosi.skeleton/etc/key")
        ),
        (0o755, 0o600)
    );
    project.run(&["modes"]).exits(2).says("mkosi modes record");
}
