//! Ubuntu images from a repository of the tests' own, laid out and named as Ubuntu's: Debian's
//! packages in main, own ones in universe. Needs root, apt-ftparchive, gpg, qemu and, for Debian's
//! packages, the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod machine;
mod shaped;
mod signing;
mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use signing::Key;
use support::{Project, assert_no_leaks, finish, package_cache, root, tool};

const SUITE: &str = "dists/noble";

/// A repository of `noble` and nothing else.
struct Repository {
    directory: tempfile::TempDir,
    key: Key,
}

/// The packages of a small Debian with these ones, in the shared cache.
fn debian(more: &str) -> Vec<PathBuf> {
    let project = Project::debian(&format!(
        "CleanPackageMetadata=no\nPackages={more}\n[Output]\nFormat=directory\nOutput=image\n"
    ));
    project.run(&[]).succeeds();
    packages(&project)
        .iter()
        .map(|package| {
            let field = |name: &str| package[name].as_str().unwrap().replace(':', "%3a");
            let [name, version, arch] = ["name", "version", "architecture"].map(field);
            package_cache().join(format!("{name}_{version}_{arch}.deb"))
        })
        .collect()
}

fn packages(project: &Project) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(project.path().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["packages"].as_array().unwrap().clone()
}

impl Repository {
    /// Has the packages of a small Debian, and some of its own.
    fn new() -> Self {
        let repository = Self::of(&debian(""), &[]);
        repository.package("greeter", "", true);
        repository.package("compiler", "", false);
        repository.package("needy", "Depends: nowhere\n", false);
        repository
    }

    /// Has packages of Debian: in `universe` those whose names begin like that.
    fn of(files: &[PathBuf], universe: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("ubuntu-")
            .tempdir_in(package_cache().parent().unwrap())
            .unwrap();
        let repository = Self {
            directory,
            key: Key::new("Tester <tester@example.com>"),
        };
        for component in ["main", "universe"] {
            fs::create_dir_all(repository.pool(component)).unwrap();
        }
        for file in files {
            let name = file.file_name().unwrap();
            let is_of = |start: &&str| name.to_string_lossy().starts_with(start);
            let component = match universe.iter().any(is_of) {
                true => "universe",
                false => "main",
            };
            fs::hard_link(file, repository.pool(component).join(name)).unwrap();
        }
        repository
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn pool(&self, component: &str) -> PathBuf {
        self.path().join("pool").join(component)
    }

    /// Makes a package with a program, a page of documentation and, if asked for, a script.
    fn package(&self, name: &str, control: &str, script: bool) {
        let work = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str, mode: u32| {
            let path = work.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write(
            "DEBIAN/control",
            &format!(
                "Package: {name}\nVersion: 1.0-0ubuntu1\nArchitecture: all\nSection: misc\n\
                 Maintainer: Tester <tester@example.com>\n{control}Description: for tests\n"
            ),
            0o644,
        );
        if script {
            let text = "#!/bin/sh\nset -e\necho \"$1\" >/etc/greeter.configured\n";
            write("DEBIAN/postinst", text, 0o755);
        }
        write(
            &format!("usr/bin/{name}"),
            &format!("#!/bin/sh\necho {name} here\n"),
            0o755,
        );
        write(&format!("usr/share/doc/{name}/manual"), "words\n", 0o644);
        write(&format!("usr/share/doc/{name}/copyright"), "terms\n", 0o644);
        fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let target = self
            .pool("universe")
            .join(format!("{name}_1.0-0ubuntu1_all.deb"));
        let (work, target) = (work.path().to_string_lossy(), target.to_string_lossy());
        tool(
            "dpkg-deb",
            &["--root-owner-group", "--build", &work, &target],
        );
    }

    /// Writes the lists of packages, and of those lists.
    fn index(&self) {
        let run = |words: &[&str]| {
            let mut command = Command::new("apt-ftparchive");
            command.args(words).current_dir(self.path());
            let run = finish(command);
            run.succeeds();
            run.stdout
        };
        for component in ["main", "universe"] {
            let directory = self.path().join(SUITE).join(component).join("binary-amd64");
            fs::create_dir_all(&directory).unwrap();
            let list = run(&["packages", &format!("pool/{component}")]);
            fs::write(directory.join("Packages"), list).unwrap();
        }
        let mut words = String::new();
        for (name, value) in [
            ("Origin", "Ubuntu"),
            ("Label", "Ubuntu"),
            ("Suite", "noble"),
            ("Codename", "noble"),
            ("Version", "24.04"),
            ("Components", "main universe"),
            ("Architectures", "amd64"),
        ] {
            let _ = write!(words, "-o\nAPT::FTPArchive::Release::{name}={value}\n");
        }
        let mut words: Vec<&str> = words.lines().collect();
        words.extend(["release", SUITE]);
        let release = run(&words);
        fs::write(self.path().join(SUITE).join("Release"), release).unwrap();
    }

    /// Signs them, or takes the signature away.
    fn sign(&self, key: Option<&Key>) {
        let suite = self.path().join(SUITE);
        let (release, signed) = (suite.join("Release"), suite.join("InRelease"));
        match key {
            Some(key) => drop(key.gpg(&[
                "--output",
                &signed.to_string_lossy(),
                "--clearsign",
                &release.to_string_lossy(),
            ])),
            None => fs::remove_file(signed).unwrap(),
        }
    }
}

/// A project that installs from a repository, with the keyring of its key.
fn project(repository: &Repository, settings: &str) -> Project {
    let project = Project::new();
    repository.key.export(
        &project
            .path()
            .join("mkosi.skeleton/etc/apt/trusted.gpg.d/tests.gpg"),
    );
    project.file(
        "mkosi.default",
        format!(
            "[Distribution]\nDistribution=ubuntu\nRelease=24.04\nMirror=file://{}\n\n\
             [Output]\nFormat=directory\nOutput=image\n\n[Packages]\n{settings}",
            repository.path().display()
        ),
    );
    project
}

#[test]
fn root_ubuntu_images() {
    root();
    let repository = Repository::new();
    repository.index();
    repository.sign(Some(&repository.key));
    two_phases(&repository);
    refused(&repository);
    wrongly_signed(&repository);
    // Last: it takes the packages away.
    one_phase(&repository);
}

fn one_phase(repository: &Repository) {
    let project = project(repository, "Packages=greeter\nCache=cache\n");
    project
        .run(&[])
        .succeeds()
        .says("with apt")
        .says("Installing Ubuntu noble");
    let tree = project.path().join("image");
    let at = |path: &str| tree.join(path);
    assert_eq!(
        fs::read_to_string(at("etc/greeter.configured")).unwrap(),
        "configure\n"
    );
    assert!(!at("usr/share/doc/greeter/manual").exists());
    assert!(at("usr/share/doc/greeter/copyright").exists());
    assert!(at("usr/lib/systemd/systemd").exists() || at("lib/systemd/systemd").exists());
    assert_eq!(
        fs::read_to_string(at("etc/apt/sources.list")).unwrap(),
        format!(
            "deb file://{} noble main universe\n",
            repository.path().display()
        )
    );
    let path = tree.to_string_lossy().into_owned();
    assert_eq!(tool("dpkg", &["--root", &path, "--audit"]), "");
    let packages = packages(&project);
    let greeter = packages.iter().find(|p| p["name"] == "greeter").unwrap();
    assert_eq!(greeter["version"], "1.0-0ubuntu1");
    assert!(!packages.iter().any(|p| p["name"] == "compiler"));
    assert_no_leaks(project.path());

    // With documentation; and packages come from the cache, also when the mirror has only its lists.
    fs::remove_dir_all(repository.path().join("pool")).unwrap();
    let cached = fs::read_dir(project.path().join("cache"))
        .unwrap()
        .filter(|e| {
            e.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "deb")
        })
        .count();
    if cached > 0 {
        project.run(&["-f", "--with-docs"]).succeeds();
        assert!(at("usr/share/doc/greeter/manual").exists());
    }
}

fn two_phases(repository: &Repository) {
    let project = project(repository, "BuildPackages=compiler\n");
    project.script(
        "mkosi.build",
        "#!/bin/sh\nset -e\nmkdir -p \"$DESTDIR/usr/share/made\"\ncompiler >\"$DESTDIR/usr/share/made/result\"\n",
    );
    project.run(&["-i"]).succeeds();
    let tree = project.path().join("image");
    assert_eq!(
        fs::read_to_string(tree.join("usr/share/made/result")).unwrap(),
        "compiler here\n"
    );
    assert!(!packages(&project).iter().any(|p| p["name"] == "compiler"));
    let again = project.run(&["-i", "-f"]);
    again.succeeds();
    assert!(!again.stderr.contains("with apt"), "{}", again.stderr);
    assert_no_leaks(project.path());
}

fn refused(repository: &Repository) {
    for (arguments, words) in [
        (
            &["--package=nosuch"][..],
            "there is no package nosuch in noble",
        ),
        (&["--package=needy"], "nowhere"),
    ] {
        let project = project(repository, "");
        let before = project.untouched();
        project.run(arguments).exits(1).says(words);
        before.check();
    }
    // Before work begins.
    for (arguments, words) in [
        (&["--release=breezy"][..], "noble (24.04)"),
        (
            &["--architecture=i686"],
            "Ubuntu noble does not exist for i686",
        ),
        (&["--repositories=[trusted=yes]"], "expected a component"),
    ] {
        project(repository, "").run(arguments).exits(2).says(words);
    }
}

fn wrongly_signed(repository: &Repository) {
    let other = Key::new("Somebody else <else@example.com>");
    for signer in [Some(&other), None] {
        repository.sign(Some(&other));
        if signer.is_none() {
            repository.sign(None);
        }
        let project = project(repository, "");
        let before = project.untouched();
        project.run(&[]).exits(1).says("could not be verified");
        before.check();
    }
    // A package that is not what the signed lists say.
    repository.sign(Some(&repository.key));
    let file = repository
        .pool("universe")
        .join("greeter_1.0-0ubuntu1_all.deb");
    let good = fs::read(&file).unwrap();
    let mut content = good.clone();
    let last = content.len() - 10;
    content[last] ^= 0xff;
    fs::write(&file, content).unwrap();
    let project = project(repository, "Packages=greeter\n");
    project.run(&[]).exits(1);
    assert!(!project.path().join("image").exists());
    fs::write(&file, good).unwrap();
}

/// What a machine needs of Debian's packages, besides the kernel's.
const BOOTS: &str =
    "dracut udev systemd-boot systemd-boot-efi kmod linux-base grub-pc-bin grub2-common";
/// What of it is in Ubuntu's universe.
const UNIVERSE: [&str; 2] = ["dracut", "systemd-boot"];

#[test]
#[ignore = "long: makes a distribution, builds a whole image and boots it"]
fn root_ubuntu_boots() {
    root();
    let all = debian(&format!("{BOOTS} linux-image-cloud-amd64"));
    let is_kernel = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("linux-image-")
    };
    let image = |path: &&PathBuf| fs::metadata(path).is_ok_and(|meta| meta.len() > 1 << 20);
    let kernel = all.iter().filter(is_kernel).find(image).unwrap();
    let rest: Vec<PathBuf> = all
        .iter()
        .filter(|path| !is_kernel(path))
        .cloned()
        .collect();
    let repository = Repository::of(&rest, &UNIVERSE);
    let main = repository.pool("main");
    tool(
        &shaped::file("ubuntu").to_string_lossy(),
        &[&kernel.to_string_lossy(), &main.to_string_lossy()],
    );
    repository.index();
    repository.sign(Some(&repository.key));

    let project = project(&repository, "");
    let distribution = format!(
        "[Distribution]\nDistribution=ubuntu\nRelease=noble\nMirror=file://{}\n",
        repository.path().display()
    );
    let output = "Format=gpt_ext4\nBootProtocols=uefi,bios\nManifestFormat=json\n\n\
                  [Validation]\nAutologin=yes\n";
    project.file("mkosi.default", machine::settings(output, &distribution));
    machine::report(&project);
    // Modules are found, and the kernel's hooks made no initrd.
    project.script(
        "mkosi.postinst",
        "#!/bin/sh\nset -ex\n\
         grep -q '\\.ko\\.zst:' /lib/modules/*/modules.dep\n\
         test \"$(stat -c %a /boot/vmlinuz-*)\" = 600\n\
         test \"$(cat /boot/triggered-by-a-kernel)\" = triggered\n\
         ! ls /boot/initrd.img-*\n",
    );
    project.run(&[]).succeeds().says("Installing Ubuntu noble");
    assert_no_leaks(project.path());
    let packages = packages(&project);
    for name in ["linux-image-generic", "dracut", "systemd-boot-efi"] {
        assert!(packages.iter().any(|p| p["name"] == name), "{name}");
    }
    machine::Boot::default()
        .run(&project, &[])
        .is_well()
        .has("mount:/", "/dev/vda3 ext4 rw")
        .has("mount:/efi", "vfat")
        .has("firmware", "uefi")
        .has("who", "root")
        .has("written", "/written")
        .has("efi", "./EFI/Linux/linux-6.1");
    machine::Boot::default()
        .run(&project, &["--boot-protocols=bios"])
        .is_well()
        .has("firmware", "bios")
        .has("cmdline", "root=PARTUUID=");
}
