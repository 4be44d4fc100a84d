//! What tests of package managers run in.

use std::sync::Arc;

use super::Site;
use crate::host::{Cancel, Host, Quiet, Recorder};

/// Empty directories, and a host that only records commands.
pub struct Place {
    _directory: tempfile::TempDir,
    pub site: Site,
    pub recorder: Arc<Recorder>,
    pub host: Host,
}

/// One.
pub fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let site = Site {
        root: directory.path().join("tree"),
        scratch: directory.path().join("scratch"),
    };
    for path in [&site.root, &site.scratch] {
        std::fs::create_dir(path).unwrap();
    }
    let recorder = Arc::new(Recorder::default());
    let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
    Place {
        _directory: directory,
        site,
        recorder,
        host,
    }
}
