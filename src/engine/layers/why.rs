//! What a build would do about each layer, and because of what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::store::{Entry, Store};
use crate::engine::EngineError;
use crate::host::Cancel;
use crate::plan::{Fingerprint, Input, LayerIdentity, LayerKind};

/// What a build would do about one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which tree it is.
    pub layer: LayerKind,
    /// Its name.
    pub fingerprint: Fingerprint,
    /// What would happen.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It would be used as it is.
    Reused {
        /// When it was made: milliseconds since 1970.
        created: u64,
        /// What it takes on the disk, in bytes.
        size: u64,
    },
    /// It would be made, because there never was one for this output.
    New,
    /// It would be made again, because something in it is missing or changed.
    Damaged {
        /// What is wrong.
        damage: String,
    },
    /// It would be made again, because it is made from something else now.
    Rebuilt {
        /// The former one.
        former: Fingerprint,
        /// The layer below is another one.
        below: bool,
        /// Everything that differs.
        changes: Vec<Change>,
    },
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    pub input: String,
    /// The file, in a tree of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it was; none when it is new.
    pub old: Option<String>,
    /// What it is; none when it is gone.
    pub new: Option<String>,
}

/// Compares what the layers of `output` would be made from with what is in the store.
///
/// # Errors
/// When the store cannot be read.
pub fn explain(
    store: &Store,
    identities: &[LayerIdentity],
    output: &str,
    cancel: &Cancel,
) -> Result<Vec<Verdict>, EngineError> {
    let (entries, _) = store.list()?;
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(identities.len());
    for identity in identities {
        let same = |entry: &&Entry| entry.record.fingerprint == identity.fingerprint;
        let outcome = match entries.iter().find(same) {
            Some(entry) => match entry.damage(cancel)? {
                Some(damage) => Outcome::Damaged { damage },
                None => Outcome::Reused {
                    created: entry.record.created,
                    size: entry.record.size,
                },
            },
            None => match former(&entries, identity.kind, output) {
                None => Outcome::New,
                Some(former) => Outcome::Rebuilt {
                    former: former.fingerprint.clone(),
                    below: former.parent != identity.parent,
                    changes: changes(&former.inputs, &identity.inputs),
                },
            },
        };
        verdicts.push(Verdict {
            layer: identity.kind,
            fingerprint: identity.fingerprint.clone(),
            outcome,
        });
    }
    Ok(verdicts)
}

/// The layer of this kind that `output` was last built from, or else the one that was of use last.
fn former<'e>(entries: &'e [Entry], kind: LayerKind, output: &str) -> Option<&'e Record> {
    let of_kind = entries.iter().filter(|entry| entry.record.kind == kind);
    of_kind
        .max_by_key(|entry| {
            let uses = &entry.uses;
            (uses.outputs.get(output).copied(), uses.last_used)
        })
        .map(|entry| &entry.record)
}

/// Everything that differs, in the order of the inputs.
fn changes(old: &[Input], new: &[Input]) -> Vec<Change> {
    let mut changes = Vec::new();
    let find = |list: &[Input], name: &str| list.iter().find(|i| i.name == name).cloned();
    let gone = old.iter().filter(|input| find(new, &input.name).is_none());
    for name in new.iter().chain(gone).map(|input| &input.name) {
        let (before, after) = (find(old, name), find(new, name));
        let value = |input: &Option<Input>| input.as_ref().map(|input| input.value.clone());
        if value(&before) != value(&after) {
            changes.push(Change {
                input: name.clone(),
                file: None,
                old: value(&before),
                new: value(&after),
            });
        }
        let files = |input: Option<Input>| input.map(|input| input.files).unwrap_or_default();
        changes.extend(changed_files(name, &files(before), &files(after)));
    }
    changes
}

fn changed_files(
    input: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<Change> {
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.retain(|path| old.get(*path) != new.get(*path));
    let change = |path: &String| Change {
        input: input.to_owned(),
        file: Some(path.clone()),
        old: old.get(path).cloned(),
        new: new.get(path).cloned(),
    };
    paths.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_with_both_values() {
        let files = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            Input {
                name: "tree".into(),
                value: "mkosi.skeleton".into(),
                files: owned.collect(),
            }
        };
        let old = [
            Input::new("same", "1"),
            Input::new("Mirror", "a"),
            Input::new("gone", "x"),
            files(&[
                ("etc", "directory 0755"),
                ("etc/a", "file 0644"),
                ("etc/b", "file 0600"),
            ]),
        ];
        let new = [
            Input::new("Mirror", "b"),
            files(&[
                ("etc", "directory 0755"),
                ("etc/a", "file 0755"),
                ("etc/c", "file 0600"),
            ]),
            Input::new("same", "1"),
            Input::new("new", "y"),
        ];
        let found: Vec<String> = changes(&old, &new)
            .into_iter()
            .map(|change| {
                let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
                let file = change.file.unwrap_or_default();
                format!(
                    "{} {file}: {} -> {}",
                    change.input,
                    text(change.old),
                    text(change.new)
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "Mirror : a -> b",
                "tree etc/a: file 0644 -> file 0755",
                "tree etc/b: file 0600 -> -",
                "tree etc/c: - -> file 0600",
                "new : - -> y",
                "gone : x -> -",
            ]
        );
        assert_eq!(changes(&new, &new), []);
    }
}
