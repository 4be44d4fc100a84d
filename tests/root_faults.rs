//! Builds that fail, run out of space, are interrupted or killed, at every named place.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod faults;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use faults::cell::{FAULTS, Fault, Place, Ready, try_out};
use faults::scenario::{LONG, SHORT, Scenario};
use mkosi::host::fail_point::POINTS;
use support::root;

/// How many builds go wrong at a time.
const AT_ONCE: usize = 4;
/// Names the place at which a table goes on that was broken off.
const FROM: &str = "FAULTS_FROM";

/// A place of a scenario, and what goes wrong there.
struct Cell<'a> {
    ready: &'a Ready,
    place: Place<'a>,
    about: &'a str,
    fault: Fault,
}

/// The places of a scenario, each as often as the build comes by.
fn places(ready: &Ready) -> Vec<(Place<'_>, &str)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let places = ready.places.iter().map(|(name, about)| {
        let count = counts.entry(name).or_default();
        *count += 1;
        (
            Place {
                name,
                count: *count,
            },
            about.as_str(),
        )
    });
    places.collect()
}

/// Tries all cells, several at a time; fails with all that does not hold, after the whole table.
fn try_all(cells: &[Cell<'_>]) {
    assert!(!cells.is_empty(), "there is no such place");
    println!("{} faults", cells.len());
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let result =
                        std::panic::catch_unwind(|| try_out(cell.ready, &cell.place, cell.fault));
                    let result = result.unwrap_or_else(|_| Err("it could not be tried".to_owned()));
                    let row = format!(
                        "{:<9} {:<22}#{:<3} {}",
                        cell.ready.scenario.name, cell.place.name, cell.place.count, cell.about
                    );
                    if let Err(why) = &result {
                        // Now, in case that the rest takes too long.
                        eprintln!("== {row}, {}: {why}", cell.fault.name());
                    }
                    let count = tried.fetch_add(1, Ordering::SeqCst) + 1;
                    if count % 10 == 0 {
                        println!("{count} of {} in {:.0?}", cells.len(), begun.elapsed());
                    }
                    let mut results = results.lock().unwrap();
                    let row: &mut BTreeMap<_, _> = results.entry(row).or_default();
                    row.insert(cell.fault.name(), result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let mut table = String::new();
    let mut wrong = String::new();
    for (row, faults) in &results {
        write!(table, "{row:<70}").unwrap();
        for fault in FAULTS {
            let shown = match faults.get(fault.name()) {
                None => "-",
                Some(Ok(outcome)) => outcome,
                Some(Err(why)) => {
                    writeln!(wrong, "\n== {row}, {}: {why}", fault.name()).unwrap();
                    "WRONG"
                }
            };
            write!(table, " {}={shown:<8}", fault.name()).unwrap();
        }
        table.push('\n');
    }
    println!("{table}");
    let outcomes = results.values().flat_map(BTreeMap::values);
    let wrongs = outcomes.filter(|outcome| outcome.is_err()).count();
    println!(
        "{} faults, {wrongs} wrong, in {:.0?}",
        cells.len(),
        begun.elapsed()
    );
    assert!(wrong.is_empty(), "{wrong}");
}

fn get_ready(scenarios: &'static [Scenario]) -> Vec<Ready> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = scenarios
            .iter()
            .map(|scenario| scope.spawn(|| Ready::new(scenario)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Places that no build comes by, but verbs that look into images (`root_verbs_end`).
const OF_VERBS: [&str; 1] = ["loop-attached"];

/// Every place once, with faults that take turns: those with most to lose more often.
#[test]
fn root_faults_at_every_place() {
    root();
    let ready = get_ready(&SHORT);
    let reached: BTreeSet<&str> = ready
        .iter()
        .flat_map(|ready| ready.places.iter().map(|(name, _)| name.as_str()))
        .collect();
    let never: Vec<_> = POINTS
        .iter()
        .filter(|name| !reached.contains(**name) && !OF_VERBS.contains(name))
        .collect();
    assert!(never.is_empty(), "no scenario comes by {never:?}");

    let mut turn = 0;
    let mut cells = Vec::new();
    let mut seen = BTreeSet::new();
    for ready in &ready {
        for (place, about) in places(ready) {
            // Publishing wherever something is replaced, and everything else once.
            let publishes = place.name.starts_with("artifact-")
                && ["again", "disk"].contains(&ready.scenario.name);
            let about_what = match place.name {
                "step-done" | "command-running" | "partition-filled" => about,
                _ => "",
            };
            if !(seen.insert((place.name, about_what)) || publishes && place.count <= 2) {
                continue;
            }
            let wanted: &[Fault] = if publishes {
                &[Fault::Full, Fault::Kill]
            } else {
                turn += 1;
                &FAULTS[turn % FAULTS.len()..][..1]
            };
            for fault in wanted {
                cells.push(Cell {
                    ready,
                    place: place.clone(),
                    about,
                    fault: *fault,
                });
            }
        }
    }
    try_all(&cells);
}

/// Every fault at every place of one scenario.
fn everything(name: &str) {
    root();
    let scenario = SHORT
        .iter()
        .chain(&LONG)
        .find(|scenario| scenario.name == name);
    let ready = Ready::new(scenario.unwrap());
    let from = std::env::var(FROM).ok();
    let is_before =
        |(place, _): &(Place<'_>, &str)| from.as_ref().is_some_and(|from| place.name != from);
    let cells: Vec<_> = places(&ready)
        .into_iter()
        .skip_while(is_before)
        .flat_map(|(place, about)| {
            FAULTS.into_iter().map({
                let ready = &ready;
                move |fault| Cell {
                    ready,
                    place: place.clone(),
                    about,
                    fault,
                }
            })
        })
        .collect();
    try_all(&cells);
}

/// A test for each scenario, so that one can be repeated without the others.
macro_rules! every_fault {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            #[ignore = "every fault at every place takes minutes"]
            fn $test() {
                everything($name);
            }
        )*

        #[test]
        fn every_scenario_has_its_test() {
            let names: Vec<_> = SHORT.iter().chain(&LONG).map(|scenario| scenario.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

every_fault! {
    root_faults_every_fault_new: "new",
    root_faults_every_fault_again: "again",
    root_faults_every_fault_anew: "anew",
    root_faults_every_fault_disk: "disk",
    root_faults_every_fault_luks: "luks",
    root_faults_every_fault_boot: "boot",
    root_faults_every_fault_xfs: "xfs",
    root_faults_every_fault_btrfs: "btrfs",
    root_faults_every_fault_squashfs: "squashfs",
    root_faults_every_fault_mount: "mount",
}
