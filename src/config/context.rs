//! What a configuration depends on besides settings: the working directory, the environment, and
//! the host's distribution.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use super::values::{Architecture, Distribution};
use crate::distro;

/// Where and for whom a configuration is read. Nothing else of the host is looked at.
#[derive(Debug, Default)]
pub struct Context {
    /// The project's directory, absolute: what relative paths are relative to.
    pub directory: PathBuf,
    /// The environment of the caller.
    pub variables: BTreeMap<String, String>,
    /// The host's root directory, `/` but in tests: where its os-release and passwd are.
    pub host_root: PathBuf,
    os: OnceLock<HostSystem>,
}

/// What the os-release of the host, or of another system, says.
#[derive(Debug, Default)]
pub struct HostSystem {
    /// Its own name; empty when it does not say.
    pub id: String,
    /// The distribution that it is.
    pub exact: Option<Distribution>,
    /// The distribution that it is made from.
    pub like: Option<Distribution>,
    /// Its release, by the name in the repositories.
    pub release: Option<String>,
}

impl Context {
    /// The context of a project in `directory`.
    pub fn new(
        directory: impl Into<PathBuf>,
        variables: BTreeMap<String, String>,
        host_root: impl Into<PathBuf>,
    ) -> Self {
        Self {
            directory: directory.into(),
            variables,
            host_root: host_root.into(),
            os: OnceLock::new(),
        }
    }

    /// The context of this process, whose working directory is the project's.
    ///
    /// # Errors
    /// When the working directory is gone or may not be read.
    pub fn of_this_process() -> io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self::new(std::env::current_dir()?, variables, "/"))
    }

    /// `path` beneath the project's directory unless it is absolute, without `.` and doubled or
    /// trailing slashes. A `..` stays: what it leads to depends on symbolic links.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        let joined = self.directory.join(path);
        joined
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect()
    }

    /// The value of a variable of the caller's environment; `SUDO_HOME` is the home directory of
    /// the user who called sudo.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        match self.variables.get(name) {
            Some(value) => Some(value.clone()),
            None if name == "SUDO_HOME" => self.home_of(self.variables.get("SUDO_USER")?),
            None => None,
        }
    }

    fn home_of(&self, user: &str) -> Option<String> {
        let passwd = std::fs::read_to_string(self.host_root.join("etc/passwd")).ok()?;
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(user)).then(|| fields.nth(4).map(str::to_owned))?
        })
    }

    fn os(&self) -> &HostSystem {
        self.os.get_or_init(|| {
            ["etc/os-release", "usr/lib/os-release"]
                .iter()
                .find_map(|path| std::fs::read_to_string(self.host_root.join(path)).ok())
                .map(|text| HostSystem::from_text(&text))
                .unwrap_or_default()
        })
    }

    /// The host's distribution, or the one it is made from; none when neither can be built.
    #[must_use]
    pub fn host_distribution(&self) -> Option<Distribution> {
        self.os().exact.or(self.os().like)
    }

    /// The host's name for its distribution; empty when it does not say.
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.os().id
    }

    /// The host's release if it runs `distribution` itself, otherwise a current one.
    #[must_use]
    pub fn default_release(&self, distribution: Distribution) -> String {
        let os = self.os();
        os.release
            .clone()
            .filter(|_| os.exact == Some(distribution))
            .unwrap_or_else(|| distro::default_release(distribution).to_owned())
    }

    /// Where packages come from unless a mirror is set.
    #[must_use]
    pub fn default_mirror(
        &self,
        distribution: Distribution,
        architecture: Architecture,
    ) -> Option<String> {
        distro::default_mirror(distribution, architecture).map(str::to_owned)
    }

    /// Whether `path` is in a git working tree.
    #[must_use]
    pub fn is_git_tree(&self, path: &Path) -> bool {
        super::git_tree::is_git_tree(path)
    }
}

impl HostSystem {
    /// Reads the text of an os-release.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, value)) = line.split_once('=') {
                values.insert(name.trim(), value.trim().trim_matches(['"', '\'']));
            }
        }
        let get = |name: &str| values.get(name).copied().unwrap_or_default();
        let exact = match get("ID") {
            // Made from the same sources and installed from repositories of its own.
            "rhel" => None,
            id => Distribution::from_os_id(id),
        };
        let like = get("ID_LIKE")
            .split_whitespace()
            .find_map(Distribution::from_os_id);
        let release = match exact {
            Some(Distribution::Debian | Distribution::Ubuntu) => get("VERSION_CODENAME"),
            // These roll: the version names a day, not a release.
            Some(Distribution::Arch | Distribution::Clear) => "",
            Some(Distribution::Opensuse) if get("ID").ends_with("tumbleweed") => "tumbleweed",
            // The repositories are per branch: 3.23, not 3.23.1.
            Some(Distribution::Alpine) => {
                let version = get("VERSION_ID");
                version
                    .rsplit_once('.')
                    .filter(|(branch, _)| branch.contains('.'))
                    .map_or(version, |(branch, _)| branch)
            }
            Some(_) => get("VERSION_ID"),
            None => "",
        };
        Self {
            id: get("ID").to_owned(),
            exact,
            like,
            release: Some(release.to_owned()).filter(|release| !release.is_empty()),
        }
    }
}
