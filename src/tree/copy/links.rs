//! Files of the source that have several names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::lock;

/// Where one file's copies are: one, or several where the image has more file systems mounted, or
/// subvolumes, and a file's names are in more than one. Whoever copies it holds the lock, so that
/// nobody copies it twice.
pub(super) type Copies = Arc<Mutex<Vec<PathBuf>>>;

/// Copies by the identity of the source's file.
#[derive(Default)]
pub(super) struct Links(Mutex<HashMap<(u64, u64), Copies>>);

impl Links {
    /// The copies of the file with this identity.
    pub fn copies(&self, id: (u64, u64)) -> Copies {
        Arc::clone(lock(&self.0).entry(id).or_default())
    }
}
