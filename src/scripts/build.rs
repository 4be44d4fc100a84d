//! `mkosi.build`: inside the development image, on the project's sources.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::inside::Inside;
use super::sources::SOURCES;
use super::{Script, ScriptError};
use crate::host::{Host, HostError, Lock};
use crate::tree::Root;

/// What the script installs goes here, inside.
const DESTINATION: &str = "/root/dest";
/// What it keeps between builds is here, inside.
const BUILD: &str = "/root/build";

/// Lets git of the image work in sources that are not root's.
const SHOWN_TO_GIT: [(&str, &str); 3] = [
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", "*"),
];

/// The build script and what it is told.
#[derive(Clone, Debug, Serialize)]
pub struct BuildScript {
    /// The script.
    pub script: Script,
    /// Whether documentation shall be installed.
    pub with_docs: bool,
    /// Whether tests shall run.
    pub with_tests: bool,
    /// A directory of the host that it finds again at the next build.
    pub build_directory: Option<PathBuf>,
}

/// Where the script works on the host.
#[derive(Clone, Copy, Debug)]
pub struct Workplace<'a> {
    /// The development image's tree.
    pub root: &'a Path,
    /// The sources, where they are not in the tree.
    pub sources: Option<&'a Path>,
    /// Whether those can only be read.
    pub read_only: bool,
    /// The directory that is `$DESTDIR`.
    pub destination: &'a Path,
    /// Whom the build directory's files are given to afterwards: user and group.
    pub owner: Option<(u32, u32)>,
}

/// Runs the script in a container on the tree, until it has put everything into the destination.
///
/// # Errors
/// When it fails, and when its first line asks for a program that the tree does not have.
pub fn build(script: &BuildScript, place: &Workplace<'_>, host: &Host) -> Result<(), ScriptError> {
    let root = Root::open(place.root)?;
    root.create_dir_all("/root", 0o700)?;
    let targets = [
        Some(SOURCES),
        Some(DESTINATION),
        script.build_directory.as_ref().map(|_| BUILD),
    ];
    for target in targets.into_iter().flatten() {
        root.create_dir_all(target, 0o755)?;
    }
    let kept = Kept::open(script.build_directory.as_deref(), place.owner, host)?;
    let inside = Inside {
        setting: "BuildScript",
        packages: "BuildPackages",
        name: "build",
        argument: None,
        script: &script.script,
        root: place.root,
    };
    let said = |yes: bool| if yes { "1" } else { "0" };
    let result = inside.run(
        |mut container| {
            if let Some(sources) = place.sources {
                let target = Path::new(SOURCES);
                container = match place.read_only {
                    true => container.bind_read_only(sources, target),
                    false => container.bind(sources, target),
                };
                // They belong to a user of the host, and git refuses others' trees to root.
                for (name, value) in SHOWN_TO_GIT {
                    container = container.env(name, value);
                }
            }
            if let Some(directory) = &script.build_directory {
                container = container
                    .bind(directory, Path::new(BUILD))
                    .env("BUILDDIR", BUILD);
            }
            container
                .bind(place.destination, Path::new(DESTINATION))
                .current_dir(SOURCES)
                .env("SRCDIR", SOURCES)
                .env("DESTDIR", DESTINATION)
                .env("WITH_DOCS", said(script.with_docs))
                .env("WITH_TESTS", said(script.with_tests))
                .env("WITH_NETWORK", said(script.script.network))
        },
        host,
    );
    // The script's own failure is the one to tell.
    let given = kept.give();
    result?;
    given
}

/// The build directory while a script works in it.
struct Kept {
    root: Option<Root>,
    owner: Option<(u32, u32)>,
    _lock: Option<Lock>,
}

impl Kept {
    /// Keeps other builds out: two compilers at work on the same files ruin both. To the script, which
    /// is root, the files are root's, so that what it copies from there does not bring users of the
    /// host into the image.
    fn open(
        directory: Option<&Path>,
        owner: Option<(u32, u32)>,
        host: &Host,
    ) -> Result<Self, ScriptError> {
        let lock = directory.map(|d| Lock::wait(d, "mkosi build", host));
        let lock = lock.transpose().map_err(|e| match e {
            HostError::Cancelled => ScriptError::Cancelled,
            e => ScriptError::Host(e),
        })?;
        let root = directory.map(Root::open).transpose()?;
        if let (Some(root), Some((uid, _))) = (&root, owner) {
            root.give(uid, (0, 0))?;
        }
        Ok(Self {
            root,
            owner,
            _lock: lock,
        })
    }

    /// Gives the files to whoever called this program, to look at and to remove.
    fn give(&self) -> Result<(), ScriptError> {
        if let (Some(root), Some(owner)) = (&self.root, self.owner) {
            root.give(0, owner)?;
        }
        Ok(())
    }
}
