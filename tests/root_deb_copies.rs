//! Copies of packages in the package cache that are fast to decompress: trees made of them are the same.
//! Needs root and the network.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod installed;
mod support;

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use installed::{Times, differences};
use support::{Project, assert_no_leaks, package_cache, root};

/// A project with a package cache of its own, which has all packages but nothing else.
fn project() -> Project {
    let project = Project::new();
    let cache = project.path().join("mkosi.cache");
    fs::create_dir(&cache).unwrap();
    for entry in fs::read_dir(package_cache()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            fs::hard_link(&path, cache.join(path.file_name().unwrap())).unwrap();
        }
    }
    project.file(
        "mkosi.default",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\n[Output]\nFormat=directory\n\
         [Packages]\nCache=mkosi.cache\n",
    );
    project
}

fn build(project: &Project, output: &str) -> PathBuf {
    project
        .run(&[&format!("--output={output}"), "build"])
        .succeeds()
        .says("with apt");
    project.path().join(output)
}

fn copies(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path().join("mkosi.cache/apt/recompressed")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().len() == 64);
    paths.sort();
    paths
}

/// Damages a copy behind the back of its note, as a failing disk does.
fn damage(copy: &Path, part: u64) {
    let state = |path: &Path| {
        let found = fs::metadata(path).unwrap();
        format!(
            "{}:{}:{}.{:09}",
            found.ino(),
            found.size(),
            found.ctime(),
            found.ctime_nsec()
        )
    };
    let notes = copy.with_file_name("notes");
    let text = fs::read_to_string(&notes).unwrap();
    let before = state(copy);
    assert!(text.contains(&before));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(copy)
        .unwrap();
    let at = fs::metadata(copy).unwrap().size() * part / 10;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    fs::write(&notes, text.replace(&before, &state(copy))).unwrap();
}

#[test]
fn root_deb_trees_of_copies_are_the_same() {
    root();
    let project = project();
    let first = build(&project, "first");
    // Who builds once pays nothing.
    assert!(copies(&project).is_empty());
    let mut count = 0;
    let mut latest = first.clone();
    for number in 0.. {
        latest = build(&project, &format!("again-{number}"));
        let now = copies(&project).len();
        // Each build makes as many as there is time for.
        if now == count && now > 0 {
            break;
        }
        assert!(now > count, "{now} after {count} in build {number}");
        count = now;
    }
    let none: [&str; 0] = [];
    let expected = |tree: &Path| {
        let found = differences(tree, &first, Times::None, &none);
        assert!(found.is_empty(), "{}", found.join("\n"));
    };
    expected(&latest);

    // Damage is found while a copy is read, which goes on in the package.
    let all = copies(&project);
    let largest = all
        .iter()
        .max_by_key(|copy| fs::metadata(copy).unwrap().size());
    let chosen = [&all[0], &all[all.len() / 2], largest.unwrap()];
    for (copy, part) in chosen.into_iter().zip([0, 5, 9]) {
        damage(copy, part);
    }
    let before: Vec<u64> = chosen.map(|copy| fs::metadata(copy).unwrap().ino()).into();
    expected(&build(&project, "damaged"));
    for (copy, before) in chosen.into_iter().zip(before) {
        let now = fs::metadata(copy).map_or(0, |found| found.ino());
        assert_ne!(now, before, "{}", copy.display());
    }
    // What somebody else wrote is never read.
    for copy in copies(&project) {
        fs::write(copy, "no copy").unwrap();
    }
    expected(&build(&project, "replaced"));
    assert_no_leaks(project.path());
}

#[test]
fn root_deb_links_in_a_package_cache_lead_nowhere() {
    root();
    let project = project();
    let elsewhere = project.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "kept").unwrap();
    let cache = project.path().join("mkosi.cache");
    fs::create_dir(cache.join("apt")).unwrap();
    for place in ["apt/recompressed", "apt/checksums.new", "partial"] {
        let link = cache.join(place);
        let _ = fs::remove_dir(&link);
        symlink(&elsewhere, &link).unwrap();
        project
            .run(&["build"])
            .exits(1)
            .says(place)
            .says("symbolic link");
        fs::remove_file(link).unwrap();
    }
    let left = fs::read_dir(&elsewhere).unwrap().count();
    assert_eq!(left, 1);
    assert_eq!(fs::read(elsewhere.join("file")).unwrap(), b"kept");
    assert_no_leaks(project.path());
}
