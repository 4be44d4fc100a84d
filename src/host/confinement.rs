//! Commands of the host that must not change it: a container whose root has nothing but the host's
//! programs and configuration, both read-only, and what is shown there besides.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Command, Container, HostError};

/// Directories with programs, beside `/usr` on hosts where they are no links into it.
const PROGRAMS: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"];
/// What a container needs to have.
const DIRECTORIES: [&str; 9] = [
    "usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "root",
];
/// Files of `/etc` that only root reads, and that no build has anything to do with.
const HIDDEN: [&str; 4] = ["shadow", "shadow-", "gshadow", "gshadow-"];

/// A place to run the host's own programs in, with everything else of the host out of reach.
///
/// `/usr` and `/etc` are the host's, read-only; `/tmp`, `/run`, `/var` and `/root` are empty and in
/// memory; nothing else is there. It is a container of systemd-nspawn like those around images.
#[derive(Debug)]
pub struct Confinement {
    place: PathBuf,
    container: Container,
}

impl Confinement {
    /// Prepares it in the empty directory `place`, which has to stay until the command has ended.
    ///
    /// # Errors
    /// When the directory cannot be filled.
    pub fn new(place: &Path) -> Result<Self, HostError> {
        let mut confinement = Self {
            place: place.to_owned(),
            container: Container::new(place)
                .read_only(true)
                .in_memory("/var")
                .in_memory("/root")
                .env("HOME", "/root"),
        };
        for name in DIRECTORIES {
            confinement.mount_point(Path::new(name), true)?;
        }
        for name in ["/usr", "/etc"] {
            confinement = confinement.show(Path::new(name), Path::new(name))?;
        }
        for name in PROGRAMS {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => {
                    let link = confinement.place.join(name);
                    symlink(target, &link).map_err(HostError::path("create", &link))?;
                }
                Err(_) if path.is_dir() => confinement = confinement.show(&path, &path)?,
                Err(_) => {}
            }
        }
        for path in hidden() {
            confinement = confinement.show(Path::new("/dev/null"), &path)?;
        }
        Ok(confinement)
    }

    /// Shows a file or directory of the host at `target`, read-only.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn show(mut self, source: &Path, target: &Path) -> Result<Self, HostError> {
        self.mount_point(target, source.is_dir())?;
        self.container = self.container.bind_read_only(source, target);
        Ok(self)
    }

    /// Shows a directory of the host at `target`, to be written to.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn writable(mut self, source: &Path, target: &Path) -> Result<Self, HostError> {
        self.mount_point(target, true)?;
        self.container = self.container.bind(source, target);
        Ok(self)
    }

    /// The container, for what else it needs.
    #[must_use]
    pub fn container(self) -> Container {
        self.container
    }

    /// The root can only be read, so that everything that something is mounted on has to be there.
    fn mount_point(&self, target: &Path, directory: bool) -> Result<(), HostError> {
        let target = target.strip_prefix("/").unwrap_or(target);
        let path = self.place.join(target);
        let made = if directory {
            fs::create_dir_all(&path)
        } else {
            let above = path.parent().map_or(Ok(()), fs::create_dir_all);
            above.and_then(|()| match fs::File::create_new(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
                _ => Ok(()),
            })
        };
        made.map_err(HostError::path("create", &path))
    }
}

/// Files of the host's `/etc` that are not shown.
fn hidden() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let mut hidden: Vec<PathBuf> = HIDDEN.iter().map(|name| etc.join(name)).collect();
    for directory in ["ssh", "ssl/private"] {
        for entry in fs::read_dir(etc.join(directory))
            .into_iter()
            .flatten()
            .flatten()
        {
            hidden.push(entry.path());
        }
    }
    // Host keys, but not the client's configuration.
    hidden.retain(|path| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o004 == 0)
    });
    hidden.sort();
    hidden
}

impl Container {
    /// The command that runs `program` inside without any of root's rights: as the user and group
    /// `owner`, where that is not root, and without capabilities in any case.
    #[must_use]
    pub fn powerless<S: AsRef<std::ffi::OsStr>>(
        self,
        owner: (u32, u32),
        program: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let (uid, gid) = owner;
        let args: Vec<_> = args
            .into_iter()
            .map(|arg| arg.as_ref().to_owned())
            .collect();
        if uid == 0 {
            return self.drop_capability("all").command(program, args);
        }
        let mut words: Vec<std::ffi::OsString> = [
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
            "--no-new-privs".to_owned(),
            "--inh-caps=-all".to_owned(),
            "--bounding-set=-all".to_owned(),
            "--".to_owned(),
            program.to_owned(),
        ]
        .map(Into::into)
        .into();
        words.extend(args);
        self.command("setpriv", words)
    }
}
