//! The file systems that scripts of packages expect, for as long as packages are installed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, chmodat, mknodat};

use crate::host::{Mount, mount_point_inside};
use crate::installer::InstallError;
use crate::tree::Root;

/// Devices that every program may use.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// What in `/dev` leads to a process's own files.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];
/// What changes the host: scripts see it, and cannot write to it.
const PROTECTED: [&str; 2] = ["sys", "sysrq-trigger"];

/// `/dev` and `/proc` in a tree, in this build's own mount namespace; taken away in reverse.
#[derive(Debug, Default)]
pub(in crate::installer) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Attaches them.
    pub fn attach(root: &Path) -> Result<Self, InstallError> {
        let tree = Root::open(root)?;
        let mut mounts = Self::default();
        for name in ["dev", "proc"] {
            tree.create_dir_all(name, 0o755)?;
        }
        let dev = mount_point_inside(root, Path::new("dev"))?;
        mounts.0.push(Mount::tmpfs(&dev, "mode=0755,size=1M")?);
        for name in DEVICES {
            let (source, target) = (Path::new("/dev").join(name), dev.join(name));
            // Nodes of the tree's own: what a package does to them must not happen to the host's.
            if source.exists() && !make_node(&source, &target) {
                super::write(&target, "")?;
                mounts.0.push(Mount::bind(&source, &target)?);
            }
        }
        for (target, name) in LINKS {
            let link = dev.join(name);
            std::os::unix::fs::symlink(target, &link)
                .map_err(|source| InstallError::Prepare { path: link, source })?;
        }
        let proc = mount_point_inside(root, Path::new("proc"))?;
        mounts.0.push(Mount::bind(Path::new("/proc"), &proc)?);
        for name in PROTECTED {
            let source = Path::new("/proc").join(name);
            if source.exists() {
                let mount = Mount::bind_read_only(&source, &proc.join(name))?;
                mounts.0.push(mount);
            }
        }
        Ok(mounts)
    }
}

/// Makes a node for the same device; whether this host lets anybody do so.
fn make_node(source: &Path, target: &Path) -> bool {
    let Ok(metadata) = source.metadata() else {
        return false;
    };
    let mode = Mode::from_raw_mode(0o666);
    let kind = FileType::CharacterDevice;
    let made = mknodat(CWD, target, kind, mode, metadata.rdev()).is_ok()
        // The umask took some of it.
        && chmodat(CWD, target, mode, AtFlags::empty()).is_ok();
    // Containers may let it be made and not be opened. A terminal need not be there.
    let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
    if made && !File::open(target).is_err_and(denied) {
        return true;
    }
    let _ = fs::remove_file(target);
    false
}

impl Drop for Mounts {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}
