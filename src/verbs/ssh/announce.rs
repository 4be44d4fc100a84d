//! How running machines say which image they run: by variables in the environment of qemu or
//! systemd-nspawn, which nobody but their user and root can read, and which go with them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::host::{Command, calling_user};
use crate::verbs::VerbError;

/// The image.
const IMAGE: &str = "MKOSI_RUNS";
/// Of a virtual machine: the port that leads to its ssh server, and the open file with its keys.
const ACCESS: &str = "MKOSI_SSH";

/// A running machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Running {
    /// A virtual machine.
    Virtual {
        /// The port of this host's own address that leads to its ssh server.
        port: u16,
        /// What it says of its host keys.
        keys: PathBuf,
    },
    /// A container.
    Container {
        /// Its first process.
        leader: u32,
    },
}

/// Says that the command is a virtual machine with the configuration's image.
pub(in crate::verbs) fn machine(
    command: Command,
    config: &Config,
    port: u16,
    keys: i32,
) -> Result<Command, VerbError> {
    Ok(container(command, config)?.env(ACCESS, format!("{port} {keys}")))
}

/// Says that the command is a container with the configuration's image.
pub(in crate::verbs) fn container(command: Command, config: &Config) -> Result<Command, VerbError> {
    Ok(command.env(IMAGE, image(config)?))
}

/// The image's path without links in its directories: the same however it is called.
fn image(config: &Config) -> Result<PathBuf, VerbError> {
    let path = &config.output;
    let (directory, name) = (
        path.parent().unwrap_or(Path::new("/")),
        path.file_name().unwrap_or_default(),
    );
    let directory = fs::canonicalize(directory).map_err(|source| VerbError::File {
        path: directory.to_owned(),
        source,
    })?;
    Ok(directory.join(name))
}

/// The machine that runs the configuration's image, among those of this user, of root and of who called
/// sudo.
pub(super) fn find(config: &Config) -> Result<Option<Running>, VerbError> {
    let image = match image(config) {
        Ok(image) => image,
        Err(VerbError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let failed = |source| VerbError::File {
        path: "/proc".into(),
        source,
    };
    let mut own = vec![0, rustix::process::geteuid().as_raw()];
    own.extend(calling_user().map(|user| user.uid));
    let processes: Vec<Process> = fs::read_dir("/proc")
        .map_err(failed)?
        .flatten()
        .filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?))
        // What others say is not believed. A container's first process may be anybody's.
        .map(|process| process.believed_if_of(&own))
        .collect();
    Ok(among(&processes, &image))
}

/// What is known of one process.
#[derive(Clone, Debug, Default)]
struct Process {
    id: u32,
    parent: u32,
    user: u32,
    /// Whether it is the first of its own namespace of processes.
    is_first: bool,
    image: Option<OsString>,
    access: Option<OsString>,
}

impl Process {
    /// Reads it, unless it has gone.
    fn read(id: u32) -> Option<Self> {
        let place = PathBuf::from(format!("/proc/{id}"));
        let status = fs::read_to_string(place.join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        // Of others it may not be read.
        let environment = fs::read(place.join("environ")).unwrap_or_default();
        let variable = |name: &str| {
            let mut variables = environment.split(|byte| *byte == 0);
            let value = variables.find_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            value.map(|value| OsString::from_vec(value.to_owned()))
        };
        Some(Self {
            id,
            parent: field("PPid:")?.parse().ok()?,
            user: fs::metadata(&place).ok()?.uid(),
            is_first: field("NSpid:").is_some_and(|ids| {
                let mut ids = ids.split_whitespace();
                ids.next_back() == Some("1") && ids.next().is_some()
            }),
            image: variable(IMAGE),
            access: variable(ACCESS),
        })
    }

    /// The process without what it says, unless it is one of these users'.
    fn believed_if_of(mut self, users: &[u32]) -> Self {
        if !users.contains(&self.user) {
            self.image = None;
            self.access = None;
        }
        self
    }
}

/// The machine that runs `image`.
fn among(processes: &[Process], image: &Path) -> Option<Running> {
    let runs = |process: &&Process| process.image.as_deref() == Some(image.as_os_str());
    let those: Vec<&Process> = processes.iter().filter(runs).collect();
    for process in &those {
        if let Some(found) = process
            .access
            .as_deref()
            .and_then(|a| access(process.id, a))
        {
            return Some(found);
        }
    }
    // systemd-nspawn has children that are it, too, until the first process of the system is.
    let is_nspawn = |id: u32| those.iter().any(|process| process.id == id);
    let leader = processes
        .iter()
        .find(|p| p.is_first && is_nspawn(p.parent))?;
    Some(Running::Container { leader: leader.id })
}

fn access(process: u32, text: &OsStr) -> Option<Running> {
    let text = std::str::from_utf8(text.as_bytes()).ok()?;
    let (port, keys) = text.split_once(' ')?;
    let keys: u32 = keys.parse().ok()?;
    Some(Running::Virtual {
        port: port.parse().ok()?,
        keys: format!("/proc/{process}/fd/{keys}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u32, parent: u32, image: &str) -> Process {
        Process {
            id,
            parent,
            image: (!image.is_empty()).then(|| image.into()),
            ..Process::default()
        }
    }

    #[test]
    fn machines_are_told_apart() {
        let mut machine = process(10, 9, "/a/image.raw");
        machine.access = Some("2222 7".into());
        let mut first = process(22, 21, "");
        first.is_first = true;
        let mut other = process(23, 22, "");
        other.is_first = true;
        // Process 1 of the build's own namespace, which nspawn is in.
        let mut isolated = process(19, 18, "");
        isolated.is_first = true;
        let processes = [
            isolated,
            other,
            machine,
            process(20, 19, "/a/tree"),
            process(21, 20, "/a/tree"),
            first,
        ];
        let found = |image: &str| among(&processes, Path::new(image));
        let others = processes
            .clone()
            .map(|process| process.believed_if_of(&[1]));
        assert_eq!(among(&others, Path::new("/a/tree")), None);
        assert_eq!(
            found("/a/image.raw"),
            Some(Running::Virtual {
                port: 2222,
                keys: "/proc/10/fd/7".into()
            })
        );
        assert_eq!(found("/a/tree"), Some(Running::Container { leader: 22 }));
        assert_eq!(found("/b/tree"), None);
    }

    #[test]
    fn nonsense_is_no_machine() {
        for text in ["", "1", "x y", "70000 1", "22 -1", "22 ../1"] {
            assert_eq!(access(1, OsStr::new(text)), None, "{text}");
        }
    }

    #[test]
    fn this_process_can_be_read() {
        let id = std::process::id();
        let process = Process::read(id).unwrap();
        assert_eq!(process.id, id);
        assert_eq!(process.user, rustix::process::geteuid().as_raw());
        assert!(process.image.is_none());
    }
}
