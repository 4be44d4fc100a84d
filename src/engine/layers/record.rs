//! What is kept beside each cached tree: what it was made from, and when it was of use.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::distro::provenance::Provenance;
use crate::engine::EngineError;
use crate::engine::whole_file::write_whole;
use crate::host::hex;
use crate::plan::{Fingerprint, Input, LayerIdentity, LayerKind};
use crate::tree::Survey;

/// The file, in the layer's directory.
const RECORD: &str = "layer.json";
/// What its packages came from.
const PROVENANCE: &str = "provenance.json";
/// What changes with each use.
const USES: &str = "uses.json";
/// Held while the uses are changed.
const LOCK: &str = "uses.lock";
/// No record is longer than this: it is not read into memory then.
const LONGEST: u64 = 256 << 20;

/// The record of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The layer's name.
    pub fingerprint: Fingerprint,
    /// Which tree it is.
    pub kind: LayerKind,
    /// The layer that it lies on.
    pub parent: Option<Fingerprint>,
    /// Whether it holds all files, also those of the layer that it lies on.
    pub whole: bool,
    /// Names, the top directory included.
    pub entries: u64,
    /// What it takes on the disk, in bytes.
    pub size: u64,
    /// A hash over names and attributes, to tell whether anything is missing.
    pub survey: String,
    /// When it was made: milliseconds since 1970.
    pub created: u64,
    /// The version of this program that made it.
    pub program: String,
    /// What it was made from.
    pub inputs: Vec<Input>,
}

impl Record {
    /// The record of a layer that was just made.
    pub(super) fn new(identity: &LayerIdentity, whole: bool, survey: &Survey) -> Self {
        Self {
            fingerprint: identity.fingerprint.clone(),
            kind: identity.kind,
            parent: identity.parent.clone(),
            whole,
            entries: survey.entries,
            size: survey.allocated,
            survey: digest_text(survey),
            created: milliseconds(SystemTime::now()),
            program: format!("mkosi {}", env!("CARGO_PKG_VERSION")),
            inputs: identity.inputs.clone(),
        }
    }

    /// Whether the tree is what it was when it was made.
    pub(super) fn fits(&self, survey: &Survey) -> bool {
        self.entries == survey.entries && self.survey == digest_text(survey)
    }

    /// How long ago it was made.
    #[must_use]
    pub fn age(&self) -> Duration {
        let now = milliseconds(SystemTime::now());
        Duration::from_millis(now.saturating_sub(self.created))
    }

    /// Reads the record of the layer in `directory`.
    ///
    /// # Errors
    /// When there is none, or what is there is none.
    pub fn read(directory: &Path) -> io::Result<Self> {
        read(&directory.join(RECORD))
    }

    /// Removes it: what is in the directory then is no layer.
    pub(super) fn remove(directory: &Path) -> Result<(), EngineError> {
        let path = directory.join(RECORD);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::path("remove", path)(e))
            }
            _ => Ok(()),
        }
    }

    /// Writes it into the layer's directory.
    pub(super) fn write(&self, directory: &Path) -> Result<(), EngineError> {
        write(self, directory, RECORD)
    }
}

/// What a layer was used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// When a build last began from it: milliseconds since 1970.
    pub last_used: u64,
    /// The outputs that were built from it, and when: milliseconds since 1970.
    pub outputs: BTreeMap<String, u64>,
}

impl Uses {
    /// Reads what the layer in `directory` was used for; nothing, where that cannot be read.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        read(&directory.join(USES)).unwrap_or_default()
    }

    /// Notes that `output` is built from the layer in `directory` now.
    pub(super) fn add(directory: &Path, output: &str) -> Result<(), EngineError> {
        // Builds that begin at once write one after the other.
        let path = directory.join(LOCK);
        let lock = File::create(&path).map_err(EngineError::path("create", &path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(EngineError::path("lock", &path))?;
        let mut uses = Self::read(directory);
        uses.last_used = milliseconds(SystemTime::now());
        uses.outputs.insert(output.to_owned(), uses.last_used);
        write(&uses, directory, USES)
    }
}

/// What the packages of the layer in `directory` came from; nothing, where that was not noted.
pub(super) fn provenance(directory: &Path) -> Option<Provenance> {
    read(&directory.join(PROVENANCE)).ok()
}

/// Notes in `directory` what a layer's packages came from.
pub(super) fn write_provenance(
    provenance: &Provenance,
    directory: &Path,
) -> Result<(), EngineError> {
    write(provenance, directory, PROVENANCE)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    Ok(serde_json::from_str(&io::read_to_string(file)?)?)
}

/// Writes a file so that it is there as a whole or not at all.
fn write(content: &impl Serialize, directory: &Path, name: &str) -> Result<(), EngineError> {
    let path = directory.join(name);
    let write = || {
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        write_whole(&path, &text)
    };
    write().map_err(EngineError::path::<io::Error>("write", &path))
}

fn digest_text(survey: &Survey) -> String {
    hex(&survey.digest)
}

/// A time as records have it.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
