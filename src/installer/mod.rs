//! Package managers: what fills an empty tree with a distribution's packages.

mod apk;
pub mod apt;
mod archives;
mod cache;
mod confined;
pub(crate) mod deb;
mod debootstrap;
mod dnf;
mod escapes;
mod in_tree;
pub mod lock;
mod lookup;
mod mmdebstrap;
mod pacman;
pub mod provenance;
mod request;
mod rpm;
mod swupd;
#[cfg(test)]
mod testing;
mod version;
mod zypper;

use std::path::{Path, PathBuf};

use crate::config::values::Distribution;
use crate::host::{Command, CommandError, Host, HostError, printable_path};
use crate::tree::TreeError;

pub use apk::Apk;
pub use deb::Deb;
pub use debootstrap::Debootstrap;
pub use dnf::Dnf;
pub use mmdebstrap::Mmdebstrap;
pub use pacman::Pacman;
pub use request::Request;
pub use swupd::Swupd;
pub use zypper::Zypper;

/// Where an installer works.
#[derive(Debug)]
pub struct Site {
    /// The tree; it may hold skeleton files already.
    pub root: PathBuf,
    /// A directory of the build's own for what must not be in the tree.
    pub scratch: PathBuf,
}

/// The variable by which hooks of Debian's kernel packages are told to make no initrd.
pub(crate) const SKIP_INITRDS: (&str, &str) = ("INITRD", "No");

/// A package manager.
pub trait Installer: Send + Sync {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Programs that must be on the host.
    fn tools(&self) -> &'static [&'static str];

    /// Makes what must be in an empty tree before skeleton files come in: nothing, where the
    /// distribution's packages bring every directory and link.
    ///
    /// # Errors
    /// The tree cannot be changed.
    fn prepare(&self, _request: &Request, _root: &Path) -> Result<(), InstallError> {
        Ok(())
    }

    /// Fills the tree with the requested packages.
    ///
    /// # Errors
    /// What the package manager says, with what to do about it; whatever cannot be verified; or an interruption.
    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError>;

    /// Installs the requested packages into a tree that this installer filled before.
    ///
    /// # Errors
    /// As [`Self::install`].
    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError>;

    /// What decides, besides the request, what is in a tree that this installer fills: versions of
    /// programs, configuration of the host that they heed. Pairs of what it is and its value.
    ///
    /// # Errors
    /// A program cannot be asked for its version.
    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError>;

    /// The command lines by which [`Installer::install`] (or [`Installer::add`], when `filled`) has
    /// packages chosen and installed, as far as the request decides them. Runs nothing.
    ///
    /// # Errors
    /// The command lines cannot be known before the packages are.
    fn commands(
        &self,
        request: &Request,
        site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError>;

    /// The requested packages that no repository has; nothing where this package manager cannot be asked
    /// without a tree that it filled. `site` is a tree with keys of
    /// the project at most, of which nothing is kept.
    ///
    /// # Errors
    /// The repositories cannot be read.
    fn unknown(
        &self,
        _request: &Request,
        _site: &Site,
        _host: &Host,
    ) -> Result<Option<Vec<Unknown>>, InstallError> {
        Ok(None)
    }

    /// Whether it installs exactly what a lock says, and tells from what it installed.
    fn keeps_to_locks(&self) -> bool {
        false
    }

    /// Takes packages out of a tree that this installer filled.
    ///
    /// # Errors
    /// What the package manager says, or an interruption.
    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError>;
}

/// A requested package that no repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// As it was asked for.
    pub name: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The package manager failed.
    #[error("{what}{hint}")]
    Command {
        /// What was being done.
        what: String,
        /// What to do about it, as lines of their own, or nothing.
        hint: String,
        /// The command and its last words.
        #[source]
        source: CommandError,
    },
    /// A file that the package manager needs could not be written.
    #[error("cannot prepare {}", printable_path(path))]
    Prepare {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The tree could not be changed.
    #[error("cannot set up the package manager in the image")]
    Tree(#[from] TreeError),
    /// The operating system refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A link that package managers of the host would follow out of the tree.
    #[error(
        "{} leads to {} on the host while packages are installed; make the link relative",
        printable_path(link),
        printable_path(target)
    )]
    Escapes {
        /// The link, in the image.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A keyring is missing.
    #[error(
        "the keyring {} that signs the distribution's packages is missing; install the package {package}",
        printable_path(path)
    )]
    Keyring {
        /// Where it should be.
        path: PathBuf,
        /// The package that has it.
        package: String,
    },
    /// Nobody's signature is known for a repository.
    #[error(
        "no key is known for the packages of {repository}: put {name} into mkosi.skeleton{directory}/, \
         or install the package distribution-gpg-keys"
    )]
    RpmKey {
        /// The repository's address.
        repository: String,
        /// The name of the key's file.
        name: String,
        /// Where it belongs.
        directory: &'static str,
    },
    /// A package is damaged or means harm.
    #[error("the package {package} cannot be installed: {problem}")]
    Package {
        /// Its name, or its file's where it does not say.
        package: String,
        /// What is wrong with it.
        problem: String,
        /// The system's reason, if it was that.
        #[source]
        source: Option<std::io::Error>,
    },
    /// A path that apt's configuration has no way to write.
    #[error("apt cannot work in {path}: quotes, semicolons and backslashes in a path confuse it")]
    Unsaid {
        /// The path, printable.
        path: String,
    },
    /// A path that dnf's settings have no way to write.
    #[error(
        "dnf cannot work in {path}: white space and commas in a path confuse it; choose another WorkspaceDirectory="
    )]
    Split {
        /// The path, printable.
        path: String,
    },
    /// Something needs a package that was taken out.
    #[error(
        "the package {package} was taken out of Packages= with !{package}, but others that are \
         installed need it"
    )]
    Excluded {
        /// Its name.
        package: String,
    },
    /// Something needs a package that was to be removed.
    #[error("the package {package} cannot be removed: others that are installed need it")]
    Needed {
        /// Its name.
        package: String,
    },
    /// An address that a package manager's configuration has no way to write.
    #[error("{manager} cannot be told of the repository {address}: it must be one word")]
    Address {
        /// The package manager.
        manager: &'static str,
        /// The address, printable.
        address: String,
    },
    /// The request is for another kind of repository.
    #[error("{manager} cannot install {distribution}")]
    OtherKind {
        /// The package manager.
        manager: &'static str,
        /// The distribution.
        distribution: String,
    },
    /// Packages could not be those of the lock.
    #[error(transparent)]
    Lock(#[from] lock::LockError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

/// The best installer of a distribution's packages that the host has; where it has none, the one
/// whose missing programs are to be named.
#[must_use]
pub fn choose(distribution: Distribution, host: &Host) -> Box<dyn Installer> {
    match distribution {
        Distribution::Debian | Distribution::Ubuntu => debian(host),
        Distribution::Fedora
        | Distribution::Centos
        | Distribution::CentosEpel
        | Distribution::Mageia => Box::new(Dnf::of(host)),
        Distribution::Opensuse => opensuse(host),
        Distribution::Arch => Box::new(Pacman),
        Distribution::Alpine => Box::new(Apk),
        Distribution::Clear => Box::new(Swupd),
    }
}

fn debian(host: &Host) -> Box<dyn Installer> {
    let has = |installer: &dyn Installer| installer.tools().iter().all(|t| host.find(t).is_some());
    if has(&Deb) {
        return Box::new(Deb);
    }
    if has(&Mmdebstrap) {
        return Box::new(Mmdebstrap);
    }
    if has(&Debootstrap) {
        return Box::new(Debootstrap);
    }
    Box::new(Deb)
}

/// zypper knows the distribution's patterns; dnf can install its packages, too.
fn opensuse(host: &Host) -> Box<dyn Installer> {
    let dnf = Dnf::of(host);
    let has = |installer: &dyn Installer| installer.tools().iter().all(|t| host.find(t).is_some());
    if !has(&Zypper) && has(&dnf) {
        return Box::new(dnf);
    }
    Box::new(Zypper)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::distro::{AptRepositories, MergedUsr, Repositories, Source};
    use crate::host::{Cancel, Quiet, Recorder};

    /// A small Debian.
    pub fn request() -> Request {
        let source = Source {
            uri: "http://deb.debian.org/debian".into(),
            suite: "bookworm".into(),
            components: vec!["main".into()],
            signed_by: None,
            trusted: false,
        };
        Request {
            distribution: Distribution::Debian,
            release: "bookworm".into(),
            architecture: "amd64".into(),
            packages: vec!["dbus".into(), "systemd".into()],
            excluded: Vec::new(),
            repositories: Repositories::Apt(AptRepositories {
                sources: vec![source.clone()],
                image_sources: vec![source],
                keyrings: Vec::new(),
                merged_usr: MergedUsr::LinksAndPackage,
            }),
            with_docs: false,
            with_changelogs: false,
            skip_initrds: false,
            cache: None,
            lock: None,
        }
    }

    /// A small Fedora.
    pub fn rpm_request() -> Request {
        use crate::distro::{Facts as _, fedora::Fedora, rpm::tests::wanted};
        Request {
            distribution: Distribution::Fedora,
            release: "44".into(),
            architecture: "x86_64".into(),
            repositories: Fedora.repositories(&wanted("44", "x86_64")),
            ..request()
        }
    }

    #[test]
    fn opensuse_is_installed_by_what_is_there() {
        let without = |programs: &[&str]| {
            let recorder = Recorder::default();
            for program in programs {
                recorder.without(program);
            }
            let host = Host::new(Arc::new(recorder), Arc::new(Quiet), Cancel::default());
            choose(Distribution::Opensuse, &host).name()
        };
        assert_eq!(without(&[]), "zypper");
        assert_eq!(without(&["zypper"]), "dnf");
        assert_eq!(
            without(&["zypper", "dnf", "dnf5", "dnf-3", "yum"]),
            "zypper"
        );
    }

    #[test]
    fn the_faster_installer_is_chosen_where_it_is() {
        let without = |programs: &[&str]| {
            let recorder = Recorder::default();
            for program in programs {
                recorder.without(program);
            }
            let host = Host::new(Arc::new(recorder), Arc::new(Quiet), Cancel::default());
            choose(Distribution::Debian, &host).name()
        };
        assert_eq!(without(&[]), "apt");
        assert_eq!(without(&["systemd-nspawn"]), "mmdebstrap");
        assert_eq!(without(&["apt-get", "apt-config"]), "debootstrap");
        assert_eq!(without(&["apt-get", "debootstrap"]), "apt");
    }
}
