//! What leaves the store: what was not used for longest, and what nobody wants any more.

use std::path::PathBuf;

use super::store::{Entry, Store};
use crate::engine::EngineError;
use crate::host::Report;
use crate::plan::Fingerprint;

impl Store {
    /// Removes layers until all of them together take no more than `limit` bytes. Those in use stay,
    /// and so does what they lie on.
    ///
    /// # Errors
    /// When the store cannot be read, or something in it not be removed.
    pub fn shrink(&self, limit: u64, report: &dyn Report) -> Result<(), EngineError> {
        let (mut layers, unreadable) = self.list()?;
        for path in unreadable {
            self.remove(&path, report)?;
        }
        // Of no use to anybody: what they lie on is gone.
        let names: Vec<Fingerprint> = layers
            .iter()
            .map(|e| e.record.fingerprint.clone())
            .collect();
        let mut kept = Vec::with_capacity(layers.len());
        for entry in layers {
            let parent = entry.record.parent.as_ref();
            let lost = !entry.record.whole && parent.is_some_and(|parent| !names.contains(parent));
            if !(lost && self.remove(&entry.path, report)?) {
                kept.push(entry);
            }
        }
        layers = kept;
        let total: u64 = layers.iter().map(|entry| entry.record.size).sum();
        let mut excess = total.saturating_sub(limit);
        for victim in victims(&layers, excess) {
            if excess == 0 {
                break;
            }
            // What lies on it went before, unless it is in use.
            let needed = layers.iter().any(|entry| {
                !entry.record.whole
                    && entry.record.parent.as_ref() == Some(&victim.record.fingerprint)
                    && entry.path.exists()
            });
            if !needed && self.remove(&victim.path, report)? {
                excess = excess.saturating_sub(victim.record.size);
            }
        }
        Ok(())
    }
}

impl Store {
    /// Removes the layers that `output` was built from, those that lie on them, and those that cannot
    /// be read. Returns their paths, and whether each is gone: one that a build uses stays.
    ///
    /// # Errors
    /// When the store cannot be read, or something in it not be removed.
    pub fn remove_of(
        &self,
        output: &str,
        report: &dyn Report,
    ) -> Result<Vec<(PathBuf, bool)>, EngineError> {
        let (layers, mut paths) = self.list()?;
        let mut doomed: Vec<Fingerprint> = Vec::new();
        let is_its = |entry: &Entry| entry.uses.outputs.contains_key(output);
        for entry in layers.iter().filter(|entry| is_its(entry)) {
            doomed.push(entry.record.fingerprint.clone());
        }
        // Those above go first, so that none is ever without what it lies on.
        let (mut above, below): (Vec<&Entry>, Vec<&Entry>) = layers
            .iter()
            .filter(|entry| {
                let on_it = |parent| doomed.contains(parent) && !entry.record.whole;
                is_its(entry) || entry.record.parent.as_ref().is_some_and(on_it)
            })
            .partition(|entry| entry.record.parent.is_some());
        above.extend(below);
        paths.extend(above.into_iter().map(|entry| entry.path.clone()));
        paths
            .into_iter()
            .map(|path| self.remove(&path, report).map(|gone| (path, gone)))
            .collect()
    }
}

/// The layers in the order in which they go, if anything has to: the least recently used first, but
/// never before what lies on it.
fn victims(layers: &[Entry], excess: u64) -> Vec<&Entry> {
    if excess == 0 {
        return Vec::new();
    }
    let mut order: Vec<&Entry> = layers.iter().collect();
    let used = |entry: &Entry| entry.uses.last_used.max(entry.record.created);
    // A layer counts as used whenever one that lies on it is.
    let latest = |entry: &Entry| {
        let above = layers
            .iter()
            .filter(|other| other.record.parent.as_ref() == Some(&entry.record.fingerprint))
            .map(used);
        above.chain([used(entry)]).max()
    };
    order.sort_by_key(|entry| {
        let has_parent = entry.record.parent.is_some();
        (latest(entry), std::cmp::Reverse(has_parent))
    });
    order
}
