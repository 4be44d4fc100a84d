//! What images have in common: which trees with packages are the same, and where they are kept.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::super::VerbError;
use super::super::build::Prepared;
use super::complaints::Complaints;
use super::schedule::Base;
use super::targets::Target;
use crate::engine::layers::Store;
use crate::engine::{BuildError, Caching, EngineError, Workspace};
use crate::host::{Cancel, Crew, HostError, Quiet};
use crate::output::Artifacts;
use crate::plan::{self, Input, Plan, PlanError};

/// The layers of an image: the kind of each, and a name that is the same wherever it is.
pub type Layers = BTreeMap<String, String>;

/// Tells for each image what its layers are made from. That takes threads, which this process must not
/// have yet: another one does it.
///
/// # Errors
/// What is wrong with the files that go into layers; or that there is no other process.
pub fn layers(
    targets: &[Target],
    builds: &[Prepared],
) -> Result<Result<Vec<Layers>, Complaints>, HostError> {
    let mut crew = Crew::default();
    let mut says = crew.hire(|there| {
        let found: Vec<Result<Layers, String>> = targets
            .iter()
            .zip(builds)
            .map(|(target, build)| names(target, &build.plan))
            .collect();
        u8::from(tell(&found, there).is_err())
    })?;
    crew.begin(0);
    let mut text = String::new();
    let read = says.read_to_string(&mut text);
    crew.wait(0)?;
    let found: Vec<Result<Layers, String>> = read
        .and_then(|_| Ok(serde_json::from_str(&text)?))
        .map_err(HostError::path("ask about images", Path::new("pipe")))?;
    let mut wrong = Complaints::default();
    let mut all = Vec::with_capacity(found.len());
    for (target, layers) in targets.iter().zip(found) {
        match layers {
            Ok(layers) => all.push(layers),
            Err(error) => wrong.add(&target.file, error),
        }
    }
    Ok(if wrong.is_empty() {
        Ok(all)
    } else {
        Err(wrong)
    })
}

fn tell(found: &[Result<Layers, String>], mut there: File) -> std::io::Result<()> {
    there.write_all(&serde_json::to_vec(found)?)
}

fn names(target: &Target, plan: &Plan) -> Result<Layers, String> {
    // Another package manager may be found there.
    let search = target.config.extra_search_paths.as_slice();
    let search = Input::new("ExtraSearchPaths", format!("{search:?}"));
    let layers = plan::identify(&plan.layers, &[search], &Cancel::default())
        .map_err(|error: PlanError| super::super::terminal::chain(&error))?;
    Ok(layers
        .into_iter()
        .map(|layer| (layer.kind.name().to_owned(), layer.fingerprint.to_string()))
        .collect())
}

/// Where images that are not cached for good keep what they share. It goes with this value.
#[derive(Debug, Default)]
pub struct Shared {
    workspace: Option<Workspace>,
}

impl Shared {
    /// Decides which images share what: those with cached images (`-i`) these, as copies where they are
    /// kept in different directories; the others whatever two or more of them need, in a directory that is made now.
    ///
    /// Returns for each image what the schedule has to know.
    ///
    /// # Errors
    /// When that directory cannot be made.
    pub fn decide(
        targets: &[Target],
        builds: &mut [Prepared],
        layers: Vec<Layers>,
    ) -> Result<(Self, Vec<BTreeMap<String, Base>>), VerbError> {
        let groups = groups(&layers, |number| {
            builds
                .get(number)
                .is_some_and(|build| build.caching.is_none())
        });
        lend(builds);
        let mut shared = Self::default();
        let mut all = Vec::with_capacity(layers.len());
        for (number, layers) in layers.into_iter().enumerate() {
            let (Some(target), Some(build)) = (targets.get(number), builds.get_mut(number)) else {
                break;
            };
            if groups.contains(&number) {
                build.caching = Some(Caching {
                    store: shared.store(target)?,
                    others: Vec::new(),
                    limit: u64::MAX,
                    not_before: None,
                });
            }
            all.push(match &build.caching {
                None => BTreeMap::new(),
                // Wherever it is kept: who needs it elsewhere takes a copy.
                Some(_) => layers,
            });
        }
        Ok((shared, all))
    }

    fn store(&mut self, target: &Target) -> Result<Store, VerbError> {
        let failed = |error: EngineError| VerbError::Build(BuildError::Frame(error));
        let config = &target.config;
        let names = Artifacts::new(&config.output);
        let directory = config.workspace_directory.as_deref();
        let directory = directory.unwrap_or_else(|| names.directory());
        let workspace = match self.workspace.take() {
            Some(workspace) => workspace,
            // Builds say what is wrong with leftovers.
            None => Workspace::create(directory, &Quiet).map_err(failed)?,
        };
        let store = Store::passing(workspace.path());
        self.workspace = Some(workspace);
        Ok(store)
    }

    /// Removes what was shared.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn close(self) -> Result<(), VerbError> {
        match self.workspace {
            Some(workspace) => workspace
                .close()
                .map_err(|error| VerbError::Build(BuildError::Frame(error))),
            None => Ok(()),
        }
    }
}

/// Tells each image that keeps trees where the others keep theirs.
fn lend(builds: &mut [Prepared]) {
    let mut stores: Vec<Store> = Vec::new();
    for caching in builds.iter().filter_map(|build| build.caching.as_ref()) {
        if stores
            .iter()
            .all(|store| store.path() != caching.store.path())
        {
            stores.push(caching.store.clone());
        }
    }
    for caching in builds.iter_mut().filter_map(|build| build.caching.as_mut()) {
        let others = stores.iter();
        let others = others.filter(|store| store.path() != caching.store.path());
        caching.others = others.cloned().collect();
    }
}

/// The images that have a layer in common with another one, of those that `counts` lets count.
fn groups(layers: &[Layers], counts: impl Fn(usize) -> bool) -> Vec<usize> {
    let counted = |(number, _): &(usize, &Layers)| counts(*number);
    let mut times: HashMap<&str, usize> = HashMap::new();
    for (_, layers) in layers.iter().enumerate().filter(counted) {
        for name in layers.values() {
            *times.entry(name).or_default() += 1;
        }
    }
    let common = |layers: &Layers| {
        let mut names = layers.values();
        names.any(|name| times.get(name.as_str()).is_some_and(|times| *times > 1))
    };
    layers
        .iter()
        .enumerate()
        .filter(counted)
        .filter(|(_, layers)| common(layers))
        .map(|(number, _)| number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(names: &[&str]) -> Layers {
        let kinds = ["base", "development"]
            .iter()
            .map(|kind| (*kind).to_owned());
        kinds
            .zip(names.iter().map(|name| (*name).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_two_need_is_shared() {
        let all = [
            layers(&["a", "ax"]),
            layers(&["b"]),
            layers(&["a"]),
            layers(&["c"]),
            layers(&["c"]),
        ];
        assert_eq!(groups(&all, |_| true), [0, 2, 3, 4]);
        assert_eq!(groups(&all, |number| number != 3), [0, 2]);
        assert_eq!(groups(&all, |number| number == 0), [0; 0]);
    }
}
