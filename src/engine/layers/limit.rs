//! What leaves the store: what was not used for longest, and what nobody wants any more.

use std::path::PathBuf;

use super::store::{Entry, Store};
use crate::engine::EngineError;
use crate::host::Report;
use crate::host::human_size;
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
                if victim.record.size > limit {
                    report.warn(&format!(
                        "a cached tree of {} is more than LayersSize allows ({}): it is not kept, and \
                         the next build makes it again",
                        human_size(victim.record.size),
                        human_size(limit)
                    ));
                }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::record::{Record, Uses};
    use super::super::store::{Found, TREE};
    use super::*;
    use crate::host::{Cancel, Host, HostRunner, Quiet};
    use crate::plan::{LayerIdentity, LayerKind};
    use crate::tree::survey;

    fn name(letter: char) -> Fingerprint {
        Fingerprint::from_text(&letter.to_string().repeat(64)).unwrap()
    }

    /// Puts a layer there that says it takes `size` bytes and was last used at `used`, for `output`.
    fn put(store: &Store, letter: char, parent: Option<char>, size: u64, used: u64, output: &str) {
        let path = store.place(&name(letter));
        fs::create_dir_all(path.join(TREE).join("etc")).unwrap();
        let identity = LayerIdentity {
            kind: match parent {
                None => LayerKind::Base,
                Some(_) => LayerKind::Development,
            },
            fingerprint: name(letter),
            parent: parent.map(name),
            inputs: Vec::new(),
            materials: Vec::new(),
        };
        let survey = survey(&path.join(TREE), &Cancel::default()).unwrap();
        let record = Record {
            size,
            created: 0,
            ..Record::new(&identity, parent.is_none(), &survey)
        };
        record.write(&path).unwrap();
        Uses::add(&path, output).unwrap();
        let mut uses = Uses::read(&path);
        uses.last_used = used;
        fs::write(
            path.join("uses.json"),
            serde_json::to_string(&uses).unwrap(),
        )
        .unwrap();
    }

    fn letters(store: &Path) -> String {
        let names = fs::read_dir(store).unwrap().map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.chars().next().unwrap()
        });
        let mut letters: Vec<char> = names.collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }

    /// Two bases, of which the older one has two development layers, and a third base.
    fn store(dir: &Path) -> Store {
        let store = Store::in_directory(dir);
        put(&store, 'a', None, 100, 1, "one");
        put(&store, 'b', None, 100, 2, "two");
        put(&store, 'c', Some('a'), 50, 3, "one");
        put(&store, 'd', Some('a'), 50, 5, "three");
        put(&store, 'e', None, 100, 4, "four");
        store
    }

    #[test]
    fn the_least_recently_used_goes_first_and_never_what_others_lie_on() {
        for (limit, left) in [
            (400, "abcde"),
            (399, "acde"),
            (300, "acde"),
            (299, "ade"),
            (250, "ade"),
            (249, "ad"),
            (149, "a"),
            (99, ""),
            (0, ""),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path());
            store.shrink(limit, &Quiet).unwrap();
            assert_eq!(letters(store.path()), left, "{limit}");
        }
    }

    #[test]
    fn what_is_in_use_stays_with_what_it_lies_on() {
        let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let held = match store.find(&name('c'), &host).unwrap() {
            Found::Layer(held) => held,
            other => panic!("{other:?}"),
        };
        store.shrink(0, &Quiet).unwrap();
        assert_eq!(letters(store.path()), "ac");
        assert!(held.tree().is_dir());
        assert!(!store.remove(&held.path, &Quiet).unwrap());
        drop(held);
        store.shrink(0, &Quiet).unwrap();
        assert_eq!(letters(store.path()), "");
    }

    #[test]
    fn what_is_of_no_use_goes_whatever_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        fs::write(store.place(&name('b')).join("layer.json"), "{").unwrap();
        fs::remove_dir_all(store.place(&name('a'))).unwrap();
        store.shrink(u64::MAX, &Quiet).unwrap();
        assert_eq!(letters(store.path()), "e");
    }

    #[test]
    fn what_an_output_was_built_from_goes_with_what_lies_on_it() {
        for (output, left) in [
            ("two", "acde"),
            ("three", "abce"),
            ("one", "be"),
            ("none", "abcde"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path());
            store.remove_of(output, &Quiet).unwrap();
            assert_eq!(letters(store.path()), left, "{output}");
        }
    }

    #[test]
    fn damage_is_found() {
        let host = Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default());
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let found = |letter| store.find(&name(letter), &host).unwrap();
        assert!(matches!(found('f'), Found::Nothing));
        assert!(matches!(found('a'), Found::Layer(_)));
        fs::remove_dir(store.place(&name('a')).join("tree/etc")).unwrap();
        assert!(matches!(found('a'), Found::Damaged(_)));
        fs::copy(
            store.place(&name('b')).join("layer.json"),
            store.place(&name('e')).join("layer.json"),
        )
        .unwrap();
        assert!(
            matches!(found('e'), Found::Damaged(_)),
            "the record of another one"
        );
    }
}
