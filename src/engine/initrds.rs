//! Initrds: made for this build, or kept from an earlier one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::site::Site;
use super::whole_file::write_whole;
use super::{EngineError, StepError};
use crate::boot::{self, Inputs, Kernel, Wanted};
use crate::host::Host;
use crate::plan::Boot;
use crate::tree::Root;

/// Where initrds are kept, beside the output.
pub const STORE: &str = ".mkosi-initrds";

/// What is known of an initrd that was kept.
#[derive(Serialize, Deserialize)]
struct Record {
    inputs: Inputs,
    /// SHA-256 of the initrd itself: what a full disk or a crash cut short is not used.
    content: Vec<u8>,
}

/// An initrd in the store: one for each output and kernel.
struct Place {
    initrd: PathBuf,
    record: PathBuf,
}

impl Place {
    fn new(output: &Path, release: &str) -> Self {
        let name = format!("{}{release}", prefix(output));
        let store = store(output);
        Self {
            initrd: store.join(format!("{name}.initrd")),
            record: store.join(format!("{name}.json")),
        }
    }

    fn read(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(&self.record).ok()?).ok()
    }
}

/// Where the initrds of an output's directory are kept.
fn store(output: &Path) -> PathBuf {
    output.with_file_name(STORE)
}

/// What the names of an output's initrds begin with.
fn prefix(output: &Path) -> String {
    let name = output.file_name().unwrap_or_default();
    format!("{}~", name.to_string_lossy())
}

/// The files that are kept for an output, and their directory where nothing else is in it: what
/// cleaning removes.
#[must_use]
pub fn kept(output: &Path) -> Vec<PathBuf> {
    let (store, prefix) = (store(output), prefix(output));
    let Ok(entries) = fs::read_dir(&store) else {
        return Vec::new();
    };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    let ours = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(&prefix);
    if names.iter().all(ours) {
        return vec![store];
    }
    names
        .into_iter()
        .filter(ours)
        .map(|name| store.join(name))
        .collect()
}

/// Puts the initrd of a kernel at `output`; returns whether it is one of an earlier build.
pub(super) fn obtain(
    boot: &Boot,
    kernel: &Kernel,
    wanted: &Wanted,
    output: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<bool, StepError> {
    if !boot.cache {
        boot::make_initrd(&site.tree, kernel, wanted, output, host)?;
        return Ok(false);
    }
    let root = Root::open(&site.tree)?;
    let now = Inputs::before(&root, kernel, wanted, &host.cancel)?;
    let place = Place::new(site.build.names.image(), &kernel.release);
    if let Some(record) = place.read() {
        if record.inputs.fit(&now, &root)? && take(&place, &record, output) {
            return Ok(true);
        }
    }
    let names = boot::make_initrd(&site.tree, kernel, wanted, output, host)?;
    let inputs = now.with_files(&root, kernel, &names)?;
    if let Err(error) = keep(&place, inputs, output) {
        // The next build makes it again; this one is complete.
        host.report.warn(&format!(
            "the initrd could not be kept for the next build: {error}"
        ));
    }
    Ok(false)
}

/// Copies a kept initrd; returns whether it is whole.
fn take(place: &Place, record: &Record, output: &Path) -> bool {
    let Ok(bytes) = fs::read(&place.initrd) else {
        return false;
    };
    record.content == Sha256::digest(&bytes).as_slice() && fs::write(output, bytes).is_ok()
}

fn keep(place: &Place, inputs: Inputs, made: &Path) -> Result<(), EngineError> {
    let store = place.initrd.parent().unwrap_or(Path::new("."));
    let failed = |error: io::Error| EngineError::path("write", store)(error);
    fs::create_dir_all(store).map_err(failed)?;
    // What goes into an initrd may be nobody else's business, such as a key file.
    fs::set_permissions(store, Permissions::from_mode(0o700)).map_err(failed)?;
    let bytes = fs::read(made).map_err(failed)?;
    let record = Record {
        inputs,
        content: Sha256::digest(&bytes).to_vec(),
    };
    let json = serde_json::to_vec(&record).map_err(|e| failed(e.into()))?;
    for (path, content) in [(&place.initrd, bytes), (&place.record, json)] {
        write_whole(path, &content).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_output_cleans_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("a.raw");
        assert!(kept(&output).is_empty());
        let store = directory.path().join(STORE);
        fs::create_dir(&store).unwrap();
        fs::write(store.join("a.raw~6.1.initrd"), "").unwrap();
        assert_eq!(kept(&output), std::slice::from_ref(&store));
        fs::write(store.join("a.raw2~6.1.initrd"), "").unwrap();
        assert_eq!(kept(&output), [store.join("a.raw~6.1.initrd")]);
    }
}
