//! Images of distributions with RPM packages, by this host's dnf and zypper, from small signed
//! repositories on the disk.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{Project, Run, finish, made_once, root, tool};

/// A distribution of each package manager.
const DNF: [&str; 2] = ["fedora", "44"];
const ZYPPER: [&str; 2] = ["opensuse", "tumbleweed"];

/// The repositories of `tests/rpm/repositories`, made once for all tests of this program's version.
fn repositories() -> PathBuf {
    root();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpm/repositories");
    made_once("rpm", &[&script], |new| {
        tool(&script.to_string_lossy(), &[&new.to_string_lossy()]);
    })
}

/// A project with these settings for the package manager, that trusts this key.
fn project(of: [&str; 2], key: &str, mirror: &str, settings: &str) -> Project {
    let repositories = repositories();
    let project = Project::new();
    project.file(
        "mkosi.skeleton/etc/pki/rpm-gpg/RPM-GPG-KEY-testing",
        fs::read(repositories.join("keys").join(key)).expect("a key"),
    );
    project.file(
        "mkosi.default",
        format!(
            "[Distribution]\nDistribution={}\nRelease={}\nMirror={mirror}\n\
             [Output]\nFormat=directory\nManifestFormat=json\n[Packages]\n{settings}",
            of[0], of[1]
        ),
    );
    project
}

/// A project that builds `hello` and what it needs from the good repository.
fn hello(of: [&str; 2], settings: &str) -> Project {
    let mirror = repositories().join("mirror");
    let settings = format!("BasePackages=no\nPackages=hello\n{settings}");
    project(of, "ours", &mirror.display().to_string(), &settings)
}

/// The packages in the manifest.
fn packages(project: &Project) -> Vec<String> {
    let text = fs::read(project.path().join("image.manifest")).expect("the manifest");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let names = json["packages"].as_array().expect("packages").iter();
    names
        .map(|package| {
            assert_eq!(package["type"], "rpm");
            assert_eq!(package["version"], "1-1");
            package["name"].as_str().expect("a name").to_owned()
        })
        .collect()
}

fn image(project: &Project, path: &str) -> Option<String> {
    fs::read_to_string(project.path().join("image").join(path)).ok()
}

/// What nobody may find in an image: traces of the host, of its devices, of mounts.
fn assert_clean(project: &Project) {
    let image = project.path().join("image");
    for empty in ["dev", "proc"] {
        assert_eq!(
            fs::read_dir(image.join(empty)).unwrap().count(),
            0,
            "{empty}"
        );
    }
    let scratch = project.path().strip_prefix("/").unwrap();
    assert!(!image.join(scratch).exists(), "a path of the host");
    let first = scratch.components().next().unwrap();
    let standard = ["home", "root", "srv", "tmp", "usr", "var"];
    if !standard.iter().any(|name| first.as_os_str() == *name) {
        assert!(!image.join(first).exists(), "{first:?}");
    }
    for leaving in ["run/zypp.pid", "var/lib/zypp/mkosi-excluded", "var/lib/rpm"] {
        assert!(image.join(leaving).symlink_metadata().is_err(), "{leaving}");
    }
    support::assert_no_leaks(project.path());
}

#[test]
fn root_each_distribution_is_installed() {
    let mirror = repositories().join("mirror");
    for (of, base) in [
        (
            DNF,
            "bash coreutils fedora-release filesystem glibc-minimal-langpack pam shadow-utils \
             systemd util-linux",
        ),
        (
            ["centos_epel", "9-stream"],
            "bash centos-stream-release coreutils filesystem glibc-minimal-langpack pam \
             shadow-utils systemd util-linux",
        ),
        (
            ["mageia", "9"],
            "basesystem-minimal bash coreutils filesystem systemd util-linux",
        ),
        (
            ZYPPER,
            "aaa_base bash coreutils dbus-1 filesystem openSUSE-release pam shadow systemd util-linux",
        ),
    ] {
        let project = project(of, "ours", &mirror.display().to_string(), "");
        project.run(&["build"]).succeeds();
        let expected: Vec<_> = base.split_whitespace().collect();
        assert_eq!(packages(&project), expected, "{of:?}");
        assert_clean(&project);
    }
}

#[test]
fn root_scripts_run_documentation_and_suggestions_stay_out() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for of in [DNF, ZYPPER] {
        let project = hello(of, "ManifestFormat=json,changelog\n");
        project.run(&["build"]).succeeds();
        let expected = ["bash", "filesystem", "hello", "libhello"];
        assert_eq!(packages(&project), expected, "{of:?}");
        assert_eq!(image(&project, "usr/bin/hello").unwrap(), "hello\n");
        assert_eq!(image(&project, "var/lib/hello").unwrap(), "ran\n", "{of:?}");
        assert_eq!(image(&project, "usr/share/doc/hello/README"), None);
        assert_eq!(image(&project, "usr/share/man/man1/hello.1"), None);
        assert_clean(&project);
        let log = fs::read_to_string(project.path().join("image.changelog")).unwrap();
        let entry = "Package: hello 1-1 x86_64\n\n* Mon Jan 02 2023 Ann <ann@example.org> - 1-1\n\
                     - Greet people.\n";
        assert!(log.contains(entry), "{log}");
        assert!(!log.contains("Older"), "{log}");
        // The image knows where its packages came from, and whose key signs them.
        let directory = if of == DNF {
            "etc/yum.repos.d"
        } else {
            "etc/zypp/repos.d"
        };
        let repository = image(&project, &format!("{directory}/mkosi.repo")).unwrap();
        let mirror = repositories().join("mirror");
        let url = format!("baseurl=file://{}\ngpgcheck=1\n", mirror.display());
        assert!(repository.contains(&url), "{repository}");

        project.run(&["-f", "--with-docs", "build"]).succeeds();
        let read = image(&project, "usr/share/doc/hello/README");
        assert_eq!(read.as_deref(), Some("read\n"), "{of:?}");
        let manual = image(&project, "usr/share/man/man1/hello.1");
        assert_eq!(manual.as_deref(), Some("manual\n"), "{of:?}");
    }
    let after = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(before, after, "a script of a package changed the host");
}

#[test]
fn root_names_of_every_kind() {
    for of in [DNF, ZYPPER] {
        // zypper knows of files only that packages need.
        let weak = if of == DNF { "/usr/bin/weak" } else { "weak" };
        let settings = format!("Packages={weak},!builder\nRemovePackages=weak\n");
        let project = hello(of, &settings);
        project.file(
            "mkosi.default.d/more.conf",
            "[Packages]\nPackages=greeting(english)\n",
        );
        project.script(
            "mkosi.postinst",
            "#!/bin/sh\nset -e\ntest -e /usr/bin/weak\n",
        );
        project.run(&["build"]).succeeds();
        assert_eq!(image(&project, "usr/bin/weak"), None, "{of:?}");
        let expected = ["bash", "filesystem", "hello", "libhello"];
        assert_eq!(packages(&project), expected, "{of:?}");
        // What is left out must not come in because something needs it.
        project
            .run(&["-f", "--package=!libhello", "build"])
            .exits(1)
            .says("libhello");
    }
}

#[test]
fn root_the_development_image_has_more() {
    for of in [DNF, ZYPPER] {
        let project = hello(of, "BuildPackages=builder\nSourceFileTransfer=copy-all\n");
        project.script(
            "mkosi.build",
            "#!/bin/sh\nset -e\ncat /usr/share/builder/builder\nmkdir -p $DESTDIR/usr/share\n\
             echo made > $DESTDIR/usr/share/made\n",
        );
        project.run(&["-i", "build"]).succeeds();
        assert_eq!(image(&project, "usr/share/made").unwrap(), "made\n");
        assert_eq!(image(&project, "usr/share/builder/builder"), None);
        assert!(!packages(&project).contains(&"builder".to_owned()));
        assert_clean(&project);
        project.run(&["-if", "build"]).succeeds().says("cache hit");
        assert_eq!(image(&project, "usr/bin/hello").unwrap(), "hello\n");
        // Another key makes another tree, and this one signs nothing that is there.
        let other = fs::read(repositories().join("keys/foreign")).unwrap();
        project.file("mkosi.skeleton/etc/pki/rpm-gpg/RPM-GPG-KEY-testing", other);
        let why = project.run(&["-i", "why"]);
        why.succeeds().prints("base: made again");
        project.run(&["-if", "build"]).exits(1).says("signature");
    }
}

/// A web server for a directory.
struct Server(Child, u16);

impl Server {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says where when it listens: `Serving HTTP on 127.0.0.1 port 40001 (…`.
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let mut words = line.split_whitespace().skip_while(|word| *word != "port");
        let port = words.nth(1).unwrap_or_default();
        let port = port
            .parse()
            .unwrap_or_else(|_| panic!("python3 says {line}"));
        Self(child, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn root_the_cache_stands_in_for_the_mirror() {
    for (of, key) in [
        (DNF, "RPM-GPG-KEY-fedora-44-primary"),
        (ZYPPER, "RPM-GPG-KEY-openSUSE-Tumbleweed"),
    ] {
        let server = Server::start(&repositories().join("web"));
        let mirror = format!("http://127.0.0.1:{}", server.1);
        let settings = "BasePackages=no\nPackages=hello\nCache=cache\n";
        let project = project(of, "ours", &mirror, settings);
        // By this name it stands for the distribution's own, which is not asked for.
        let ours = fs::read(repositories().join("keys/ours")).unwrap();
        project.file(&format!("mkosi.skeleton/etc/pki/rpm-gpg/{key}"), ours);
        fs::create_dir(project.path().join("cache")).unwrap();
        project.run(&["build"]).succeeds();
        drop(server);
        let run = project.run(&["-f", "build"]);
        run.succeeds();
        assert_eq!(
            image(&project, "usr/bin/hello").unwrap(),
            "hello\n",
            "{of:?}"
        );
        assert_clean(&project);
        // Without it, the mirror is missed.
        fs::remove_dir_all(project.path().join("cache")).unwrap();
        let run = project.run(&["-f", "--cache=", "build"]);
        run.exits(1).says("check Mirror=");
    }
}

/// What must not be installed, and what is said about it.
#[track_caller]
fn fails(of: [&str; 2], key: &str, mirror: &str, settings: &str, words: &[&str]) -> Run {
    let project = project(of, key, mirror, &format!("BasePackages=no\n{settings}"));
    let before = project.untouched();
    let run = project.run(&["build"]);
    run.exits(1);
    for word in words {
        run.says(word);
    }
    before.check();
    run
}

#[test]
fn root_packages_that_nobody_vouches_for_are_refused() {
    let all = repositories();
    let mirror = all.join("mirror").display().to_string();
    let added = |name: &str| {
        let url = format!("file://{}", all.join(name).display());
        format!("Packages={name}\n[Distribution]\nRepositories={url}\n")
    };
    for of in [DNF, ZYPPER] {
        let hint = "mkosi.skeleton/etc/pki/rpm-gpg/";
        fails(of, "ours", &mirror, &added("unsigned"), &["unsigned", hint]);
        fails(of, "ours", &mirror, &added("foreign"), &["foreign", hint]);
        fails(of, "foreign", &mirror, "Packages=hello\n", &[hint]);
        fails(
            of,
            "ours",
            &mirror,
            &added("damaged"),
            &["damaged", "try another Mirror="],
        );
    }
    // Where a distribution signs its list of packages, an unsigned list is no list.
    let unsigned = all.join("unsigned-list").display().to_string();
    fails(
        ZYPPER,
        "ours",
        &unsigned,
        "Packages=hello\n",
        &["unsigned", "skeleton"],
    );
    // The same, when it is dnf that installs it.
    let project = project(
        ZYPPER,
        "ours",
        &unsigned,
        "BasePackages=no\nPackages=hello\n",
    );
    let mut command = without_zypper(&project, &["build"]);
    command.stdin(Stdio::null());
    finish(command)
        .exits(1)
        .says("repomd.xml")
        .says("signature");
    // Only who says so goes without.
    for of in [DNF, ZYPPER] {
        let settings = format!("BasePackages=no\n{}", added("unsigned"));
        let project = self::project(of, "ours", &mirror, &settings);
        let run = project.run(&["--repository-key-check=no", "build"]);
        run.succeeds()
            .says("signatures of packages are NOT checked");
        assert!(image(&project, "usr/share/unsigned/unsigned").is_some());
    }
}

#[test]
fn root_repository_files_of_the_project_count_for_dnf() {
    repository_files_count(DNF);
}

#[test]
fn root_repository_files_of_the_project_count_for_zypper() {
    repository_files_count(ZYPPER);
}

fn repository_files_count(of: [&str; 2]) {
    let all = repositories();
    let mirror = all.join("mirror").display().to_string();
    let file = |name: &str, key: &str, enabled: u8| {
        let all = all.display();
        format!(
            "[more]\nname=More\nbaseurl=file://{all}/{name}\nenabled={enabled}\ngpgcheck=0\n\
             gpgkey=file://{all}/keys/{key}\n"
        )
    };
    let settings = "BasePackages=no\nPackages=hello foreign\n";
    let project = project(of, "ours", &mirror, settings);
    project.file("mkosi.reposdir/more.repo", file("foreign", "foreign", 0));
    project.run(&["build"]).exits(1).says("foreign");
    project.run(&["--repositories=more", "build"]).succeeds();
    assert!(image(&project, "usr/share/foreign/foreign").is_some());
    assert_clean(&project);
    // What the file says about checking does not count.
    project.file("mkosi.reposdir/more.repo", file("unsigned", "ours", 1));
    let settings = fs::read_to_string(project.path().join("mkosi.default")).unwrap();
    project.file(
        "mkosi.default",
        settings.replace("hello foreign", "unsigned"),
    );
    project
        .run(&["-f", "build"])
        .exits(1)
        .says("mkosi.skeleton/etc/pki/rpm-gpg/");
    project.file("mkosi.reposdir/more.repo", "[more]\nname=More\n");
    project
        .run(&["-f", "build"])
        .exits(2)
        .says("more.repo:1: [more] has none of baseurl, metalink and mirrorlist");
}

/// The program, on a host without zypper.
fn without_zypper(project: &Project, arguments: &[&str]) -> Command {
    let script = format!(
        "mount --bind /dev/null {} && exec {} \"$@\"",
        tool("sh", &["-c", "command -v zypper"]).trim(),
        env!("CARGO_BIN_EXE_mkosi")
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec", &script, "sh"])
        .args(arguments)
        .current_dir(project.path());
    command
}

#[test]
fn root_dnf_installs_opensuse_where_zypper_is_missing() {
    let project = hello(ZYPPER, "");
    let mut command = without_zypper(&project, &["build"]);
    command.stdin(Stdio::null());
    finish(command).succeeds();
    assert_eq!(image(&project, "var/lib/hello").unwrap(), "ran\n");
    assert_clean(&project);
    // Whoever checked the list of packages works no longer.
    let name = project.path().display().to_string();
    let processes = tool("ps", &["-eo", "args"]);
    assert!(!processes.contains(&name), "{processes}");
}

#[test]
fn root_what_cannot_be_installed_is_explained() {
    let all = repositories();
    let mirror = all.join("mirror").display().to_string();
    for of in [DNF, ZYPPER] {
        let fails = |settings: &str, words: &[&str]| fails(of, "ours", &mirror, settings, words);
        fails(
            "Packages=no-such-package\n",
            &["no package no-such-package", "Packages="],
        );
        fails("Packages=needy\n", &["what-nobody-has", "Repositories="]);
        fails(
            "Packages=clash-a,clash-b\n",
            &["/usr/share/clash", "same file"],
        );
    }
    let nowhere = "http://127.0.0.1:9/nowhere";
    for (of, key) in [
        (DNF, "RPM-GPG-KEY-fedora-44-primary"),
        (ZYPPER, "RPM-GPG-KEY-openSUSE"),
    ] {
        let project = project(of, "ours", nowhere, "BasePackages=no\nPackages=hello\n");
        let ours = fs::read(all.join("keys/ours")).unwrap();
        project.file(&format!("mkosi.skeleton/etc/pki/rpm-gpg/{key}"), ours);
        let before = project.untouched();
        project
            .run(&["build"])
            .exits(1)
            .says("127.0.0.1:9")
            .says("check Mirror=");
        before.check();
    }
    // One of two repositories is missing: what it has may be the security updates.
    for (of, key, path) in [
        (
            DNF,
            "RPM-GPG-KEY-fedora-44-primary",
            "releases/44/Everything/x86_64/os",
        ),
        (ZYPPER, "RPM-GPG-KEY-openSUSE", "tumbleweed/repo/oss"),
    ] {
        let web = tempfile::tempdir().unwrap();
        let link = web.path().join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(all.join("mirror"), &link).unwrap();
        let server = Server::start(web.path());
        let mirror = format!("http://127.0.0.1:{}", server.1);
        let project = project(of, "ours", &mirror, "BasePackages=no\nPackages=hello\n");
        let ours = fs::read(all.join("keys/ours")).unwrap();
        project.file(&format!("mkosi.skeleton/etc/pki/rpm-gpg/{key}"), ours);
        let before = project.untouched();
        project.run(&["build"]).exits(1).says("check Mirror=");
        before.check();
    }
    // Nobody is trusted unless somebody says so.
    for of in [DNF, ZYPPER] {
        let project = project(of, "ours", &mirror, "BasePackages=no\nPackages=hello\n");
        fs::remove_dir_all(project.path().join("mkosi.skeleton")).unwrap();
        let before = project.untouched();
        project
            .run(&["build"])
            .exits(1)
            .says("no key is known for the packages");
        before.check();
    }
}

#[test]
fn root_skeletons_cannot_lead_rpm_to_the_host() {
    for of in [DNF, ZYPPER] {
        for link in [
            "usr/lib/sysimage/rpm",
            "var/lib",
            "dev",
            "proc",
            "etc/yum.repos.d",
        ] {
            let project = hello(of, "");
            let outside = project.path().join("outside");
            fs::create_dir(&outside).unwrap();
            let path = project.path().join("mkosi.skeleton").join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&outside, &path).unwrap();
            let before = project.untouched();
            let run = project.run(&["build"]);
            run.exits(1).says(link);
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
            before.check();
        }
    }
}

/// dnf 5, and a newer rpm and zypper, of Debian's development release; Debian stable has none of them.
/// yum is tested nowhere but in unit tests: Debian has none.
#[test]
#[ignore = "long: makes a whole Debian, and runs the tests above in it"]
fn root_dnf5_and_newer_programs_do_the_same() {
    // With this host's programs, which the other Debian need not have.
    repositories();
    let debian = Project::debian(
        "Packages=dnf5 gpg procps python3 rpm systemd-container zypper\n\
         [Output]\nFormat=directory\nOutput=image\n[Distribution]\nRelease=sid\n",
    );
    debian.run(&[]).succeeds();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("unshare");
    command
        .arg("--mount")
        .arg(repository.join("tests/rpm/inside"))
        .arg(debian.path().join("image"))
        .arg(repository)
        .arg(std::env::current_exe().unwrap())
        // zypper 1.14 does not understand what rpm 6 says of a good signature.
        .args([
            "--skip",
            "root_repository_files_of_the_project_count_for_zypper",
        ])
        .env("HOME", "/root")
        .stdin(Stdio::null());
    let run = finish(command);
    // All but this one and the one that is skipped.
    let all = "; 0 failed; 1 ignored; 0 measured; 1 filtered out";
    let ran = run.stdout.contains(all) && !run.stdout.contains("ok. 0 passed");
    assert!(ran && run.code == Some(0), "{}{}", run.stdout, run.stderr);
    support::assert_no_leaks(debian.path());
}

/// What packages provide, patterns of names and groups are known by the package manager alone.
#[test]
fn root_rpm_check_asks_the_distribution() {
    let mirror = repositories().join("mirror").display().to_string();
    for (of, name, group, unknown) in [
        (DNF, "Fedora Linux 44", "@greeters", "@nosuch"),
        (
            ZYPPER,
            "openSUSE tumbleweed",
            "libhello=1",
            "pattern:nosuch",
        ),
    ] {
        let settings =
            format!("Packages=hello helo wea* greeting(english) /usr/bin/weak {group} {unknown}\n");
        let project = project(of, "ours", &mirror, &settings);
        let before = project.untouched();
        let home = tempfile::tempdir().unwrap();
        let mut command = project.command(&["check"]);
        command.env("HOME", home.path());
        let run = finish(command);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        run.exits(2)
            .prints(&format!("{name} has no package helo; did you mean hello?"))
            .prints(&format!("{name} has no package {unknown}"))
            .prints("2 errors.");
        before.check();
        // Once more, with the lists that are kept.
        let settings = format!("Cache=cache\nPackages=hello {group}\n");
        let project = self::project(of, "ours", &mirror, &settings);
        for _ in 0..2 {
            project.run(&["check"]).exits(0).prints("Nothing is wrong.");
        }
        support::assert_no_leaks(project.path());
    }
}
