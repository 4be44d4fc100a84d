//! Files of the source that have several names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::lock;

/// Where one file's first copy is, once there is one. Whoever copies it holds the lock, so that
/// nobody copies it twice.
pub(super) type FirstCopy = Arc<Mutex<Option<PathBuf>>>;

/// First copies by the identity of the source's file.
#[derive(Default)]
pub(super) struct Links(Mutex<HashMap<(u64, u64), FirstCopy>>);

impl Links {
    /// The first copy of the file with this identity.
    pub fn first(&self, id: (u64, u64)) -> FirstCopy {
        Arc::clone(lock(&self.0).entry(id).or_default())
    }
}
