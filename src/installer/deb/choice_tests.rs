//! apt chooses the same from fewer lists as from all of them: the same packages in the same versions, in
//! the same order, and with the same notes. Needs root, apt and the network.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use super::super::DPKG_STATUS;
use super::super::decided::Chosen;
use super::super::update::update_if_older;
use super::*;
use crate::config::values::Distribution;
use crate::distro::Repositories;
use crate::host::{Cancel, HostRunner, Quiet, Stdout};
use crate::installer::{apt, tests};

/// A tree of a release, and packages that are holes: apt believes the size of what it has.
struct Scene {
    request: Request,
    site: Site,
    settings: Settings,
    host: Host,
    _directory: tempfile::TempDir,
}

/// All that apt says of a choice.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    choice: Choice,
    /// What dpkg would be told, without apt's settings.
    steps: String,
    calls: Vec<u8>,
    states: String,
}

impl Scene {
    fn new(release: &str, configuration: &str, excluded: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "needs root");
        let above = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests/choices");
        fs::create_dir_all(&above).unwrap();
        let directory = tempfile::tempdir_in(&above).unwrap();
        let mut request = tests::request();
        request.distribution = Distribution::Debian;
        request.release = release.to_owned();
        request.cache = Some(above);
        request.excluded = excluded.iter().map(|name| (*name).to_owned()).collect();
        let Repositories::Apt(apt) = &mut request.repositories else {
            panic!("other repositories");
        };
        apt.keyrings = vec!["/usr/share/keyrings/debian-archive-keyring.gpg".into()];
        release.clone_into(&mut apt.sources[0].suite);
        let site = Site {
            root: directory.path().join("tree"),
            scratch: directory.path().join("scratch"),
        };
        fs::create_dir_all(&site.root).unwrap();
        let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
        let root = Root::open(&site.root).unwrap();
        for name in super::super::APT_DIRECTORIES {
            root.create_dir_all(name, 0o755).unwrap();
        }
        // A mirror may be late, and lists of sid expire.
        let configuration = format!("Acquire::Check-Valid-Until \"false\";\n{configuration}");
        root.write("etc/apt/apt.conf.d/own", configuration, 0o644)
            .unwrap();
        let temporary = apt::prepare(&request, &site.root).unwrap();
        std::mem::forget(temporary);
        let keyrings = apt::keyrings(&request, &site).unwrap();
        let _lock = apt::lock_cache(&request, &host).unwrap();
        let mut settings = Settings::write(&request, &site, &keyrings, &host).unwrap();
        let age = Duration::from_secs(12 * 60 * 60);
        update_if_older(age, &settings, &request, &host).unwrap();
        settings.archives = directory.path().join("archives");
        fs::create_dir_all(settings.archives.join("partial")).unwrap();
        let archives = format!(
            "Dir::Cache::Archives \"{}\";\n",
            settings.archives.display()
        );
        let mut file = File::options().append(true).open(&settings.file).unwrap();
        file.write_all(archives.as_bytes()).unwrap();
        Self {
            request,
            site,
            settings,
            host,
            _directory: directory,
        }
    }

    /// What is asked for in a new tree that shall have these packages.
    fn names(&self, packages: &[&str]) -> Vec<String> {
        let mut request = self.request.clone();
        request.packages = packages.iter().map(|name| (*name).to_owned()).collect();
        names_for_new_tree(&request).unwrap()
    }

    fn fewer(&self, names: &[String]) -> Option<Fewer> {
        let root = Root::open(&self.site.root).unwrap();
        let patterns = base_patterns(&self.request);
        let (settings, request) = (&self.settings, &self.request);
        fewer::make(settings, names, &patterns, &root, request, &self.host).unwrap()
    }

    /// Makes holes of the packages that apt would fetch.
    fn provide(&self, lists: &Path, names: &[String]) {
        let lists = format!("--option=Dir::State::Lists={}", lists.display());
        let command = self.settings.command().unwrap().args([
            &*lists,
            "--option=Dir::Cache::srcpkgcache=",
            "--print-uris",
            "install",
            "--",
        ]);
        let Ok(output) = self.host.run(command.args(names).stdout(Stdout::Capture)) else {
            return;
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let (true, [_, name, size, ..]) = (line.starts_with('\''), words.as_slice()) {
                let file = File::create(self.settings.archives.join(name)).unwrap();
                file.set_len(size.parse().unwrap()).unwrap();
            }
        }
    }

    fn said(&self, choice: Choice) -> Said {
        let text = |path: &Path| fs::read(path).unwrap_or_default();
        let list = String::from_utf8(text(&self.settings.list)).unwrap();
        let steps = list.split_once("\n\n").map_or("", |(_, steps)| steps);
        let said = Said {
            choice,
            steps: steps.to_owned(),
            calls: text(&self.settings.calls),
            states: String::from_utf8(text(&self.settings.extended_states)).unwrap(),
        };
        remove_if_there(&self.settings.extended_states).unwrap();
        said
    }

    /// Asserts that apt chooses the same; how many packages, or nothing if it did not come to a choice
    /// with fewer lists.
    fn compare(&self, names: &[String]) -> Option<usize> {
        let fewer = self.fewer(names)?;
        self.provide(&fewer.lists, names);
        let choice = choose_from(&fewer, &self.settings, names, &self.request, &self.host).unwrap();
        let few = self.said(choice?);
        // With other packages it would go to the network, and fail at what is none.
        let all = choose_from_all(&self.settings, names, &self.request, &self.host).unwrap();
        let all = self.said(all);
        assert_eq!(few, all, "{names:?}");
        Some(few.choice.packages.len())
    }

    /// Puts packages of a choice into the tree's database.
    fn install(&self, names: &[String]) {
        let fewer = self.fewer(names).unwrap();
        self.provide(&fewer.lists, names);
        let (settings, request) = (&self.settings, &self.request);
        let choice = choose_from(&fewer, settings, names, request, &self.host)
            .unwrap()
            .unwrap();
        let mut status = String::new();
        for entry in fs::read_dir(&fewer.lists).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_string_lossy().ends_with("_Packages") {
                continue;
            }
            for stanza in fs::read_to_string(path).unwrap().split("\n\n") {
                let is_this =
                    |one: &Chosen| stanza.starts_with(&format!("Package: {}\n", one.name));
                if choice.packages.iter().any(is_this) {
                    status.push_str(stanza.trim_end());
                    status.push_str("\nStatus: install ok installed\n\n");
                }
            }
        }
        fs::write(self.site.root.join(DPKG_STATUS), status).unwrap();
        remove_if_there(settings.extended_states.as_path()).unwrap();
    }
}

const BOOTABLE: [&str; 5] = ["dbus", "libpam-systemd", "login", "systemd", "systemd-sysv"];

#[test]
fn root_fewer_lists_choose_the_same_for_new_trees() {
    let bookworm = Scene::new("bookworm", "", &[]);
    for packages in [
        &BOOTABLE[..],
        &[
            "default-mta",
            "nginx",
            "openssh-server",
            "postgresql",
            "python3-pip",
        ],
        &[
            "xfce4-session",
            "lightdm",
            "network-manager",
            "build-essential",
            "vim",
        ],
    ] {
        let names = bookworm.names(packages);
        assert!(
            bookworm.compare(&names).is_some_and(|count| count > 60),
            "{packages:?}"
        );
    }
    let trixie = Scene::new(
        "trixie",
        "APT::Install-Recommends \"true\";\n",
        &["exim4-base"],
    );
    for packages in [
        &["git", "mailutils", "php", "vim"][..],
        &["default-jdk-headless", "g++"],
    ] {
        let names = trixie.names(packages);
        assert!(
            trixie.compare(&names).is_some_and(|count| count > 60),
            "{packages:?}"
        );
    }
}

#[test]
fn root_fewer_lists_choose_the_same_for_filled_trees() {
    let scene = Scene::new("bookworm", "", &[]);
    scene.install(&scene.names(&BOOTABLE));
    for packages in [["nginx", "git"], ["cron", "mailutils"]] {
        let names = packages.map(str::to_owned);
        assert!(
            scene.compare(&names).is_some_and(|count| count > 3),
            "{packages:?}"
        );
    }
}

#[test]
fn root_fewer_lists_leave_what_is_unclear_to_all_lists() {
    let scene = Scene::new("bookworm", "", &[]);
    for name in [
        "nosuchpackage",
        "nginx-",
        "vim=2:9",
        "ngin*",
        "standard^",
        "./x.deb",
        "dpkg:any",
    ] {
        let names = scene.names(&[name]);
        assert_eq!(scene.fewer(&names), None, "{name}");
    }
    // Two that do not go together, and a name that many provide.
    for packages in [
        &["postfix", "exim4-daemon-light"][..],
        &["mail-transport-agent"],
    ] {
        let names = scene.names(packages);
        let fewer = scene.fewer(&names).unwrap();
        let (settings, request) = (&scene.settings, &scene.request);
        let choice = choose_from(&fewer, settings, &names, request, &scene.host).unwrap();
        assert_eq!(choice, None, "{packages:?}");
    }
}

/// Numbers that are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        let (factor, step) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(factor).wrapping_add(step);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// How many requests of how many packages are drawn for each release; `CHOICES` has another number.
const DRAWN: usize = 40;

#[test]
#[ignore = "takes minutes: some seconds for each request"]
fn root_fewer_lists_choose_the_same_for_any_packages() {
    let number = std::env::var("CHOICES").map_or(DRAWN, |text| text.parse().unwrap());
    for (release, configuration) in [
        ("bookworm", ""),
        ("trixie", "APT::Install-Recommends \"true\";\n"),
        ("sid", ""),
        ("bookworm", "APT::Install-Recommends \"true\";\n"),
    ] {
        let scene = Scene::new(release, configuration, &[]);
        let mut known = Vec::new();
        for entry in fs::read_dir(scene.settings.lists()).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with("_Packages") {
                let text = fs::read_to_string(path).unwrap();
                let names = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("Package: "));
                known.extend(names.map(str::to_owned));
            }
        }
        let mut draw = Draw(1);
        let (mut settled, mut packages) = (0, 0);
        for _ in 0..number {
            let count = 1 + draw.below(6);
            let some: Vec<String> = (0..count)
                .map(|_| known[draw.below(known.len())].clone())
                .collect();
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            if let Some(count) = scene.compare(&scene.names(&some)) {
                settled += 1;
                packages += count;
            }
        }
        println!(
            "{release} {configuration:?}: {settled} of {number} the same, {packages} packages"
        );
        assert!(
            2 * settled > number,
            "{release}: only {settled} of {number} were compared"
        );
    }
}
