//! Tiny projects whose builds come by every named place in a second. The package manager is a stand-in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::boot;
use crate::support::{Project, Run, finish, tool};

/// Fills the tree as apk does.
const APK: &str = r#"#!/bin/sh
set -e
if [ "$1" = --version ]; then echo "apk-tools 3.0.3, compiled for x86_64."; exit; fi
tree=/run/mkosi/tree
mkdir -p $tree/lib/apk/db $tree/etc $tree/bin $tree/usr/lib $tree/tmp $tree/root $tree/home/user $tree/var/log
[ -e $tree/bin/busybox ] || cp /bin/busybox $tree/bin/busybox
ln -sf busybox $tree/bin/sh
case " $* " in *" large "*) head -c 200000 /dev/zero > /run/mkosi/cache/downloaded ;; esac
case " $* " in *" make "*) echo make > $tree/bin/make ;; esac
printf 'ID=alpine\nVERSION_ID=3.24\n' >$tree/etc/os-release
printf 'root:x:0:0:root:/root:/bin/sh\n' >$tree/etc/passwd
printf 'root:!:19000::::::\n' >$tree/etc/shadow
printf 'P:alpine-base\nV:3.24.1-r0\nA:x86_64\nI:4096\n\n' >$tree/lib/apk/db/installed
"#;

/// A build, and what was there before it.
pub struct Scenario {
    pub name: &'static str,
    /// The words of the command.
    pub words: &'static [&'static str],
    /// The words of the build before, none for a first build.
    pub earlier: &'static [&'static str],
    settings: &'static str,
    /// Whether there are scripts and two phases.
    scripts: bool,
    /// Whether it starts a machine, and is signed.
    boots: bool,
}

/// Those that come by all places.
pub const SHORT: [Scenario; 6] = [
    Scenario {
        name: "new",
        words: &["-i"],
        earlier: &[],
        settings: "Format=tar\nCompressOutput=no\n[Validation]\nCheckSum=yes\n",
        scripts: true,
        boots: false,
    },
    Scenario {
        name: "again",
        words: &["-if", "--extra-tree=other"],
        earlier: &["-i", "--manifest-format=json,packages"],
        settings: "Format=directory\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "anew",
        words: &["-iff", "--layers-size=4K"],
        earlier: &["-i"],
        settings: "Format=directory\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "disk",
        words: &["-f", "--hostname=other"],
        earlier: &["build"],
        settings: "Format=gpt_ext4\nVerity=yes\nSplitArtifacts=yes\nRootSize=64M\nSwapSize=1M\nHomeSize=4M\nBMap=yes\n\
                   CompressOutput=zstd\n[Validation]\nCheckSum=yes\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "luks",
        words: &["-f", "--encrypt=all"],
        earlier: &["build"],
        settings: "Format=gpt_ext4\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "boot",
        words: &["-f", "--hostname=other"],
        earlier: &["build"],
        settings: "Format=gpt_ext4\nRootSize=64M\nBootable=yes\nSecureBoot=yes\nQCow2=yes\nSplitArtifacts=yes\n[Validation]\nCheckSum=yes\nSign=yes\n",
        scripts: false,
        boots: true,
    },
];

/// The others.
pub const LONG: [Scenario; 4] = [
    Scenario {
        name: "xfs",
        words: &["-f", "--qcow2"],
        earlier: &["build"],
        settings: "Format=gpt_xfs\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "btrfs",
        words: &["build"],
        earlier: &[],
        settings: "Format=gpt_btrfs\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "squashfs",
        words: &["-f"],
        earlier: &["build"],
        settings: "Format=gpt_squashfs\nVerity=yes\n",
        scripts: false,
        boots: false,
    },
    Scenario {
        name: "mount",
        words: &["-f", "--source-file-transfer=mount"],
        earlier: &["build"],
        settings: "Format=tar\nCompressOutput=xz\n",
        scripts: true,
        boots: false,
    },
];

/// A file that packs as fast as any.
fn archive(project: &Project) {
    project.file("packed/etc/packed", "packed\n");
    project.file("packed/etc/more", "more\n");
    let path = |name: &str| project.path().join(name).display().to_string();
    tool(
        "tar",
        &["-C", &path("packed"), "-cf", &path("mkosi.extra.tar"), "."],
    );
}

impl Scenario {
    /// One of those above, as a first build.
    pub fn fresh(name: &str) -> Self {
        let found = SHORT
            .into_iter()
            .chain(LONG)
            .find(|scenario| scenario.name == name);
        Self {
            earlier: &[],
            ..found.unwrap()
        }
    }

    /// Artifacts of which only the size is the same each time: each has a key of its own.
    pub fn never_twice(&self) -> &'static [&'static str] {
        match self.name {
            "luks" => &["image"],
            _ => &[],
        }
    }

    /// Makes the project, and does the build before.
    pub fn prepare(&self) -> Project {
        let project = Project::new();
        project.file(
            "mkosi.default",
            format!(
                "[Distribution]\nDistribution=alpine\nRelease=3.24\nMirror=http://127.0.0.1:9/alpine\n\n\
                 [Output]\nOutput=image\nOutputDirectory=output\n{}\n[Packages]\nPackages=curl\n\
                 Cache=cache\nExtraTrees=mkosi.extra,mkosi.extra.tar\n{}",
                self.settings,
                if self.scripts { "BuildPackages=make\nSourceFileTransfer=copy-all\n" } else { "" }
            ),
        );
        project.file("mkosi.skeleton/etc/apk/keys/own.rsa.pub", "key\n");
        project.file("mkosi.extra/etc/motd", "hello\n");
        project.file("mkosi.extra/etc/large", vec![b'x'; 300_000]);
        project.file("other/etc/other", "other\n");
        archive(&project);
        project
            .file("mkosi.rootpw", "secret")
            .mode("mkosi.rootpw", 0o600);
        project
            .file("mkosi.passphrase", "phrase")
            .mode("mkosi.passphrase", 0o600);
        project.script("bin/apk", APK);
        if self.boots {
            boot::prepare(&project);
        }
        if self.scripts {
            let say = "#!/bin/sh\necho \"$1\" >> /etc/scripts\n";
            project.script("mkosi.prepare", say);
            project.script("mkosi.postinst", say);
            project.script(
                "mkosi.finalize",
                "#!/bin/sh\necho \"$1\" >> \"$BUILDROOT/etc/scripts\"\n",
            );
            project.script(
                "mkosi.build",
                "#!/bin/sh -e\nmkdir -p \"$DESTDIR/etc\" && cat /bin/make hello.c > \"$DESTDIR/etc/made\"\n",
            );
            project.file("hello.c", "int main;\n");
        }
        for directory in ["tmp", "output"] {
            fs::create_dir(project.path().join(directory)).unwrap();
        }
        if !self.earlier.is_empty() {
            self.run(project.path(), self.earlier, None).succeeds();
            boot::end_agent(project.path());
        }
        project
    }

    /// The command in a project of this scenario.
    pub fn command(directory: &Path, words: &[&str], fault: Option<&str>) -> Command {
        let path = format!(
            "{}:{}",
            directory.join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkosi"));
        command
            .args(words)
            .current_dir(directory)
            .env("PATH", path)
            .env("TMPDIR", directory.join("tmp"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("GNUPGHOME", directory.join(boot::KEYRING))
            .stdin(Stdio::null());
        for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
            command.env_remove(name);
        }
        if let Some(fault) = fault {
            command.env("MKOSI_FAIL_POINT", fault);
        }
        command
    }

    pub fn run(&self, directory: &Path, words: &[&str], fault: Option<&str>) -> Run {
        finish(Self::command(directory, words, fault))
    }

    /// Builds without a fault and returns the places that the build came by, with what each was about.
    pub fn record(&self, directory: &Path) -> Vec<(String, String)> {
        self.record_status(directory, 0)
    }

    /// The same of words that end with this status.
    pub fn record_status(&self, directory: &Path, status: i32) -> Vec<(String, String)> {
        // Outside the project, whose files are copied.
        let aside = Project::new();
        let file = aside.path().join("record");
        let fault = format!("record:{}", file.display());
        self.run(directory, self.words, Some(&fault)).exits(status);
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.lines()
            .map(|line| {
                let (name, about) = line.split_once('\t').unwrap();
                (name.to_owned(), about.to_owned())
            })
            .collect()
    }
}

/// A copy of a project, in a directory beside it, with the times of its files.
pub fn copy(project: &Project) -> Project {
    let copy = Project::new();
    let from: PathBuf = project.path().join(".");
    let words = [
        "-a",
        &from.display().to_string(),
        &copy.path().display().to_string(),
    ];
    tool("cp", &words);
    copy
}
