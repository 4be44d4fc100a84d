//! Commands inside an image's tree: a systemd-nspawn container without a network of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Command, user_namespace};

/// How many users and groups a user namespace has where nobody says how many there can be.
const USUAL: u32 = 65536;
/// The system calls that change what is mounted where, and that of entering other namespaces.
const MOUNTING: &str = "mount umount umount2 pivot_root open_tree open_tree_attr move_mount mount_setattr \
                        fsopen fsconfig fsmount fspick setns";
/// With these, root of a container reaches the host's disks and files where it has no user namespace: by
/// making a device file, and by opening files by their inode numbers.
const REACHING: [&str; 2] = ["CAP_MKNOD", "CAP_DAC_READ_SEARCH"];

/// A container around a directory tree, for one command.
///
/// It sees the tree, its own `/dev`, `/proc`, `/sys`, `/run` and `/tmp`, and what is bound into it;
/// nothing else of the host. It leaves no trace in the tree besides what the command does.
#[derive(Debug)]
pub struct Container {
    root: PathBuf,
    network: bool,
    read_only: bool,
    binds: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    dropped: Vec<&'static str>,
    in_memory: Vec<&'static str>,
    users: Users,
    still: bool,
}

/// Whose root is root inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    /// The host's.
    Hosts,
    /// One of its own, with a user namespace.
    Own,
    /// One of its own where there are user namespaces.
    OwnIfPossible,
}

impl Container {
    /// A container on the tree at `root`, without network.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            network: false,
            read_only: false,
            binds: Vec::new(),
            environment: Vec::new(),
            directory: None,
            dropped: Vec::new(),
            in_memory: Vec::new(),
            users: Users::Hosts,
            still: false,
        }
    }

    /// Shares the host's network, with its name servers.
    #[must_use]
    pub fn network(mut self, on: bool) -> Self {
        self.network = on;
        self
    }

    /// Makes the tree read-only for the command.
    #[must_use]
    pub fn read_only(mut self, on: bool) -> Self {
        self.read_only = on;
        self
    }

    /// Shows `source` of the host at `target`.
    #[must_use]
    pub fn bind(mut self, source: &Path, target: &Path) -> Self {
        self.binds.push(bind_option("--bind=", source, target));
        self
    }

    /// Shows `source` of the host at `target`, read-only.
    #[must_use]
    pub fn bind_read_only(mut self, source: &Path, target: &Path) -> Self {
        self.binds.push(bind_option("--bind-ro=", source, target));
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the command's working directory, a path inside.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.directory = Some(dir.into());
        self
    }

    /// Puts an empty directory at this path whose files are in memory, and gone in the end.
    #[must_use]
    pub fn in_memory(mut self, path: &'static str) -> Self {
        self.in_memory.push(path);
        self
    }

    /// Keeps the command from ever having this capability (`CAP_MKNOD`), or `all` of them.
    #[must_use]
    pub fn drop_capability(mut self, name: &'static str) -> Self {
        self.dropped.push(name);
        self
    }

    /// Makes root inside root only of what is inside, with a user namespace: what is mounted read-only
    /// stays that, no file system of devices can be mounted and no device file made. Users and groups
    /// keep their numbers.
    ///
    /// Where there are no user namespaces the command fails.
    #[must_use]
    pub fn user_namespace(mut self) -> Self {
        self.users = Users::Own;
        self
    }

    /// Keeps what runs inside, which may be anybody's, from everything that is not inside: it has a user
    /// namespace, and nothing can be mounted or unmounted. The second is what keeps it from the kernel's
    /// settings in `/proc/sys`: as users keep their numbers, only a read-only mount protects those.
    ///
    /// Where there are no user namespaces it cannot mount anything or make device files either.
    #[must_use]
    pub fn walled(mut self) -> Self {
        self.still = true;
        self.apart()
    }

    /// Gives it a user namespace, as [`Container::user_namespace`] does, where there are any; for what has to
    /// mount something inside.
    #[must_use]
    pub fn apart(mut self) -> Self {
        if self.users == Users::Hosts {
            self.users = Users::OwnIfPossible;
        }
        self
    }

    /// The command that runs `program` inside.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(
        self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new("systemd-nspawn").args([
            "--quiet",
            // Neither a system bus nor a scope of its own: builds run on hosts without either.
            "--register=no",
            "--keep-unit",
            // Nothing of the host's configuration may change what a build does.
            "--settings=no",
            "--machine=mkosi",
            "--as-pid2",
            "--console=pipe",
            // The tree is somebody's image: nspawn shall write no files into it.
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
        ]);
        command = command.arg(option("--directory=", self.root.as_os_str()));
        if self.read_only {
            command = command.arg("--read-only");
        }
        if self.network {
            let servers = Path::new("/etc/resolv.conf");
            if servers.exists() {
                command = command.arg(bind_option("--bind-ro=", servers, servers));
            }
        } else {
            command = command.arg("--private-network");
        }
        let users = match self.users {
            Users::Hosts => None,
            Users::Own => user_namespace::users().or(Some(USUAL)),
            Users::OwnIfPossible => user_namespace::users(),
        };
        if let Some(users) = users {
            command = command.arg(format!("--private-users=0:{users}"));
        }
        let mut dropped = self.dropped;
        if self.still {
            command = command.arg(format!("--system-call-filter=~{MOUNTING}"));
            dropped.extend(
                REACHING
                    .iter()
                    .filter(|name| !dropped.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        if !dropped.is_empty() {
            command = command.arg(format!("--drop-capability={}", dropped.join(",")));
        }
        for path in &self.in_memory {
            command = command.arg(format!("--tmpfs={path}"));
        }
        if let Some(directory) = &self.directory {
            command = command.arg(option("--chdir=", directory.as_os_str()));
        }
        for (name, value) in &self.environment {
            let mut variable = option("--setenv=", name);
            variable.push("=");
            variable.push(value);
            command = command.arg(variable);
        }
        command.args(self.binds).arg("--").arg(program).args(args)
    }
}

fn option(name: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// `--bind=SOURCE:TARGET`, with the separators inside the paths escaped as nspawn wants them.
fn bind_option(name: &str, source: &Path, target: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = name.as_bytes().to_vec();
    for (index, path) in [source, target].into_iter().enumerate() {
        if index > 0 {
            bytes.push(b':');
        }
        for &byte in path.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\') {
                bytes.push(b'\\');
            }
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_no_network_unless_asked() {
        let closed = Container::new("/tree").command("/bin/true", [""; 0]);
        assert!(closed.to_string().contains("--private-network"));
        let open = Container::new("/tree")
            .network(true)
            .command("/bin/true", [""; 0]);
        assert!(!open.to_string().contains("--private-network"));
    }

    #[test]
    fn walls_stand_with_and_without_user_namespaces() {
        let line = Container::new("/tree")
            .drop_capability("CAP_MKNOD")
            .walled()
            .command("/bin/true", [""; 0])
            .to_string();
        for part in [
            "--drop-capability=CAP_MKNOD,CAP_DAC_READ_SEARCH ",
            "--system-call-filter=~mount ",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        let open = Container::new("/tree").command("/bin/true", [""; 0]);
        assert!(!open.to_string().contains("--private-users"));
        assert!(!open.to_string().contains("--system-call-filter"));
        let strict = Container::new("/tree").user_namespace();
        let strict = strict.command("/bin/true", [""; 0]).to_string();
        assert!(strict.contains("--private-users=0:"), "{strict}");
    }

    #[test]
    fn escapes_separators_in_bound_paths() {
        let option = bind_option("--bind=", Path::new("/a:b"), Path::new("/c\\d"));
        assert_eq!(option, OsString::from("--bind=/a\\:b:/c\\\\d"));
    }
}
