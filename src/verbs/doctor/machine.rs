//! What the kernel lets this process do, and how much room there is.

use std::fs;
use std::path::Path;

use super::Feature;
use crate::config::{self, Context, Request};
use crate::host::human_size;
use crate::host::{LoopDevice, LoopOptions, is_btrfs, is_root, printable_path, read_only};

/// With less room than this many bytes, a build of a usual image does not end well.
const LITTLE: u64 = 4 << 30;
/// File systems that are mounted to be looked into, or to be filled.
const FILE_SYSTEMS: [&str; 6] = ["ext4", "xfs", "btrfs", "squashfs", "erofs", "overlay"];

/// Whether a user without root's rights can have namespaces. To be called before there is a second
/// thread.
pub(super) fn user_namespaces() -> bool {
    matches!(read_only(|| 0), Ok(0))
}

/// All facts.
pub(super) fn facts(user_namespaces: bool, context: &Context) -> Vec<Feature> {
    let root = is_root();
    let mut facts = vec![
        Feature::fact(
            "root",
            root,
            if root {
                ""
            } else {
                "builds take it: run them with sudo"
            },
        ),
        Feature::fact(
            "user namespaces",
            user_namespaces,
            if user_namespaces {
                ""
            } else {
                "shell projects (IMGBUILD, image.sh) take them"
            },
        ),
        loop_devices(root),
    ];
    facts.push(file_systems());
    facts.extend(room(context));
    facts
}

fn loop_devices(root: bool) -> Feature {
    let name = "loop devices";
    if !root {
        let there = Path::new("/dev/loop-control").exists();
        return Feature::fact(name, there, "only root can try them");
    }
    let tried = tempfile::NamedTempFile::new()
        .map_err(|error| error.to_string())
        .and_then(|file| {
            let length = file.as_file().set_len(1 << 20);
            length.map_err(|error| error.to_string())?;
            let options = LoopOptions {
                read_only: true,
                ..LoopOptions::default()
            };
            let attached = LoopDevice::attach(file.path(), options);
            attached.map(drop).map_err(|error| error.to_string())
        });
    match tried {
        Ok(()) => Feature::fact(name, true, "one was attached"),
        Err(_) => Feature::fact(
            name,
            false,
            "none can be attached: shell, boot and diff of disk images take them",
        ),
    }
}

/// Which the kernel has; modules that it would load count as far as they are known.
fn file_systems() -> Feature {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim());
    let modules = ["modules.dep", "modules.builtin"]
        .map(|name| fs::read_to_string(modules.join(name)).unwrap_or_default())
        .concat();
    let has = |name: &str| {
        known.split_whitespace().any(|word| word == name)
            || modules.contains(&format!("/{name}.ko"))
            || (name == "overlay" && modules.contains("/overlayfs"))
    };
    let (there, missing): (Vec<&str>, Vec<&str>) =
        FILE_SYSTEMS.into_iter().partition(|name| has(name));
    let note = match missing.as_slice() {
        [] => there.join(", "),
        missing => format!("{}; not {}", there.join(", "), missing.join(", ")),
    };
    Feature::fact("file systems", missing.is_empty(), note)
}

/// Room where a build in this directory would work.
fn room(context: &Context) -> Vec<Feature> {
    let mut places = vec![("this directory", context.directory.clone())];
    if let Ok(loaded) = config::load(&Request::default(), context) {
        let output = loaded.config.output.parent().map(Path::to_owned);
        places.extend(output.map(|path| ("output directory", path)));
        places.extend(loaded.config.cache.map(|path| ("package cache", path)));
        let workspace = loaded.config.workspace_directory;
        places.extend(workspace.map(|path| ("workspace", path)));
    }
    places.push(("/var/tmp, for diff", "/var/tmp".into()));
    let mut facts = Vec::new();
    for (name, path) in places {
        if name == "output directory" && path == context.directory {
            continue;
        }
        // What is not there yet is made where its parent is.
        let there = path.ancestors().find(|path| path.is_dir());
        let Some(stat) = there.and_then(|path| rustix::fs::statvfs(path).ok()) else {
            continue;
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let on_btrfs = there.is_some_and(|path| is_btrfs(path).unwrap_or(false));
        let kind = if on_btrfs { " (btrfs)" } else { "" };
        let shown = if name.starts_with('/') {
            String::new()
        } else {
            format!(" in {}", printable_path(&path))
        };
        let note = format!("{} free{shown}{kind}", human_size(free));
        facts.push(Feature::fact(name, free >= LITTLE, note));
    }
    facts
}
