//! RPM packages through dnf 4, dnf 5, or yum where there is no dnf.

mod questions;
mod settings;

use std::collections::HashSet;
use std::path::Path;

use questions::{EXACTLY, QUERY, exactly, questions};
use settings::{main_section, write_settings};

use super::rpm::{self, Dialect, Keeping, Leavings, Prepared, Work};
use super::{InstallError, Installer, Request, Site, Unknown, lookup, version};
use crate::distro::provenance::{Archive, Identity};
use crate::host::{Command, Host, Mount, Stdout};
use crate::tree::Root;

/// Installs with dnf or yum.
#[derive(Clone, Copy, Debug)]
pub struct Dnf {
    program: &'static str,
}

/// Programs that do the same, the best first.
const PROGRAMS: [&str; 4] = ["dnf", "dnf5", "dnf-3", "yum"];
/// The name of its part of the package cache.
const MANAGER: &str = "dnf";
const INSTALL: &str = "install";
/// Goes on where a package is not there, which dnf 5 has a word of its own for.
const NOT_STRICT: &str = "--setopt=strict=0";
/// Where dnf 4 and yum cache, which they take for a path in the tree.
const CACHE: &str = "var/cache/dnf";
/// Which of the programs that answer to one name it is: they differ in options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// yum 3 and dnf 4.
    Old,
    /// dnf 5.
    New,
}

impl Dnf {
    /// The program that the host has, or the one to name as missing.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        let found = PROGRAMS.into_iter().find(|name| host.find(name).is_some());
        Self {
            program: found.unwrap_or("dnf"),
        }
    }

    fn generation(self, host: &Host) -> Result<Generation, InstallError> {
        let (_, version) = version::of(self.program, self.program, host)?;
        Ok(if version.contains("dnf5") {
            Generation::New
        } else {
            Generation::Old
        })
    }

    /// Runs it with the settings of this installation; returns what it prints, if that is asked for.
    fn run(
        self,
        (words, packages): (&[&str], &[String]),
        request: Option<&Request>,
        print: Stdout,
        prepared: &Prepared,
        site: &Site,
        host: &Host,
    ) -> Result<String, InstallError> {
        let generation = self.generation(host)?;
        let root = Root::open(&site.root)?;
        let work = &prepared.work;
        let leavings = Leavings::expect(&root, &work.cache)?;
        let _cache: Option<Mount> = match generation {
            Generation::Old => Some(rpm::show_cache(work, site, CACHE)?),
            Generation::New => None,
        };
        let what = match request {
            Some(_) => "installing packages failed",
            None => "removing packages failed",
        };
        let mut command = self.command(generation, request, work, site).args(words);
        command = command.args(packages).stdout(print).no_sync();
        let output = host
            .run(command)
            .map_err(|source| rpm::explain_locked(what, request, source))?;
        leavings.remove(&root)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(
        self,
        generation: Generation,
        request: Option<&Request>,
        work: &Work,
        site: &Site,
    ) -> Command {
        let setting = |name: &str, path: &Path| {
            let mut option = std::ffi::OsString::from(format!("--setopt={name}="));
            option.push(path);
            option
        };
        let mut root = std::ffi::OsString::from("--installroot=");
        root.push(&site.root);
        let mut config = std::ffi::OsString::from("--config=");
        config.push(work.settings.join("dnf.conf"));
        let mut command = work
            .command(self.program)
            .arg(config)
            .arg(root)
            .arg("--assumeyes")
            // Named here, dnf does not look for them in the tree.
            .arg(setting("reposdir", &work.repositories))
            .arg(setting("varsdir", &work.settings.join("vars")));
        if generation == Generation::New {
            command = command
                .arg("--use-host-config")
                .arg(setting("cachedir", &work.cache))
                .arg(setting("system_cachedir", &work.cache));
        }
        if let Some(rpm) = request.and_then(|request| request.rpm().ok()) {
            command = command.arg(format!("--releasever={}", rpm.release_version));
        }
        rpm::without_initrds(command, request)
    }

    fn fill(
        self,
        request: &Request,
        filled: bool,
        site: &Site,
        host: &Host,
    ) -> Result<(), InstallError> {
        let rpm = request.rpm()?;
        let mut prepared = rpm::prepare(request, rpm, MANAGER, filled, site, host)?;
        write_settings(Some((request, rpm)), &prepared)?;
        let before = match filled {
            true => rpm::installed(&prepared.work, site, host)?,
            false => Some(rpm::Installed::new()),
        };
        if let Some(lock) = &request.lock {
            let keeping = Keeping {
                lock,
                request,
                rpm,
                dialect: Dialect::Dnf,
                filled,
                site,
                host,
            };
            keeping.begin(&mut prepared, &|prepared, missing, elsewhere| {
                self.download(request, missing, prepared, elsewhere, host)
            })?;
        }
        let root = Root::open(&site.root)?;
        let masked = request
            .skip_initrds
            .then(|| rpm::mask_initrds(&root))
            .transpose()?;
        if !request.packages.is_empty() {
            let words = ["install"];
            self.run(
                (&words, &request.packages),
                Some(request),
                Stdout::Report,
                &prepared,
                site,
                host,
            )?;
        }
        if let Some(masked) = masked {
            masked.remove(&root)?;
        }
        rpm::note(before, request, &prepared, Dialect::Dnf, site, host)?;
        prepared.finish(request, rpm, Dialect::Dnf, &root, host)
    }

    /// Downloads packages of a lock, as far as repositories have them. dnf does not fetch what needs
    /// something that it does not see: returns what it sees.
    fn download(
        self,
        request: &Request,
        packages: &[&Archive],
        prepared: &Prepared,
        site: &Site,
        host: &Host,
    ) -> Result<Vec<Identity>, InstallError> {
        let rpm = request.rpm()?;
        let run = |words: &[&str], names: &[String], print| {
            self.run((words, names), Some(request), print, prepared, site, host)
        };
        if packages.is_empty() {
            // For the groups in the lists.
            run(&["makecache"], &[], Stdout::Report)?;
            return Ok(Vec::new());
        }
        let lock = request.lock.as_deref();
        let all = lock.map_or(&[][..], |lock| &lock.provenance.packages);
        let visible: Vec<String> = all.iter().map(exactly).collect();
        let settings = main_section(Some((request, rpm))) + &rpm::host_proxy();
        let included = format!("includepkgs={}\n", visible.join(","));
        rpm::write(
            &prepared.work.settings.join("dnf.conf"),
            settings + &included,
        )?;
        let names: Vec<String> = packages.iter().copied().map(exactly).collect();
        let words = [
            "install",
            "--downloadonly",
            "--skip-broken",
            "--refresh",
            NOT_STRICT,
        ];
        run(&words, &names, Stdout::Report)?;
        let seen = run(
            &["--quiet", QUERY[0], QUERY[1], EXACTLY],
            &[],
            Stdout::Capture,
        )?;
        let seen: HashSet<&str> = seen.lines().map(str::trim).collect();
        let there = packages.iter().filter(|one| seen.contains(&*exactly(one)));
        let there = there.map(|one| one.identity()).collect();
        write_settings(Some((request, rpm)), prepared)?;
        Ok(there)
    }
}

impl Installer for Dnf {
    fn name(&self) -> &'static str {
        self.program
    }

    fn tools(&self) -> &'static [&'static str] {
        match self.program {
            "dnf5" => &["dnf5", "rpm", "rpmkeys"],
            "dnf-3" => &["dnf-3", "rpm", "rpmkeys"],
            "yum" => &["yum", "rpm", "rpmkeys"],
            _ => &["dnf", "rpm", "rpmkeys"],
        }
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        self.fill(request, false, site, host)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        self.fill(request, true, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        Ok(vec![
            version::of(self.program, self.program, host)?,
            version::of("rpm", "rpm", host)?,
        ])
    }

    fn commands(
        &self,
        request: &Request,
        site: &Site,
        _filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        if request.packages.is_empty() {
            return Ok(Vec::new());
        }
        // Which dnf it is shows only when it is asked.
        let generation = match self.program {
            "dnf5" => Generation::New,
            _ => Generation::Old,
        };
        let work = Work::at(Some(request), MANAGER, site);
        let command = self.command(generation, Some(request), &work, site);
        Ok(vec![command.arg(INSTALL).args(&request.packages)])
    }

    fn unknown(
        &self,
        request: &Request,
        site: &Site,
        host: &Host,
    ) -> Result<Option<Vec<Unknown>>, InstallError> {
        if self.program == "yum" {
            // It asks lists with a program of its own, which hosts may not have.
            return Ok(None);
        }
        let rpm = request.rpm()?;
        let prepared = rpm::prepare_lookup(request, rpm, MANAGER, site, host)?;
        write_settings(Some((request, rpm)), &prepared)?;
        let generation = self.generation(host)?;
        if generation == Generation::Old {
            // It takes the path for one in the tree; to mount the cache there, this would have to be root.
            let root = Root::open(&site.root)?;
            root.create_dir_all("var/cache", 0o755)?;
            root.symlink(&prepared.work.cache, CACHE)?;
        }
        let ask = |words: &[&str], nothing: &[i32]| {
            let command = self.command(generation, Some(request), &prepared.work, site);
            lookup::answer(command.arg("--quiet").args(words), nothing, host).map_err(|source| {
                rpm::explain(
                    "reading the lists of packages failed",
                    Some(request),
                    source,
                )
            })
        };
        let names = ask(&QUERY, &[])?;
        let unknown = lookup::unknown(&request.packages, &names, |word| {
            for words in questions(word) {
                if !ask(&words, &[1])?.trim().is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })?;
        Ok(Some(unknown))
    }

    fn keeps_to_locks(&self) -> bool {
        // yum 3 has no way to download nothing but what it is told.
        self.program != "yum"
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        let prepared = rpm::prepare_removal(MANAGER, site, host)?;
        write_settings(None, &prepared)?;
        let print = Stdout::Report;
        self.run((&["remove"], packages), None, print, &prepared, site, host)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};
    use crate::installer::tests::rpm_request;

    fn host(recorder: Recorder) -> Host {
        Host::new(Arc::new(recorder), Arc::new(Quiet), Cancel::default())
    }

    #[test]
    fn the_command_line_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            root: "/build/tree".into(),
            scratch: dir.path().into(),
        };
        let mut request = rpm_request();
        request.skip_initrds = true;
        let work = Work::open(Some(&request), "dnf", &site, &host(Recorder::default())).unwrap();
        let line = |generation| {
            let dnf = Dnf { program: "dnf" };
            let command = dnf.command(generation, Some(&request), &work, &site);
            command
                .to_string()
                .replace(&*dir.path().to_string_lossy(), "/S")
        };
        let old = line(Generation::Old);
        assert_eq!(
            old,
            "HOME=/S/rpm/home XDG_CONFIG_HOME=/S/rpm/home/.config KERNEL_INSTALL_BYPASS=1 dnf \
             --config=/S/rpm/settings/dnf.conf --installroot=/build/tree --assumeyes \
             --setopt=reposdir=/S/rpm/repositories --setopt=varsdir=/S/rpm/settings/vars \
             --releasever=44"
        );
        let new = line(Generation::New);
        assert!(
            new.contains(" --use-host-config --setopt=cachedir=/S/rpm/cache "),
            "{new}"
        );
    }

    #[test]
    fn generations_are_told_apart_by_what_they_print() {
        for (version, expected) in [
            ("4.14.0\n  Installed: dnf", Generation::Old),
            ("3.4.3\n", Generation::Old),
            ("dnf5 version 5.2.17.0\ndnf5 plugin API\n", Generation::New),
        ] {
            let recorder = Recorder::default();
            recorder.answer("--version", version);
            let found = Dnf { program: "dnf" }.generation(&host(recorder)).unwrap();
            assert_eq!(found, expected, "{version}");
        }
    }

    #[test]
    fn yum_is_the_last_resort() {
        let without = |programs: &[&str]| {
            let recorder = Recorder::default();
            for program in programs {
                recorder.without(program);
            }
            Dnf::of(&host(recorder)).name()
        };
        assert_eq!(without(&[]), "dnf");
        assert_eq!(without(&["dnf"]), "dnf5");
        assert_eq!(without(&["dnf", "dnf5", "dnf-3"]), "yum");
        assert_eq!(without(&PROGRAMS), "dnf");
    }
}
