//! The layers that a build begins from: cached ones, or made now and kept.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::identities::common;
use super::record::{self, Record, Uses, milliseconds};
use super::store::{Found, Held, Store, TREE};
use super::{Caching, links, output_name};
use crate::engine::run::{BuildError, perform};
use crate::engine::scratch::Scratch;
use crate::engine::site::Site;
use crate::engine::working_tree::WorkingTree;
use crate::engine::{EngineError, Progress, StepError};
use crate::host::{self, Host, HostError, Lock, Quiet, Report, fail_point, human_age};
use crate::plan::{self, Layer, LayerIdentity};
use crate::tree::{self, CopyOptions, Root};

/// The layers of one build, the lowest first. They stay in the store while this value lives.
pub(in crate::engine) struct Layers {
    grounds: Vec<Ground>,
    /// The tree of a base image, which is below all of them.
    base: Option<PathBuf>,
}

/// One layer.
enum Ground {
    /// In the store.
    Kept(Held),
    /// Not in the store, because what it was made from changed meanwhile: it goes with this build.
    Unkept {
        tree: PathBuf,
        whole: bool,
        _scratch: Scratch,
    },
}

/// How many steps it will take to have these layers, as far as can be told beforehand.
pub(in crate::engine) fn expected_steps(
    store: &Store,
    layers: &[Layer],
    identities: &[LayerIdentity],
) -> usize {
    let steps = layers.iter().zip(identities).map(|(layer, identity)| {
        match Record::read(&store.place(&identity.fingerprint)) {
            Ok(_) => 1,
            Err(_) => layer.actions.len() + 1,
        }
    });
    steps.sum()
}

/// What making a layer takes.
struct Work<'a, 'b> {
    caching: &'a Caching,
    site: &'a mut Site<'b>,
    host: &'a Host,
    progress: &'a Progress,
    /// Whether a layer that holds only changes is of use here.
    overlays: bool,
}

impl Layers {
    /// Finds or makes the layers of the plan. `overlays`: whether trees of this build can be overlays.
    pub fn obtain(
        caching: &Caching,
        identities: &[LayerIdentity],
        overlays: bool,
        site: &mut Site<'_>,
        host: &Host,
        progress: &Progress,
    ) -> Result<Self, BuildError> {
        let output = output_name(site.build.names.image());
        let plan = site.build.plan;
        let mut work = Work {
            caching,
            site,
            host,
            progress,
            overlays,
        };
        let mut layers = Self {
            grounds: Vec::with_capacity(identities.len()),
            base: work.site.base.clone(),
        };
        for (index, (layer, identity)) in plan.layers.iter().zip(identities).enumerate() {
            work.progress.phase(identity.kind.name());
            let (ground, reused) = match work.find(identity)? {
                Some(held) => (Ground::Kept(held), true),
                None => work.find_or_make(layer, identity, &layers.lowers(index))?,
            };
            if let (Ground::Kept(held), true) = (&ground, reused) {
                let provenance = record::provenance(&held.path);
                work.site.provenance.push((identity.kind, provenance));
            }
            if let Ground::Kept(held) = &ground {
                Uses::add(&held.path, &output)?;
                work.progress.layer_ready(identity.kind.name(), reused);
            }
            layers.grounds.push(ground);
        }
        Ok(layers)
    }

    /// The trees of the lowest `count` layers, the uppermost first, as far as they are needed.
    pub fn lowers(&self, count: usize) -> Vec<PathBuf> {
        let mut lowers = Vec::new();
        for ground in self.grounds.iter().take(count).rev() {
            let (tree, whole) = match ground {
                Ground::Kept(held) => (held.tree(), held.record.whole),
                Ground::Unkept { tree, whole, .. } => (tree.clone(), *whole),
            };
            lowers.push(tree);
            if whole {
                return lowers;
            }
        }
        lowers.extend(self.base.clone());
        lowers
    }
}

impl Work<'_, '_> {
    /// The layer from the store, if it is there and of use.
    fn find(&mut self, identity: &LayerIdentity) -> Result<Option<Held>, BuildError> {
        let name = identity.kind.name();
        let store = &self.caching.store;
        if !store.place(&identity.fingerprint).exists() {
            return Ok(None);
        }
        let step = self
            .progress
            .begin(&format!("Opening the cached {name} tree"));
        let (note, held) = self.look(identity, step.report().as_ref())?;
        step.finish(&note);
        Ok(held)
    }

    /// What there is to say of the layer in the store, and the layer if it is of use.
    fn look(
        &self,
        identity: &LayerIdentity,
        report: &dyn Report,
    ) -> Result<(String, Option<Held>), BuildError> {
        let name = identity.kind.name();
        let store = &self.caching.store;
        Ok(match store.find(&identity.fingerprint, self.host)? {
            Found::Nothing => ("it is gone".to_owned(), None),
            Found::Damaged(why) => {
                report.warn(&format!(
                    "the cached {name} tree is damaged ({why}); it is made again"
                ));
                ("damaged".to_owned(), None)
            }
            Found::Layer(held) if self.is_too_old(&held.record) => {
                ("made again because of -ff".to_owned(), None)
            }
            Found::Layer(held) if !(held.record.whole || self.overlays) => {
                ("of no use without overlays".to_owned(), None)
            }
            Found::Layer(held) => {
                let age = human_age(held.record.age());
                (format!("cache hit, {age} old"), Some(held))
            }
        })
    }

    fn is_too_old(&self, record: &Record) -> bool {
        let limit = self.caching.not_before;
        limit.is_some_and(|limit| record.created < milliseconds(limit))
    }

    /// Waits until no other build makes the layer, and makes it if none did. Returns whether one did,
    /// too.
    fn find_or_make(
        &mut self,
        layer: &Layer,
        identity: &LayerIdentity,
        lowers: &[PathBuf],
    ) -> Result<(Ground, bool), BuildError> {
        let place = self.caching.store.place(&identity.fingerprint);
        if place.exists() {
            // It was thought to be of use: all that makes it.
            self.progress.more_steps(layer.actions.len() + 1);
        }
        let (_lock, waiting) = match Lock::acquire(&place, "mkosi build") {
            Err(HostError::Locked { .. }) => {
                let name = identity.kind.name();
                let step = self.progress.begin(&format!(
                    "Waiting for another run that makes the {name} tree"
                ));
                let host = self.host.clone().with_report(step.report());
                let lock = Lock::wait(&place, "mkosi build", &host);
                (lock.map_err(EngineError::Host)?, Some(step))
            }
            other => (other.map_err(EngineError::Host)?, None),
        };
        fail_point::reach("layer-locked", identity.kind.name())
            .map_err(EngineError::path("write", &place))?;
        // What is wrong with one that was there was said.
        let (note, held) = self.look(identity, &Quiet)?;
        if let Some(step) = waiting {
            step.finish(&note);
        }
        match held {
            Some(held) => Ok((Ground::Kept(held), true)),
            None => Ok((self.make(layer, identity, lowers)?, false)),
        }
    }

    fn make(
        &mut self,
        layer: &Layer,
        identity: &LayerIdentity,
        lowers: &[PathBuf],
    ) -> Result<Ground, BuildError> {
        let store = &self.caching.store;
        let scratch = store.scratch(self.host.report.as_ref())?;
        let directory = scratch.path().join("layer");
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(EngineError::path("create", &directory))?;
        let reach = |name| {
            fail_point::reach(name, identity.kind.name())
                .map_err(EngineError::path("write", &directory))
        };
        reach("layer-begun")?;
        let tree = directory.join(TREE);
        let whole = if lowers.is_empty() {
            fs::create_dir(&tree).map_err(EngineError::path("create", &tree))?;
            if !self.copy_from_others(identity, &tree)? {
                self.site.tree.clone_from(&tree);
                self.perform(layer)?;
            }
            true
        } else {
            self.make_on(lowers, layer, &scratch, &tree)?
        };
        reach("layer-filled")?;
        let title = format!("Keeping the {} tree", identity.kind.name());
        let step = self.progress.begin(&title);
        let kept = self.keep(identity, whole, &directory, scratch);
        let (note, ground) = kept.map_err(|source| BuildError::Step { title, source })?;
        step.finish(&note);
        Ok(ground)
    }

    /// Copies the layer from where another image of this run keeps it, if one does.
    fn copy_from_others(
        &mut self,
        identity: &LayerIdentity,
        tree: &Path,
    ) -> Result<bool, BuildError> {
        let caching = self.caching;
        for store in &caching.others {
            if !store.is_ours()? {
                continue;
            }
            let Found::Layer(held) = store.find(&identity.fingerprint, self.host)? else {
                continue;
            };
            if !held.record.whole || self.is_too_old(&held.record) {
                continue;
            }
            let title = format!("Copying the cached {} tree", identity.kind.name());
            let step = self.progress.begin(&title);
            let report = step.report();
            let copied = Root::open(tree).and_then(|root| {
                let options = CopyOptions::faithful(None);
                let (from, all) = (held.tree(), Path::new(""));
                tree::copy_tree(
                    &root,
                    &from,
                    all,
                    &options,
                    report.as_ref(),
                    &self.host.cancel,
                )
            });
            copied.map_err(|source| BuildError::Step {
                title,
                source: source.into(),
            })?;
            step.finish("from another image's cache");
            let provenance = record::provenance(&held.path);
            self.site.provenance.push((identity.kind, provenance));
            return Ok(true);
        }
        Ok(false)
    }

    /// Makes a layer on top of others; returns whether it holds everything that they do, too.
    fn make_on(
        &mut self,
        lowers: &[PathBuf],
        layer: &Layer,
        scratch: &Scratch,
        tree: &Path,
    ) -> Result<bool, BuildError> {
        let place = scratch.path().join("place");
        fs::create_dir(&place).map_err(EngineError::path("create", &place))?;
        let paths: Vec<&Path> = lowers.iter().map(PathBuf::as_path).collect();
        let working = if self.overlays {
            WorkingTree::over(&paths, &place, self.host)
        } else {
            WorkingTree::copied(&paths, &place, self.host)
        };
        let working = working.map_err(|source| BuildError::Step {
            title: format!("Making the {} tree", layer.kind.name()),
            source,
        })?;
        self.site.tree = working.path().to_owned();
        self.perform(layer)?;
        let whole = !working.is_overlay();
        let made = if whole {
            working.path().to_owned()
        } else {
            let changes = WorkingTree::changes(&place);
            for lower in &paths {
                links::complete(lower, working.path(), &changes, &self.host.cancel)?;
            }
            changes
        };
        working.close()?;
        fs::rename(&made, tree).map_err(EngineError::path("move a layer to", tree))?;
        // The overlay's index holds further names of some files, which would count as theirs.
        host::remove(&place).map_err(EngineError::Host)?;
        Ok(whole)
    }

    fn perform(&mut self, layer: &Layer) -> Result<(), BuildError> {
        for action in &layer.actions {
            perform(action, self.site, self.host, self.progress)?;
        }
        Ok(())
    }

    /// Puts a layer into the store, unless it is not what its name says.
    fn keep(
        &self,
        identity: &LayerIdentity,
        whole: bool,
        directory: &Path,
        scratch: Scratch,
    ) -> Result<(String, Ground), StepError> {
        let build = self.site.build;
        let common = common(build.context, build.installer, self.host)?;
        let now = plan::identify(&build.plan.layers, &common, &self.host.cancel)?;
        if !now.contains(identity) {
            self.host.report.warn(
                "something that packages are installed from changed while they were installed: \
                 the tree is used for this build, but not kept",
            );
            return Ok((
                "not kept".to_owned(),
                Ground::Unkept {
                    tree: directory.join(TREE),
                    whole,
                    _scratch: scratch,
                },
            ));
        }
        if let Some((_, Some(provenance))) = self.site.provenance.last() {
            record::write_provenance(provenance, directory)?;
        }
        let survey = tree::survey(&directory.join(TREE), &self.host.cancel)?;
        let record = Record::new(identity, whole, &survey);
        let held = self
            .caching
            .store
            .keep(directory, record, &scratch, self.host)?;
        scratch.remove()?;
        Ok((String::new(), Ground::Kept(held)))
    }
}
