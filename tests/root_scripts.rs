//! Scripts of a project in their containers: what they see, what they cannot reach, and what becomes
//! of what they make. Needs root and systemd-nspawn. The image is a small tree of the host's programs.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mkosi::host::{Cancel, Host, HostRunner, Report};
use mkosi::scripts::{
    BuildScript, Script, ScriptError, Workplace, build, install, is_empty, keep_headers, prepare,
};
use mkosi::tree::Root;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// What the scripts of these tests call.
const PROGRAMS: [&str; 16] = [
    "bash", "cat", "chmod", "chown", "cp", "env", "id", "ln", "ls", "mkdir", "mkfifo", "mknod",
    "mv", "rm", "sleep", "touch",
];

#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Report for Said {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(format!("warning: {message}"));
    }
    fn progress(&self, _: u64, _: u64) {}
    fn command(&self, _: &str) {}
}

struct Case {
    directory: TempDir,
    said: Arc<Said>,
    cancel: Cancel,
    script: BuildScript,
    owner: Option<(u32, u32)>,
}

impl Case {
    /// A development image with sources, and this script.
    fn new(script: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        separate();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["tree/root/src", "destination", "build"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fill(&at("tree"));
        fs::write(at("tree/root/src/main.c"), "").unwrap();
        let path = at("mkosi.build");
        fs::write(&path, format!("#!/bin/bash\nset -e\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let script = BuildScript {
            script: Script {
                path,
                argument: "build",
                environment: Vec::new(),
                network: false,
            },
            with_docs: false,
            with_tests: true,
            build_directory: None,
        };
        Self {
            directory,
            said: Arc::default(),
            cancel: Cancel::default(),
            script,
            owner: None,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn host(&self) -> Host {
        Host::new(Arc::new(HostRunner), self.said.clone(), self.cancel.clone())
    }

    fn try_build(&self) -> Result<(), ScriptError> {
        let (root, destination) = (self.at("tree"), self.at("destination"));
        let place = Workplace {
            root: &root,
            sources: None,
            read_only: false,
            destination: &destination,
            owner: self.owner,
        };
        build(&self.script, &place, &self.host())
    }

    /// Builds, and returns what the script wrote to `$DESTDIR/out`.
    fn build(&self) -> String {
        if let Err(error) = self.try_build() {
            panic!("{}\n{}", chain(&error), self.said());
        }
        fs::read_to_string(self.at("destination/out")).unwrap_or_default()
    }

    fn said(&self) -> String {
        self.said.0.lock().unwrap().join("\n")
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}\n{error}");
        source = error.source();
    }
    text
}

/// Containers of different tests have one name: each test's are kept apart, as each build's are.
fn separate() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    fs::create_dir_all("/run/systemd/nspawn").unwrap();
    let memory = Some("tmpfs");
    mount(
        memory,
        "/run/systemd/nspawn",
        memory,
        MsFlags::empty(),
        none,
    )
    .unwrap();
}

/// Copies programs of the host, with the libraries that they need.
fn fill(tree: &Path) {
    for name in [
        "usr/bin", "usr/lib", "etc", "proc", "sys", "dev", "run", "tmp", "var",
    ] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    fs::write(tree.join("etc/os-release"), "ID=test\n").unwrap();
    symlink("usr/bin", tree.join("bin")).unwrap();
    for name in PROGRAMS {
        let found = Command::new("sh")
            .args(["-c", "readlink -f \"$(command -v \"$0\")\"", name])
            .output()
            .unwrap();
        let path = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        fs::copy(&path, tree.join("usr/bin").join(name)).unwrap();
        let needed = Command::new("ldd").arg(&path).output().unwrap();
        for word in String::from_utf8(needed.stdout).unwrap().split_whitespace() {
            let target = tree.join(word.trim_start_matches('/'));
            if word.starts_with('/') && !target.exists() {
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(word, target).unwrap();
            }
        }
    }
}

#[test]
fn root_the_script_is_told_where_everything_is() {
    let mut case = Case::new(
        "echo \"$# $PWD $SRCDIR $DESTDIR ${BUILDDIR-unset} $WITH_DOCS$WITH_TESTS$WITH_NETWORK\" \
         > $DESTDIR/out\n\
         echo \"$COLOUR $SOURCE_DATE_EPOCH $(ls $SRCDIR) $(id -u)\" >> $DESTDIR/out\n\
         echo said; echo said too >&2",
    );
    let environment = &mut case.script.script.environment;
    environment.push(("COLOUR".into(), "light blue".into()));
    // What the program itself sets cannot be changed by mistake.
    environment.push(("SRCDIR".into(), "/elsewhere".into()));
    environment.push(("SOURCE_DATE_EPOCH".into(), "12".into()));
    assert_eq!(
        case.build(),
        "0 /root/src /root/src /root/dest unset 010\nlight blue 12 main.c 0\n"
    );
    assert_eq!(case.said(), "said\nsaid too");
    case.script.with_docs = true;
    case.script.with_tests = false;
    case.script.script.network = true;
    case.script.build_directory = Some(case.at("build"));
    let told = case.build();
    assert!(told.contains(" /root/build 101\n"), "{told}");
    // Nothing of the host's name servers stays.
    assert!(!case.at("tree/etc/resolv.conf").exists());
}

/// A listener on the host is out of reach without network, and is reached with it.
#[test]
fn root_there_is_no_network_unless_it_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("mkosi-test-{}", std::process::id());
    let name = SocketAddr::from_abstract_name(&address).unwrap();
    let _abstract = UnixListener::bind_addr(&name).unwrap();
    let script = format!(
        "ls /sys/class/net > $DESTDIR/out\n\
         if (echo hello > /dev/tcp/127.0.0.1/{port}) 2>/dev/null; then echo reached; else echo out \
         of reach; fi >> $DESTDIR/out\n\
         if grep() {{ while read -r line; do case $line in *{address}*) return 0;; esac; done; \
         return 1; }}; grep < /proc/net/unix; then echo seen; else echo unseen; fi >> $DESTDIR/out"
    );
    let mut case = Case::new(&script);
    let closed = case.build();
    assert_eq!(closed, "lo\nout of reach\nunseen\n");
    case.script.script.network = true;
    let open = case.build();
    assert!(open.ends_with("reached\nseen\n"), "{open}");
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\n");
}

#[test]
fn root_nothing_of_the_host_is_in_reach() {
    let mut case = Case::new("");
    let marker = tempfile::NamedTempFile::new().unwrap();
    let project = case.directory.path().display().to_string();
    let script = format!(
        "#!/bin/bash\n\
         exec > $DESTDIR/out\n\
         for path in {project} {} /run/systemd/system /home/* /var/lib/*; do\n\
           if [ -e \"$path\" ]; then echo \"sees $path\"; fi\n\
         done\n\
         for device in /dev/[hsv]d[a-z] /dev/nvme* /dev/loop* /dev/mem /dev/kmsg; do\n\
           if [ -e \"$device\" ]; then echo \"sees $device\"; fi\n\
         done\n\
         for numbers in 'b 7 0' 'c 1 1' 'c 10 237'; do\n\
           if mknod /root/node $numbers; then echo \"makes $numbers\"; rm /root/node; fi\n\
         done 2>/dev/null\n\
         while read -r _ _ _ _ point options _; do\n\
           case $options in ro*|*nodev*) ;; *) echo \"mount $point\" ;; esac\n\
         done < /proc/self/mountinfo\n\
         for pid in /proc/[0-9]*; do read -r name < $pid/comm; echo \"process $name\"; done\n\
         if echo changed > \"$0\"; then echo 'changes its file'; fi 2>/dev/null\n\
         (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo 'changes the kernel'\n\
         touch /root/dest/fine /root/src/fine /tmp/fine /usr/fine\n",
        marker.path().display()
    );
    fs::write(case.at("mkosi.build"), &script).unwrap();
    case.script.build_directory = Some(case.at("build"));
    let out = case.build();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    lines.retain(|line| !line.starts_with("mount /run/") && !line.starts_with("mount /dev"));
    let expected = [
        "mount /",
        "mount /root/build",
        "mount /root/dest",
        // nspawn's stub that reaps, and the script.
        "process (sd-stubinit)",
        "process build",
    ];
    assert_eq!(lines, expected, "{out}");
    assert_eq!(fs::read_to_string(case.at("mkosi.build")).unwrap(), script);
    assert!(case.at("tree/usr/fine").exists());
    assert!(!case.at("tree/run/mkosi").exists());
}

#[test]
fn root_the_build_directory_is_kept_and_belongs_to_the_caller() {
    let mut case = Case::new(
        "cd $BUILDDIR\n\
         for file in $(ls); do echo \"$file $(ls -ln $file)\"; done > $DESTDIR/out\n\
         mkdir -p deep/er; touch deep/er/object; ln -sf /etc link; ln -f deep/er/object hard\n\
         touch other; chown 33:33 other\n\
         cp -a deep $DESTDIR/\n\
         [ ! -e fail ]",
    );
    let kept = case.at("build");
    let outside = case.at("outside");
    fs::write(&outside, "").unwrap();
    symlink(&outside, kept.join("to-outside")).unwrap();
    fs::write(kept.join("mine"), "").unwrap();
    for path in [kept.clone(), kept.join("mine")] {
        chown(path, Some(4711), Some(4712)).unwrap();
    }
    case.script.build_directory = Some(kept.clone());
    case.owner = Some((4711, 4712));
    let seen = case.build();
    assert!(seen.contains("mine -rw-r--r-- 1 0 0 "), "{seen}");
    let owner = |name: &str| {
        let found = fs::symlink_metadata(kept.join(name)).unwrap();
        (found.uid(), found.gid())
    };
    for name in [
        "",
        "mine",
        "deep",
        "deep/er",
        "deep/er/object",
        "hard",
        "link",
    ] {
        assert_eq!(owner(name), (4711, 4712), "{name}");
    }
    assert_eq!(owner("other"), (33, 33));
    assert_eq!(fs::metadata(&outside).unwrap().uid(), 0, "followed a link");
    // What is copied from there is root's in the image.
    assert_eq!(
        fs::metadata(case.at("destination/deep/er/object"))
            .unwrap()
            .uid(),
        0
    );
    // So it is after a failure, and the next build finds it again.
    fs::write(kept.join("fail"), "").unwrap();
    case.try_build().unwrap_err();
    assert_eq!(owner("deep/er/object"), (4711, 4712));
    let found = fs::read_to_string(case.at("destination/out")).unwrap();
    assert!(found.contains("hard "), "{found}");
    assert!(!case.at(".mkosi-lock-build").exists());
}

#[test]
fn root_failures_say_what_to_do() {
    let failures: &[(&str, &[&str])] = &[
        (
            "#!/bin/bash\nfor n in 1 2 3; do echo line $n; done\nexit 7\n",
            &["BuildScript=/", "exited with status 7", "line 3"],
        ),
        (
            "#!/bin/bash\nset -e\nmeson setup build\n",
            &[
                "status 127",
                "meson: command not found",
                "BuildPackages= adds packages",
            ],
        ),
        (
            "#!/bin/bash\necho 'curl: (6) Could not resolve host: example.org'; exit 6\n",
            &["status 6", "WithNetwork=yes"],
        ),
        (
            "#!/usr/bin/python3\n",
            &[
                "asks for /usr/bin/python3, which is not in the image",
                "BuildPackages=",
            ],
        ),
        (
            "#!/usr/bin/env perl\n",
            &["asks for perl, which is not in the image"],
        ),
        ("#!/bin/bash\r\nexit 0\r\n", &["carriage return"]),
        ("echo hello\n", &["#!/bin/sh"]),
    ];
    let case = Case::new("");
    for (script, parts) in failures {
        fs::write(case.at("mkosi.build"), script).unwrap();
        let error = chain(&case.try_build().unwrap_err());
        for part in *parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
    assert!(is_empty(&case.at("destination")).unwrap());
}

#[test]
fn root_a_cancelled_script_ends_with_everything_it_started() {
    let case = Case::new("sleep 1000 & touch $DESTDIR/started; sleep 1001");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !case.at("destination/started").exists() {
                assert!(begun.elapsed() < Duration::from_secs(60), "never started");
                std::thread::sleep(Duration::from_millis(20));
            }
            case.cancel.cancel();
        });
        let error = case.try_build().unwrap_err();
        assert!(matches!(error, ScriptError::Cancelled), "{error}");
    });
    assert!(begun.elapsed() < Duration::from_secs(60));
    for entry in fs::read_dir("/proc").unwrap() {
        let command = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        assert_ne!(command, b"sleep\x001000\x00", "left running");
    }
}

#[test]
fn root_prepare_has_network_and_leaves_only_what_it_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let case = Case::new(&format!(
        "echo fetched > /dev/tcp/127.0.0.1/{port}\necho \"$1 $PWD ${{SRCDIR-none}}\" > /prepared"
    ));
    let script = Script {
        network: true,
        argument: "final",
        ..case.script.script.clone()
    };
    let before = entries(&case.at("tree"));
    {
        prepare(&script, &case.at("tree"), &case.host()).unwrap();
    }
    let text = fs::read_to_string(case.at("tree/prepared")).unwrap();
    assert_eq!(text, "final /root none\n");
    fs::remove_file(case.at("tree/prepared")).unwrap();
    assert_eq!(entries(&case.at("tree")), before);
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(directory).sort_by_file_name();
    walk.into_iter().map(|e| e.unwrap().into_path()).collect()
}

#[test]
fn root_what_the_script_made_is_kept_as_it_is() {
    let case = Case::new(
        "mkdir -p $DESTDIR/usr/bin $DESTDIR/lib/x $DESTDIR/var/spool\n\
         echo new > $DESTDIR/usr/bin/tool; chmod 4755 $DESTDIR/usr/bin/tool\n\
         ln $DESTDIR/usr/bin/tool $DESTDIR/usr/bin/other\n\
         touch -d 2001-09-09T01:46:40Z $DESTDIR/lib/x/data\n\
         ln -s /no/where $DESTDIR/lib/x/dangling\n\
         mkdir -m 1770 $DESTDIR/var/spool/mine; chown 33:34 $DESTDIR/var/spool/mine",
    );
    case.build();
    let tool = case.at("destination/usr/bin/tool");
    let status = Command::new("setcap")
        .arg("cap_net_raw=ep")
        .arg(case.at("destination/lib/x/data"))
        .status();
    assert!(status.unwrap().success());
    let image = case.at("final");
    fs::create_dir_all(image.join("usr/lib")).unwrap();
    fs::create_dir_all(image.join("usr/bin")).unwrap();
    symlink("usr/lib", image.join("lib")).unwrap();
    symlink("/bin/elsewhere", image.join("usr/bin/tool")).unwrap();
    fs::set_permissions(image.join("usr"), fs::Permissions::from_mode(0o711)).unwrap();
    install(
        &case.at("destination"),
        &Root::open(&image).unwrap(),
        &case.host(),
    )
    .unwrap();
    let found = |name: &str| fs::symlink_metadata(image.join(name)).unwrap();
    assert_eq!(found("usr/bin/tool").mode() & 0o7777, 0o4755);
    assert_eq!(found("usr/bin/tool").ino(), found("usr/bin/other").ino());
    assert_eq!(fs::read_to_string(tool).unwrap(), "new\n");
    assert_eq!(found("usr/lib/x/data").mtime(), 1_000_000_000);
    assert!(found("usr/lib/x/dangling").is_symlink());
    let mine = found("var/spool/mine");
    assert_eq!(
        (mine.uid(), mine.gid(), mine.mode() & 0o7777),
        (33, 34, 0o1770)
    );
    assert_eq!(found("usr").mode() & 0o7777, 0o711);
    let caps = Command::new("getcap")
        .arg(image.join("usr/lib/x/data"))
        .output()
        .unwrap();
    let caps = String::from_utf8(caps.stdout).unwrap();
    assert!(caps.contains("cap_net_raw=ep"), "{caps}");
}

#[test]
fn root_a_hostile_destination_stays_in_the_image() {
    let case = Case::new("");
    let outside = case.at("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "host").unwrap();
    let (from, image) = (case.at("destination"), case.at("final"));
    // Where the image leads out by a link, the destination has a directory; and the other way round.
    fs::create_dir_all(image.join("etc")).unwrap();
    symlink(&outside, image.join("etc/way")).unwrap();
    symlink(
        format!("../../../../../..{}", outside.display()),
        image.join("up"),
    )
    .unwrap();
    for name in ["etc/way", "up"] {
        fs::create_dir_all(from.join(name)).unwrap();
        fs::write(from.join(name).join("file"), "image").unwrap();
    }
    symlink(&outside, from.join("link")).unwrap();
    symlink("/etc/shadow", from.join("shadow")).unwrap();
    let status = Command::new("mknod")
        .arg(from.join("disk"))
        .args(["b", "7", "0"])
        .status();
    assert!(status.unwrap().success());
    let _socket = UnixListener::bind(from.join("socket")).unwrap();
    install(&from, &Root::open(&image).unwrap(), &case.host()).unwrap();
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "host");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    for name in ["link", "shadow"] {
        assert!(fs::symlink_metadata(image.join(name)).unwrap().is_symlink());
    }
    assert!(!image.join("disk").exists() && !image.join("socket").exists());
    for part in ["disk: it is a device", "socket: it is a socket"] {
        assert!(case.said().contains(part), "{}", case.said());
    }
}

#[test]
fn root_headers_are_kept_for_the_caller_and_come_from_the_image_only() {
    let case = Case::new("");
    let tree = Root::open(case.at("tree")).unwrap();
    let kept = case.at("headers");
    fs::create_dir(&kept).unwrap();
    keep_headers(&tree, &kept, None, &case.host()).unwrap();
    assert!(case.said().contains("no header files"), "{}", case.said());
    // Beneath the image's root, such a link leads to the image's own directory.
    let secret = case.at("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("host.h"), "").unwrap();
    symlink(&secret, case.at("tree/usr/include")).unwrap();
    let beneath = case.at("tree").join(secret.strip_prefix("/").unwrap());
    fs::create_dir_all(beneath.join("sys")).unwrap();
    fs::write(beneath.join("sys/image.h"), "").unwrap();
    fs::write(kept.join("old.h"), "").unwrap();
    keep_headers(&tree, &kept, Some((4711, 4712)), &case.host()).unwrap();
    assert!(!kept.join("host.h").exists());
    assert!(kept.join("old.h").exists());
    assert_eq!(fs::metadata(kept.join("sys/image.h")).unwrap().uid(), 4711);
}
