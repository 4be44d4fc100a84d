//! Fills an empty tree: which package takes which way, and in which order all of it happens.

use std::collections::BTreeSet;

use super::claims::Claims;
use super::control::Package;
use super::filter::Filter;
use super::inside::{Inside, Step};
use super::owners::Owners;
use super::places::Places;
use super::read::read_all;
use super::relations::Relations;
use super::resolve;
use super::services::Refusal;
use super::settings::Settings;
use super::special::Special;
use super::triggers::Triggers;
use super::unpack::{Failed, Obstacle, Tree, Unpacked, Way};
use super::wave::unpack_all;
use super::{DPKG_STATUS, changes, database, leavings};
use crate::host::Host;
use crate::installer::apt::USR_IS_MERGED;
use crate::installer::{InstallError, Request, Site};
use crate::tree::archive::Fault;
use crate::tree::{Root, TreeError};

/// Whether no package is in the tree; the place-holder that keeps `usrmerge` out is none.
///
/// # Errors
/// When the tree cannot be read.
pub(super) fn is_empty(root: &Root) -> Result<bool, TreeError> {
    let status = root.read_if_present(DPKG_STATUS)?.unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mut names = status.lines().filter_map(|l| l.strip_prefix("Package: "));
    Ok(names.all(|name| name == USR_IS_MERGED) && !status.contains("\nConffiles:"))
}

/// Fills the tree.
///
/// # Errors
/// When packages cannot be chosen or fetched, when one is damaged or hostile, or a script fails.
pub(super) fn fill(
    request: &Request,
    site: &Site,
    root: &Root,
    settings: &Settings,
    host: &Host,
) -> Result<(), InstallError> {
    resolve::update(settings, request, host)?;
    let chosen = resolve::choose_for_new_tree(settings, request, host)?;
    let packages = read_all(&chosen)?;
    database::begin(root, &request.architecture)?;
    let order = resolve::configured(settings)?;
    let mut filling = Filling::new(&packages, &order, root, site, host)?;
    let refusal = filling.first_packages()?;
    filling.rest()?;
    refusal.end(root)?;
    leavings::extended_states(root, settings, |name| filling.is_first(name))?;
    leavings::clean(root)?;
    Ok(())
}

/// An error about a package.
pub(super) fn about(name: &str, fault: Fault) -> InstallError {
    InstallError::Package {
        package: name.to_owned(),
        problem: fault.problem,
        source: fault.source,
    }
}

struct Filling<'a> {
    packages: &'a [Package],
    relations: Relations,
    root: &'a Root,
    site: &'a Site,
    host: &'a Host,
    filter: Filter,
    claims: Claims,
    places: Places,
    /// Essential packages and what they need: they cannot wait for each other.
    first: BTreeSet<usize>,
    /// Packages that must be configured before the scripts of others can run that come before these
    /// are unpacked.
    early: BTreeSet<usize>,
    /// Packages that apt has configured by name, in that order.
    order: Vec<usize>,
    rest: Vec<usize>,
    /// Packages that dpkg unpacks.
    left: BTreeSet<usize>,
}

impl<'a> Filling<'a> {
    fn new(
        packages: &'a [Package],
        order: &[String],
        root: &'a Root,
        site: &'a Site,
        host: &'a Host,
    ) -> Result<Self, InstallError> {
        let relations = Relations::of(packages);
        let essential = (0..packages.len()).filter(|number| packages[*number].is_essential());
        let first: BTreeSet<usize> = relations.closure(essential).into_iter().collect();
        let scripted = |number: &usize| packages[*number].file("preinst").is_some();
        let later = || (0..packages.len()).filter(|number| !first.contains(number));
        let needed = later()
            .filter(scripted)
            .flat_map(|n| relations.pre_depends(n));
        let mut early: BTreeSet<usize> = relations.closure(needed.copied()).into_iter().collect();
        early.retain(|number| !first.contains(number));
        let mut left: BTreeSet<usize> = (0..packages.len())
            .filter(|number| is_for_dpkg(&packages[*number]))
            .collect();
        // One such step is made for all. What takes more of them goes the long way.
        let more = early
            .iter()
            .any(|number| scripted(number) || left.contains(number));
        if more {
            let waits = |number: &usize| {
                scripted(number)
                    && relations
                        .pre_depends(*number)
                        .iter()
                        .any(|other| !first.contains(other))
            };
            left.extend(later().filter(waits));
            early.clear();
        }
        let rest = later().filter(|number| !early.contains(number)).collect();
        let number_of = |name: &String| {
            let (name, _) = name.split_once(':').unwrap_or((name, ""));
            packages.iter().position(|package| package.name == name)
        };
        let order = order.iter().filter_map(number_of).collect();
        Ok(Self {
            packages,
            relations,
            root,
            site,
            host,
            filter: Filter::of(root)?,
            claims: Claims::new(),
            places: Places::default(),
            first,
            early,
            order,
            rest,
            left,
        })
    }

    fn is_first(&self, name: &str) -> bool {
        let mut first = self.first.iter();
        first.any(|number| self.packages[*number].name == name)
    }

    fn has_preinst(&self, number: usize) -> bool {
        self.packages[number].file("preinst").is_some()
    }

    /// Unpacks these packages. Those that turn out to be for dpkg are noted, not returned.
    fn unpack(
        &mut self,
        numbers: &[usize],
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
                self.left.insert(*number);
            }
        }
        Ok(all
            .into_iter()
            .filter(|(number, _)| !self.left.contains(number))
            .collect())
    }

    fn explain(&self, number: usize, failed: Failed) -> InstallError {
        match failed {
            Failed::Package(fault) => about(&self.packages[number].name, fault),
            Failed::Tree(TreeError::Cancelled) => InstallError::Cancelled,
            Failed::Tree(error) => error.into(),
            Failed::Obstacle(obstacle) => about(
                &self.packages[number].name,
                Fault::new(format!(
                    "{} is in the way",
                    crate::tree::shown::shown_bytes(&obstacle.path)
                )),
            ),
        }
    }

    /// Adds packages to dpkg's database; `changes` are told to those that are in it.
    fn enter(&self, unpacked: &[(usize, Unpacked)], changes: bool) -> Result<(), InstallError> {
        let mut triggers = Triggers::of(self.root)?;
        let fault = |number: usize| move |fault| about(&self.packages[number].name, fault);
        for (number, unpacked) in unpacked.iter().filter(|_| changes) {
            triggers
                .activate(&self.packages[*number], unpacked)
                .map_err(fault(*number))?;
        }
        for (number, _) in unpacked {
            triggers
                .add_interests(&self.packages[*number])
                .map_err(fault(*number))?;
        }
        let pairs = unpacked
            .iter()
            .map(|(number, unpacked)| (&self.packages[*number], unpacked));
        database::add(self.root, pairs)?;
        triggers.write(self.root)?;
        Ok(())
    }

    fn run(&self, what: &str, steps: &[Step]) -> Result<(), InstallError> {
        let inside = Inside {
            site: self.site,
            packages: self.packages,
            host: self.host,
        };
        inside.run(what, steps)
    }

    /// Unpacks and configures the packages without which no other can be.
    ///
    /// Their files have to be there before any of their scripts can run, also those that come before
    /// unpacking. What such a script changes of its package's files is unpacked again.
    fn first_packages(&mut self) -> Result<Refusal, InstallError> {
        let numbers: Vec<usize> = self.first.iter().copied().collect();
        let unpacked = self.unpack(&numbers, Way::First)?;
        let (mut scripted, now): (Vec<_>, Vec<_>) = unpacked
            .into_iter()
            .partition(|(number, _)| self.has_preinst(*number));
        self.enter(&now, false)?;
        let refusal = Refusal::begin(self.root)?;
        let mut steps = Vec::new();
        for &number in &numbers {
            if self.left.contains(&number) {
                push_unpack(&mut steps, number, true);
            } else if self.has_preinst(number) {
                steps.push(Step::Preinst(number));
            }
        }
        let early: Vec<usize> = self.early.iter().copied().collect();
        let before = changes::now(&self.site.scratch)?;
        self.run("installing the first packages failed", &steps)?;
        let mut again = Vec::new();
        for (number, unpacked) in &scripted {
            if changes::any_since(self.root, &unpacked.written, before)? {
                again.push(*number);
            }
        }
        if !again.is_empty() {
            scripted.retain(|(number, _)| !again.contains(number));
            scripted.extend(self.unpack(&again, Way::First)?);
            scripted.sort_by_key(|(number, _)| *number);
        }
        self.enter(&scripted, false)?;
        let unpacked = self.unpack(&early, Way::Usual)?;
        self.enter(&unpacked, false)?;
        // What turned out to be for dpkg has its turn with all others of that kind.
        let late: Vec<usize> = self.early.intersection(&self.left).copied().collect();
        self.early.retain(|number| !late.contains(number));
        self.rest.extend(late);
        self.rest.sort_unstable();
        Ok(refusal)
    }

    /// Configures the first packages, then unpacks and configures all others.
    fn rest(&mut self) -> Result<(), InstallError> {
        let first = self.first.union(&self.early).copied().collect();
        let mut steps = vec![Step::Configure(first)];
        let ours: Vec<usize> = self
            .rest
            .iter()
            .copied()
            .filter(|number| !self.left.contains(number))
            .collect();
        let scripted = ours.iter().copied().filter(|n| self.has_preinst(*n));
        steps.extend(scripted.map(Step::Preinst));
        self.run("configuring the first packages failed", &steps)?;
        let unpacked = self.unpack(&ours, Way::Usual)?;
        self.enter(&unpacked, true)?;
        let mut steps = Vec::new();
        for &number in self.rest.iter().filter(|n| self.left.contains(n)) {
            let needed = self.relations.pre_depends(number).iter().copied();
            let mut needed: Vec<usize> = self
                .relations
                .closure(needed)
                .into_iter()
                .filter(|other| !self.first.contains(other) && *other != number)
                .collect();
            needed.sort_unstable();
            if !needed.is_empty() {
                steps.push(Step::Configure(needed));
            }
            push_unpack(&mut steps, number, false);
        }
        let named = self.order.iter().filter(|n| self.rest.contains(n));
        let named: Vec<usize> = named.copied().collect();
        if !named.is_empty() {
            steps.push(Step::Configure(named));
        }
        steps.push(Step::ConfigureAll);
        self.run("configuring packages failed", &steps)
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

/// Whether dpkg has to unpack a package: because of a script that could change where its files go, or
/// of lists that only dpkg makes.
fn is_for_dpkg(package: &Package) -> bool {
    let diverts = package.file("preinst").is_some_and(|script| {
        let mut words = script.content.windows(6);
        words.any(|word| word == b"divert")
    });
    diverts || package.odd_conffiles || package.file("md5sums").is_none()
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
