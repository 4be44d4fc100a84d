//! Package managers of the host, run where they can write to nothing but the tree and their own files.
//!
//! They are told the tree's path and follow links as they find them. On the host, a link in a package
//! or a tree, or a script of a package, could make them write outside. So they run in a container of
//! the host's programs, read-only, with the tree in it; what they mount for scripts goes with it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{InstallError, Site};
use crate::distro::location;
use crate::host::{Command, Container, Host, shell_quote};

/// The tree, as package managers see it.
pub(super) const TREE: &str = "/run/mkosi/tree";
/// The package manager's own directory.
pub(super) const WORK: &str = "/run/mkosi/manager";
/// What it downloads.
pub(super) const CACHE: &str = "/run/mkosi/cache";
/// Repositories on this host's disks.
const MIRRORS: &str = "/run/mkosi/mirrors";

/// What programs of the host are made of: shown as they are, links as links.
const PROGRAMS: [&str; 8] = [
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix",
];

/// What of the host's configuration programs need to start, to find servers and to trust them.
const CONFIGURATION: [&str; 17] = [
    "etc/alternatives",
    "etc/ca-certificates",
    "etc/crypto-policies",
    "etc/gai.conf",
    "etc/group",
    "etc/host.conf",
    "etc/hosts",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/localtime",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/pki",
    "etc/services",
    "etc/ssl",
    "var/lib/ca-certificates",
];

/// Mount points and directories that programs expect.
const EMPTY: [&str; 8] = ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp"];

/// Variables with the addresses of proxies.
const PROXIES: [&str; 5] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
];

/// Gives scripts of packages what they find in a running system. Modes as in Arch's filesystem. After that nothing
/// can be mounted any more, so that the kernel's settings stay read-only, where the host has setpriv of
/// util-linux.
const SCRIPT: &str = r#"set -eu
tree=/run/mkosi/tree
. /run/mkosi/manager/environment
directory() {
    [ -d "$tree/$2" ] || mkdir -m "$1" "$tree/$2"
}
directory 0755 dev
directory 0555 proc
directory 0555 sys
directory 0755 run
directory 1777 tmp
for name in dev proc sys; do
    mount --rbind "/$name" "$tree/$name"
done
mount -t tmpfs -o mode=0755,nosuid,nodev mkosi "$tree/run"
mount -t tmpfs -o mode=1777,nosuid,nodev mkosi "$tree/tmp"
without='setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --'
if $without true 2>/dev/null; then
    exec $without "$@"
fi
exec "$@""#;

/// A place for one package manager.
#[derive(Debug)]
pub(super) struct Confined {
    tree: PathBuf,
    root: PathBuf,
    work: PathBuf,
    cache: PathBuf,
    mirrors: Vec<PathBuf>,
    shown: Vec<(PathBuf, PathBuf)>,
}

impl Confined {
    /// Prepares the place. `name` is that of the package manager's directory in the scratch space.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn new(site: &Site, name: &str, cache: Option<&Path>) -> Result<Self, InstallError> {
        let work = site.scratch.join(name);
        let confined = Self {
            tree: site.root.clone(),
            root: site.scratch.join("confined"),
            cache: cache.map_or_else(|| work.join("cache"), Path::to_owned),
            work,
            mirrors: Vec::new(),
            shown: Vec::new(),
        };
        for path in [&confined.root, &confined.work, &confined.cache] {
            make_directory(path)?;
        }
        confined.write("environment", &environment())?;
        Ok(confined)
    }

    /// The package manager's own directory, which it sees as [`WORK`].
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// What it downloads, which it sees as [`CACHE`].
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Writes a file into the package manager's own directory, for root alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), InstallError> {
        let path = self.work.join(name);
        std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)))
            .map_err(|source| InstallError::Prepare { path, source })
    }

    /// The address by which a repository is known inside: one on this host's disk is shown there.
    /// Parts that begin with `$` are the package manager's to fill in.
    pub fn address(&mut self, url: &str) -> String {
        let Some(path) = location::path(url) else {
            return url.to_owned();
        };
        let is_fixed =
            |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().starts_with('$');
        let base: PathBuf = path.components().take_while(is_fixed).collect();
        let rest = path.strip_prefix(&base).unwrap_or(Path::new(""));
        let known = self.mirrors.iter().position(|mirror| *mirror == base);
        let number = known.unwrap_or_else(|| {
            self.mirrors.push(base);
            self.mirrors.len() - 1
        });
        let inside = Path::new(MIRRORS).join(number.to_string()).join(rest);
        format!("file://{}", inside.display())
            .trim_end_matches('/')
            .to_owned()
    }

    /// Shows `source` in place of a directory that the host has.
    pub fn show(&mut self, source: PathBuf, target: &Path) {
        self.shown.push((source, target.to_owned()));
    }

    /// The command that runs a program of the host there, with network.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
        host: &Host,
    ) -> Result<Command, InstallError> {
        let found = host.find(program).unwrap_or_else(|| program.into());
        let mut container = Container::new(&self.root)
            .apart()
            .drop_capability("CAP_MKNOD")
            .drop_capability("CAP_DAC_READ_SEARCH")
            .network(true)
            .read_only(true)
            .env("LC_ALL", "C")
            .env("HOME", WORK)
            .bind(&self.tree, Path::new(TREE))
            .bind(&self.work, Path::new(WORK))
            .bind(&self.cache, Path::new(CACHE));
        for (nth, mirror) in self.mirrors.iter().enumerate() {
            let target = Path::new(MIRRORS).join(nth.to_string());
            container = container.bind_read_only(mirror, &target);
        }
        for path in self.furnish(&found)? {
            container = container.bind_read_only(&path, &path);
        }
        for (source, target) in &self.shown {
            container = container.bind_read_only(source, target);
        }
        let words = ["-c", SCRIPT, "sh"].map(OsStr::new).map(OsStr::to_owned);
        let program = std::iter::once(found.into_os_string());
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        let words = words.into_iter().chain(program).chain(args);
        Ok(container.command("/bin/sh", words).no_sync())
    }

    /// Makes the container's directories and links; returns what is to be shown in it.
    fn furnish(&self, program: &Path) -> Result<Vec<PathBuf>, InstallError> {
        for name in EMPTY {
            make_directory(&self.root.join(name))?;
        }
        let mut shown = Vec::new();
        for name in PROGRAMS {
            let (of_host, here) = (Path::new("/").join(name), self.root.join(name));
            match std::fs::read_link(&of_host) {
                Ok(target) if here.symlink_metadata().is_err() => {
                    symlink(target, &here)
                        .map_err(|source| InstallError::Prepare { path: here, source })?;
                }
                Ok(_) => {}
                Err(_) if of_host.is_dir() => {
                    make_directory(&here)?;
                    shown.push(of_host);
                }
                Err(_) => {}
            }
        }
        for name in CONFIGURATION.iter().chain(&["etc/resolv.conf"]) {
            let (of_host, here) = (Path::new("/").join(name), self.root.join(name));
            if of_host.is_dir() {
                make_directory(&here)?;
            } else if of_host.is_file() {
                make_directory(here.parent().unwrap_or(&self.root))?;
                std::fs::write(&here, "")
                    .map_err(|source| InstallError::Prepare { path: here, source })?;
            } else {
                continue;
            }
            // The container shows that one by itself.
            if *name != "etc/resolv.conf" {
                shown.push(of_host);
            }
        }
        let is_shown = |path: &Path| {
            PROGRAMS
                .iter()
                .any(|n| path.starts_with(Path::new("/").join(n)))
        };
        if let Some(directory) = program.parent().filter(|d| d.is_absolute() && !is_shown(d)) {
            if !directory.starts_with("/tmp") {
                let inside = directory.strip_prefix("/").unwrap_or(directory);
                make_directory(&self.root.join(inside))?;
            }
            shown.push(directory.to_owned());
        }
        Ok(shown)
    }
}

/// Assignments for a shell. In a file: an address may hold a password.
fn environment() -> String {
    let mut text = String::new();
    for name in PROXIES {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            if let Some(value) = std::env::var_os(&name) {
                let _ = writeln!(text, "export {name}={}", shell_quote(&value));
            }
        }
    }
    text
}

/// What the container's own words mean, where it could not begin.
pub(super) fn hint(tail: &str) -> Option<String> {
    let (_, rest) = tail
        .lines()
        .find_map(|line| line.split_once("Failed to stat "))?;
    let path = rest.rsplit_once(':').map_or(rest, |(path, _)| path);
    Some(format!(
        "there is no {path}: check Mirror=, LocalMirror= and Repositories="
    ))
}

pub(super) fn make_directory(path: &Path) -> Result<(), InstallError> {
    std::fs::create_dir_all(path).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    #[test]
    fn a_missing_mirror_is_named() {
        let said = "\n  Failed to stat /srv/mirror: No such file or directory";
        assert_eq!(
            hint(said).unwrap(),
            "there is no /srv/mirror: check Mirror=, LocalMirror= and Repositories="
        );
        assert_eq!(hint("\n  error"), None);
    }

    #[test]
    fn only_the_trees_and_its_own_files_can_be_written() {
        let scratch = tempfile::tempdir().unwrap();
        let site = Site {
            root: "/build/tree".into(),
            scratch: scratch.path().to_owned(),
        };
        let host = Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        );
        let mut confined = Confined::new(&site, "x", None).unwrap();
        assert_eq!(
            confined.address("file:///srv/my%20mirror/$repo/os/$arch"),
            "file:///run/mkosi/mirrors/0/$repo/os/$arch"
        );
        assert_eq!(confined.address("http://x/$repo"), "http://x/$repo");
        let line = confined.command("sh", ["-x"], &host).unwrap().to_string();
        for part in [
            "--read-only",
            "--bind=/build/tree:/run/mkosi/tree",
            "'--bind-ro=/srv/my mirror:/run/mkosi/mirrors/0'",
            "--bind-ro=/usr:/usr",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(line.ends_with(" -x"), "{line}");
        assert!(!line.contains("/etc/shadow"));
        assert!(!line.contains("--bind-ro=/etc:"));
    }
}
