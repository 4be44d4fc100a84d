//! apt's settings for a tree: its own sources, keys and pins, the host's limits and proxies, and a
//! place for lists and packages that outlives the build.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::sources::Sources;
use crate::distro::AptRepositories;
use crate::host::{Command, Host, Stdout, printable_path};
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Request, Site};

/// What of the host's `Acquire` is about the host's own repositories, or would lower what is
/// demanded of signatures. That lists may be of any age is said of mirrors that stand still on
/// purpose, which is the host's to know.
const NOT_TAKEN: &[&str] = &[
    "Acquire::AllowDowngradeToInsecureRepositories",
    "Acquire::AllowInsecureRepositories",
    "Acquire::AllowReleaseInfoChange",
    "Acquire::AllowWeakRepositories",
    "Acquire::Changelogs",
    "Acquire::CompressionTypes",
    "Acquire::GzipIndexes",
    "Acquire::IndexTargets",
    "Acquire::Languages",
    "Acquire::Max-FutureTime",
    "Acquire::Max-ValidTime",
    "Acquire::Min-ValidTime",
    "Acquire::Snapshots",
    "Acquire::cdrom",
];

/// Of the compressions that a repository has its lists in, the one that is read in a third of the time of
/// xz. It is larger, so this is nothing for what comes over a network.
const READ_FASTEST: &str = "Acquire::CompressionTypes::Order:: \"gz\";\n";

/// Where apt works for one tree.
#[derive(Debug)]
pub(super) struct Settings {
    /// The configuration file, for the variable `APT_CONFIG`.
    pub file: PathBuf,
    /// A second one, for the command line: it is read after those of the tree.
    pub last: PathBuf,
    /// Where lists of available packages are kept.
    pub state: PathBuf,
    /// Where packages are downloaded to.
    pub archives: PathBuf,
    /// Which packages were not asked for by name.
    pub extended_states: PathBuf,
    /// What apt would have told dpkg to do: each call's words, each ended by a null byte, on a line.
    pub calls: PathBuf,
    /// The packages that apt would have dpkg install, in the third version of its protocol.
    pub list: PathBuf,
    /// There once this build has brought the lists up to date; holds where they are.
    pub fresh: PathBuf,
    stub: PathBuf,
}

impl Settings {
    /// The places for a tree. Nothing is written.
    ///
    /// # Errors
    /// When the repositories are none of apt's.
    pub fn at(request: &Request, site: &Site, sources: &Sources) -> Result<Self, InstallError> {
        let own = site.scratch.join("apt");
        let apt = request.apt()?;
        let (state, archives) = match &request.cache {
            Some(cache) => (
                cache.join("apt").join(key(request, apt, sources)),
                cache.clone(),
            ),
            None => (own.join("state"), own.join("archives")),
        };
        Ok(Self {
            file: own.join("apt.conf"),
            last: own.join("last.conf"),
            state,
            archives,
            extended_states: own.join("extended_states"),
            calls: own.join("calls"),
            list: own.join("list"),
            fresh: own.join("fresh"),
            stub: own.join("dpkg"),
        })
    }

    /// Writes the settings. `keyrings` is the directory of the keys that sign the sources.
    ///
    /// # Errors
    /// When a file cannot be written, or a path is one that apt cannot be told.
    pub fn write(
        request: &Request,
        site: &Site,
        keyrings: &Path,
        host: &Host,
    ) -> Result<Self, InstallError> {
        let own = site.scratch.join("apt");
        make_directory(&own.join("log"))?;
        let sources = Sources::of(request, site)?;
        let settings = Self::at(request, site, &sources)?;
        for directory in [
            settings.state.join("lists/partial"),
            settings.archives.join("partial"),
        ] {
            make_directory(&directory)?;
        }
        let (list, parts) = sources.write(&own)?;
        write(&settings.stub, &stub(&settings.calls)?, 0o755)?;
        write(&settings.last, &settings.last_words(), 0o644)?;
        let mut text = proxies(host);
        for (name, value) in [
            ("APT::Architecture", &*request.architecture),
            ("APT::Architectures::", &request.architecture),
            ("APT::Install-Recommends", "false"),
            // It would make apt essential, which is for the distribution to say.
            ("pkgCacheGen::ForceEssential", ","),
            ("Acquire::Languages", "none"),
            // The keys and the lists are in directories that only root may enter.
            ("APT::Sandbox::User", "root"),
            ("Acquire::Retries", "3"),
            ("Dir::Etc::Trusted", "/dev/null"),
            // One tree's packages on top of what is available: the next tree has others.
            ("Dir::Cache::pkgcache", ""),
            // A compressed account of the order in which packages are installed.
            ("Dir::Log::Planner", "/dev/null"),
        ] {
            let _ = writeln!(text, "{name} \"{value}\";");
        }
        if sources.are_local() {
            text.push_str(READ_FASTEST);
        }
        for (name, path) in [
            ("Dir", &site.root),
            ("Dir::Etc::SourceList", &list),
            ("Dir::Etc::SourceParts", &parts),
            ("Dir::Etc::TrustedParts", &keyrings.to_owned()),
            ("Dir::State", &settings.state),
            ("Dir::State::Lists", &settings.lists()),
            ("Dir::State::Status", &site.root.join(super::DPKG_STATUS)),
            ("Dir::State::Extended_States", &settings.extended_states),
            ("Dir::Cache", &settings.state),
            ("Dir::Cache::Archives", &settings.archives),
            ("Dir::Log", &own.join("log")),
        ] {
            let _ = writeln!(text, "{name} \"{}\";", in_quotes(path)?);
        }
        write(&settings.file, &text, 0o644)?;
        Ok(settings)
    }

    /// The lists of available packages.
    pub fn lists(&self) -> PathBuf {
        self.state.join("lists")
    }

    /// What counts whatever the tree's own configuration says: programs of an image's
    /// configuration must not run on the host, and nothing is installed by apt itself.
    fn last_words(&self) -> String {
        let mut text = String::new();
        for hook in [
            "APT::Update::Pre-Invoke",
            "APT::Update::Post-Invoke",
            "APT::Update::Post-Invoke-Success",
            "APT::Install::Pre-Invoke",
            "APT::Install::Post-Invoke-Success",
            "DPkg::Pre-Invoke",
            "DPkg::Post-Invoke",
            "DPkg::Pre-Install-Pkgs",
        ] {
            let _ = writeln!(text, "#clear {hook};");
        }
        for (name, value) in [
            // A directory of links in place of the packages would be gone when dpkg runs. Without the
            // second, apt decides by the release of dpkg alone.
            ("DPkg::Install::Recursive", "false"),
            ("DPkg::Install::Recursive::Force", "true"),
            ("DPkg::Use-Pty", "false"),
            ("DPkg::MaxArgBytes", "100000"),
            ("DPkg::Chroot-Directory", ""),
            ("Debug::NoLocking", "true"),
            ("APT::Keep-Downloaded-Packages", "true"),
            ("Acquire::AllowDowngradeToInsecureRepositories", "false"),
            ("Acquire::AllowInsecureRepositories", "false"),
            // Checksums are read out of the lists.
            ("Acquire::GzipIndexes", "false"),
        ] {
            let _ = writeln!(text, "{name} \"{value}\";");
        }
        text
    }

    /// Makes this file of preferences the only one that counts.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn keep_to(&self, preferences: &Path, none: &Path) -> Result<(), InstallError> {
        self.append(&[
            ("Dir::Etc::Preferences", preferences),
            ("Dir::Etc::PreferencesParts", none),
        ])
    }

    /// Adds a repository in a directory of the build's own, for this tree alone; without the others,
    /// unless they are kept.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn add_repository(&mut self, directory: &Path, others: bool) -> Result<(), InstallError> {
        let own = self.file.with_file_name("added");
        let state = own.join("state");
        let (added, list) = (self.added(), own.join("sources.list"));
        let lists = state.join("lists");
        make_directory(&lists.join("partial"))?;
        let line = format!("deb [trusted=yes] file:{} ./\n", in_quotes(directory)?);
        write(&added, &line, 0o644)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| InstallError::Prepare { path, source }
        };
        let mut text = String::new();
        if others {
            let former = self.lists();
            for entry in std::fs::read_dir(&former).map_err(failed(&former))? {
                let entry = entry.map_err(failed(&former))?;
                if entry.path().is_file() {
                    let to = lists.join(entry.file_name());
                    std::fs::copy(entry.path(), &to).map_err(failed(&to))?;
                }
            }
            let former = self.file.with_file_name("sources.list");
            text = std::fs::read_to_string(&former).map_err(failed(&former))?;
        } else {
            let parts = own.join("sources.list.d");
            make_directory(&parts)?;
            self.append(&[("Dir::Etc::SourceParts", &parts)])?;
        }
        write(&list, &(text + &line), 0o644)?;
        self.state = state;
        self.append(&[
            ("Dir::Etc::SourceList", &list),
            ("Dir::State", &self.state),
            ("Dir::State::Lists", &lists),
            ("Dir::Cache", &self.state),
        ])
    }

    /// Brings the list of the repository up to date that was added.
    ///
    /// # Errors
    /// When a path is one that apt cannot be told.
    pub fn update_added(&self) -> Result<Command, InstallError> {
        let list = in_quotes(&self.added())?;
        Ok(self
            .command()?
            .arg(format!("--option=Dir::Etc::SourceList={list}"))
            .arg("--option=Dir::Etc::SourceParts=/dev/null")
            .arg("--option=APT::Get::List-Cleanup=false")
            .args(["--error-on=any", "update"]))
    }

    fn added(&self) -> PathBuf {
        self.file.with_file_name("added.list")
    }

    /// Later words count.
    fn append(&self, paths: &[(&str, &Path)]) -> Result<(), InstallError> {
        let mut text = String::new();
        for (name, path) in paths {
            let _ = writeln!(text, "{name} \"{}\";", in_quotes(path)?);
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(&self.file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(|source| InstallError::Prepare {
                path: self.file.clone(),
                source,
            })
    }

    /// An apt-get with these settings.
    pub fn command(&self) -> Result<Command, InstallError> {
        let option = |name: &str, value: &str| format!("--option={name}={value}");
        let list = in_quotes(&self.list)?.replace('\'', r"'\''");
        Ok(Command::new("apt-get")
            .env("APT_CONFIG", &self.file)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--config-file")
            .arg(&self.last)
            .args(["--yes", "--quiet=1"])
            .arg(option("Dir::Bin::dpkg", &in_quotes(&self.stub)?))
            .arg(option(
                "DPkg::Pre-Install-Pkgs::",
                &format!("cat >'{list}'"),
            ))
            .arg(option("DPkg::Tools::Options::cat::Version", "3"))
            .no_sync())
    }
}

/// A name for everything that decides what the lists of available packages are.
fn key(request: &Request, apt: &AptRepositories, sources: &Sources) -> String {
    let mut hash = Sha256::new();
    hash.update(&request.architecture);
    hash.update([0]);
    hash.update(&sources.list);
    for (name, content) in &sources.parts {
        for part in [name.as_bytes(), content] {
            hash.update([0]);
            hash.update(part);
        }
    }
    for keyring in &apt.keyrings {
        hash.update([0]);
        hash.update(keyring.as_os_str().as_bytes());
    }
    let hash = format!("{:x}", hash.finalize());
    let short = &hash[..16];
    format!("{}-{}-{short}", request.release, request.architecture)
}

/// The host's limits and proxies; none where it does not tell.
fn proxies(host: &Host) -> String {
    let command = Command::new("apt-config")
        .args(["dump", "Acquire"])
        .stdout(Stdout::Capture);
    let Ok(output) = host.run(command) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let taken = |line: &&str| {
        let name = line.split([' ', ';']).next().unwrap_or_default();
        let below = |other: &&str| {
            name.get(..other.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(other))
        };
        name.starts_with("Acquire::") && !NOT_TAKEN.iter().any(below)
    };
    text.lines()
        .filter(taken)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A dpkg that only notes what it is told. Words end in null bytes: names of files may hold anything
/// else.
fn stub(calls: &Path) -> Result<String, InstallError> {
    let calls = in_quotes(calls)?.replace('\'', r"'\''");
    Ok(format!(
        "#!/bin/sh\n{{ printf '%s\\0' \"$@\"; printf '\\n'; }} >>'{calls}'\n"
    ))
}

/// apt's configuration has no way to write some characters.
pub(super) fn in_quotes(path: &Path) -> Result<String, InstallError> {
    let text = path.to_str().unwrap_or("\"");
    if text.contains(['"', '\n', '\\', ';']) {
        return Err(InstallError::Unsaid {
            path: printable_path(path),
        });
    }
    Ok(text.to_owned())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), InstallError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .map_err(|source| InstallError::Prepare {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};
    use crate::installer::tests::request;

    #[test]
    fn the_hosts_proxies_and_limits_count_but_not_what_it_demands_of_signatures() {
        let directory = tempfile::tempdir().unwrap();
        let site = Site {
            root: directory.path().join("tree"),
            scratch: directory.path().to_owned(),
        };
        std::fs::create_dir(&site.root).unwrap();
        let recorder = Recorder::default();
        recorder.answer(
            "apt-config dump Acquire",
            "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://proxy:3142\";\n\
             Acquire::http::Dl-Limit \"70\";\nAcquire::AllowInsecureRepositories \"true\";\n\
             acquire::allowweakrepositories \"true\";\nAcquire::Check-Valid-Until \"false\";\n",
        );
        let host = Host::new(Arc::new(recorder), Arc::new(Quiet), Cancel::default());
        let keys = directory.path().join("keys");
        let settings = Settings::write(&request(), &site, &keys, &host).unwrap();
        let text = std::fs::read_to_string(&settings.file).unwrap();
        for line in [
            "Acquire::http::Proxy \"http://proxy:3142\";\n",
            "Acquire::http::Dl-Limit \"70\";\n",
            "Acquire::Check-Valid-Until \"false\";\n",
            "Acquire::Retries \"3\";\n",
            "Dir::Cache::pkgcache \"\";\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.to_lowercase().contains("insecure"));
        assert!(!text.to_lowercase().contains("weak"));
        let last = std::fs::read_to_string(&settings.last).unwrap();
        assert!(last.contains("Acquire::AllowInsecureRepositories \"false\";\n"));
    }
}
