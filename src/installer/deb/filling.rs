//! The work of putting packages into a tree: files, database and scripts, in their order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ahead::{Ahead, Copies};
use super::claims::Claims;
use super::control::Package;
use super::filter::Filter;
use super::inside::{Inside, Step};
use super::installed::Installed;
use super::outcome::{Failed, Obstacle, Tree, Unpacked, Way};
use super::owners::Owners;
use super::places::Places;
use super::recompressed::Recompressed;
use super::relations::Relations;
use super::session::Session;
use super::special::Special;
use super::triggers::Triggers;
use super::wave::unpack_all;
use super::ways::{Ways, has_preinst};
use super::{changes, database};
use crate::host::Host;
use crate::installer::{InstallError, Request, Site};
use crate::tree::archive::Fault;
use crate::tree::shown::shown_bytes;
use crate::tree::{Root, TreeError};

/// What every script needs.
const SHELL: &str = "bin/sh";

/// An error about a package.
pub(super) fn about(name: &str, fault: Fault) -> InstallError {
    InstallError::Package {
        package: name.to_owned(),
        problem: fault.problem,
        source: fault.source,
    }
}

/// A tree on its way to having all packages.
pub(super) struct Filling<'a> {
    request: &'a Request,
    packages: &'a [Package],
    relations: Relations,
    ways: Ways,
    root: &'a Root,
    site: &'a Site,
    host: &'a Host,
    filter: Filter,
    claims: Claims,
    places: Places,
    /// The first packages that wait for their scripts, with what was unpacked of them.
    scripted: Vec<(usize, Unpacked)>,
    /// Packages whose preinst script has run.
    ran: BTreeSet<usize>,
    /// What was there before; nothing where the tree is filled.
    installed: Option<&'a Installed>,
    /// Decompresses other packages while scripts of the first ones run.
    ahead: Option<Ahead>,
    /// Where copies are kept of what took long to decompress.
    copies: Option<Arc<Recompressed>>,
    /// Where scripts run; none before the first of them.
    session: Option<Session<'a>>,
}

impl<'a> Filling<'a> {
    /// Begins with these packages, in apt's order; on top of those that the tree has, if any.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn new(
        request: &'a Request,
        packages: &'a [Package],
        root: &'a Root,
        site: &'a Site,
        host: &'a Host,
        installed: Option<&'a Installed>,
        copies: Option<Recompressed>,
    ) -> Result<Self, InstallError> {
        let relations = Relations::of(packages);
        let ways = match installed {
            Some(_) => Ways::on_top(packages, &relations),
            None => Ways::of(packages, &relations),
        };
        Ok(Self {
            ways,
            relations,
            request,
            packages,
            root,
            site,
            host,
            filter: Filter::of(root)?,
            claims: Claims::new(),
            places: Places::default(),
            scripted: Vec::new(),
            ran: BTreeSet::new(),
            installed,
            ahead: None,
            copies: copies.map(Arc::new),
            session: None,
        })
    }

    /// Whether a package of this name is among the first.
    pub fn is_first(&self, name: &str) -> bool {
        let mut first = self.ways.first.iter();
        first.any(|number| self.packages[*number].name == name)
    }

    fn has_preinst(&self, number: usize) -> bool {
        has_preinst(&self.packages[number])
    }

    /// Unpacks these packages. Those that turn out to be for dpkg are noted, not returned.
    fn unpack(
        &mut self,
        numbers: &BTreeSet<usize>,
        way: Way,
    ) -> Result<Vec<(usize, Unpacked)>, InstallError> {
        let (owners, special) = (Owners::of(self.root)?, Special::of(self.root)?);
        let tree = Tree {
            root: self.root,
            filter: &self.filter,
            owners: &owners,
            special: &special,
            claims: &self.claims,
            places: &self.places,
            cancel: &self.host.cancel,
            installed: self.installed,
        };
        let report = self.host.report.as_ref();
        let all = unpack_all(&tree, self.packages, numbers, way, report)
            .map_err(|(number, failed)| self.explain(number, failed))?;
        let mixed: Vec<&Obstacle> = all
            .iter()
            .filter_map(|(_, unpacked)| unpacked.obstacle.as_ref())
            .filter(|obstacle| obstacle.mixed.is_some())
            .collect();
        for (number, unpacked) in &all {
            let beneath = |path: &Vec<u8>| {
                mixed.iter().any(|obstacle| {
                    path.strip_prefix(obstacle.path.as_slice())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
                })
            };
            let is_mixed = unpacked.paths.iter().any(beneath);
            if is_mixed && way == Way::Usual {
                // Where its files went depends on which package came first.
                for path in &unpacked.written {
                    remove(self.root, path)?;
                }
            }
            if is_mixed || unpacked.obstacle.is_some() {
                self.ways.left.insert(*number);
            }
        }
        Ok(all
            .into_iter()
            .filter(|(number, _)| !self.ways.left.contains(number))
            .collect())
    }

    fn explain(&self, number: usize, failed: Failed) -> InstallError {
        match failed {
            Failed::Package(fault) => about(&self.packages[number].name, fault),
            Failed::Tree(TreeError::Cancelled) => InstallError::Cancelled,
            Failed::Tree(error) => error.into(),
            Failed::Obstacle(obstacle) => about(
                &self.packages[number].name,
                Fault::new(format!("{} is in the way", shown_bytes(&obstacle.path))),
            ),
        }
    }

    /// Adds packages to dpkg's database.
    fn enter(&self, unpacked: &[(usize, Unpacked)]) -> Result<(), InstallError> {
        let pairs = unpacked
            .iter()
            .map(|(number, unpacked)| (&self.packages[*number], unpacked));
        Ok(database::add(self.root, pairs)?)
    }

    /// Notes what packages have changed for those that were interested before, and what they are
    /// interested in themselves.
    fn note_triggers<'u>(
        &self,
        numbers: impl Iterator<Item = usize>,
        changes: impl Iterator<Item = &'u (usize, Unpacked)>,
    ) -> Result<(), InstallError> {
        let mut triggers = Triggers::of(self.root)?;
        let fault = |number: usize| move |fault| about(&self.packages[number].name, fault);
        for (number, unpacked) in changes {
            triggers
                .activate(&self.packages[*number], unpacked)
                .map_err(fault(*number))?;
        }
        for number in numbers {
            triggers
                .add_interests(&self.packages[number])
                .map_err(fault(number))?;
        }
        Ok(triggers.write(self.root)?)
    }

    /// The container; started if there is none.
    fn take_session(&mut self) -> Result<Session<'a>, InstallError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::begin(self.request, self.site, self.host),
        }
    }

    fn run(&mut self, what: &str, steps: &[Step]) -> Result<(), InstallError> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut session = self.take_session()?;
        let dpkg = self.packages.iter().find(|p| p.name == "dpkg");
        let there = self.installed.map_or("", |installed| &installed.dpkg);
        let inside = Inside {
            site: self.site,
            packages: self.packages,
            dpkg: dpkg.map_or(there, |package| &package.version),
            ran: &self.ran,
        };
        inside.run(&mut session, what, steps)?;
        self.session = Some(session);
        self.ran.extend(steps.iter().filter_map(|step| match step {
            Step::Preinst(number) => Some(number),
            _ => None,
        }));
        Ok(())
    }

    /// Unpacks the packages without which no script runs. Those with a script that comes before
    /// unpacking count as not there until it has run.
    ///
    /// # Errors
    /// When a package is damaged or hostile, or the tree cannot be changed.
    pub fn first_files(&mut self) -> Result<(), InstallError> {
        let unpacked = self.unpack(&self.ways.first.clone(), Way::First)?;
        // That takes a while, in which the database is written.
        if self.root.is_file(SHELL)? {
            self.session = Some(self.take_session()?);
        }
        let (scripted, now): (Vec<_>, Vec<_>) = unpacked
            .into_iter()
            .partition(|(number, _)| self.has_preinst(*number));
        self.scripted = scripted;
        self.ahead = Some(self.read_ahead());
        self.enter(&now)
    }

    /// Begins to decompress the packages that come after the first: those that come next, then the
    /// largest, with which unpacking would begin.
    fn read_ahead(&self) -> Ahead {
        let early = self.ways.early.difference(&self.ways.left);
        let mut rest: Vec<&usize> = self.ways.rest.difference(&self.ways.left).collect();
        rest.sort_by_key(|number| std::cmp::Reverse(self.packages[**number].archive.data_size()));
        let packages = early.chain(rest).map(|number| &self.packages[*number]);
        Ahead::begin(packages, self.copies())
    }

    /// The copies to be made: first of the packages for which all processors wait. The largest of them come
    /// last, as there may not be time enough for one.
    fn copies(&self) -> Option<Copies> {
        let cache = self.copies.clone()?;
        let mut order: Vec<usize> = (0..self.packages.len()).collect();
        order.sort_by_key(|number| {
            let size = self.packages[*number].archive.data_size();
            (!self.ways.first.contains(number), size)
        });
        let packages = order.iter().map(|number| &self.packages[*number]);
        let wanted = Recompressed::wanted(packages);
        (!wanted.is_empty()).then_some(Copies { cache, wanted })
    }

    /// Runs the scripts of the first packages that come before unpacking. What such a script changes
    /// of its package's files is unpacked again.
    ///
    /// # Errors
    /// As [`Filling::first_files`], or when a script fails.
    pub fn first_scripts(&mut self) -> Result<(), InstallError> {
        let mut steps = Vec::new();
        for &number in &self.ways.first {
            if self.ways.left.contains(&number) {
                push_unpack(&mut steps, number, true);
            } else if self.has_preinst(number) {
                steps.push(Step::Preinst(number));
            }
        }
        let what = "installing the first packages failed";
        let before = changes::now(&self.site.scratch)?;
        self.run(what, &steps)?;
        let mut scripted = std::mem::take(&mut self.scripted);
        let mut again = BTreeSet::new();
        for (number, unpacked) in &scripted {
            if changes::any_since(self.root, &unpacked.written, before)? {
                again.insert(*number);
            }
        }
        if !again.is_empty() {
            scripted.retain(|(number, _)| !again.contains(number));
            scripted.extend(self.unpack(&again, Way::First)?);
            let mut steps = Vec::new();
            for &number in again.intersection(&self.ways.left) {
                push_unpack(&mut steps, number, true);
            }
            self.run(what, &steps)?;
        }
        self.enter(&scripted)?;
        let ours = self.ways.first.difference(&self.ways.left).copied();
        self.note_triggers(ours, std::iter::empty())
    }

    /// Configures the first packages, then unpacks and configures all others, those of `order` in
    /// that order.
    ///
    /// # Errors
    /// As [`Filling::first_scripts`].
    pub fn others(&mut self, order: &[String]) -> Result<(), InstallError> {
        let early = self.unpack(&self.ways.early.clone(), Way::Usual)?;
        self.enter(&early)?;
        // What turned out to be for dpkg has its turn with all others of that kind.
        let late: Vec<usize> = self
            .ways
            .early
            .intersection(&self.ways.left)
            .copied()
            .collect();
        self.ways.early.retain(|number| !late.contains(number));
        self.ways.rest.extend(late);
        self.note_triggers(self.ways.early.iter().copied(), std::iter::empty())?;
        let first: Vec<usize> = self.ways.first.union(&self.ways.early).copied().collect();
        let mut configured: BTreeSet<usize> = first.iter().copied().collect();
        let ours: BTreeSet<usize> = self
            .ways
            .rest
            .difference(&self.ways.left)
            .copied()
            .collect();
        let mut steps = Vec::new();
        if !first.is_empty() {
            steps.push(Step::Configure(first));
        }
        let scripted = ours.iter().copied().filter(|n| self.has_preinst(*n));
        steps.extend(scripted.map(Step::Preinst));
        self.run("configuring the first packages failed", &steps)?;

        self.ahead = None;
        let unpacked = self.unpack(&ours, Way::Usual)?;
        self.enter(&unpacked)?;
        let numbers = unpacked.iter().map(|(number, _)| *number);
        self.note_triggers(numbers, early.iter().chain(&unpacked))?;
        let mut steps = Vec::new();
        for &number in self.ways.rest.intersection(&self.ways.left) {
            let needed = self.relations.pre_depends(number).iter().copied();
            let mut needed = self.relations.closure(needed);
            needed.retain(|other| *other != number && configured.insert(*other));
            if !needed.is_empty() {
                steps.push(Step::Configure(needed.into_iter().collect()));
            }
            push_unpack(&mut steps, number, false);
        }
        let named: Vec<usize> = order
            .iter()
            .filter_map(|name| {
                let name = name.split(':').next().unwrap_or(name);
                self.packages.iter().position(|p| p.name == name)
            })
            .filter(|number| configured.insert(*number))
            .collect();
        if !named.is_empty() {
            steps.push(Step::Configure(named));
        }
        steps.push(Step::ConfigureAll);
        self.ahead = Some(Ahead::begin(std::iter::empty(), self.copies()));
        self.run("configuring packages failed", &steps)?;
        self.ahead = None;
        self.session = None;
        Ok(Triggers::arrange(self.root, self.packages)?)
    }
}

/// Adds a package to the last step, if that is one of dpkg unpacking packages.
fn push_unpack(steps: &mut Vec<Step>, number: usize, first: bool) {
    if let Some(Step::Unpack { packages, .. }) = steps.last_mut() {
        packages.push(number);
    } else {
        let packages = vec![number];
        steps.push(Step::Unpack { packages, first });
    }
}

/// Removes a file of a package that dpkg is going to unpack, and what stands beside it.
fn remove(root: &Root, path: &[u8]) -> Result<(), TreeError> {
    use std::os::unix::ffi::OsStrExt as _;
    for suffix in [&b""[..], b".dpkg-new"] {
        let path = [path.strip_prefix(b"/").unwrap_or(path), suffix].concat();
        root.remove_file(std::ffi::OsStr::from_bytes(&path))?;
    }
    Ok(())
}
