//! Builds that write a lock of packages or keep to one.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;

use crate::support::{Project, Run, finish};

/// Builds with times that are the same each time.
pub fn build(project: &Project, flags: &[&str]) -> Run {
    let mut command = project.command(flags);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    finish(command)
}

/// A file of the project.
pub fn artifact(project: &Project, name: &str) -> Vec<u8> {
    fs::read(project.path().join(name)).unwrap()
}

/// Gives a project the lock of another.
pub fn copy_lock(from: &Project, to: &Project) {
    to.file("mkosi.lock", artifact(from, "mkosi.lock"));
}

/// Names of the packages in a project's lock, which is returned, too.
pub fn lock(project: &Project) -> (serde_json::Value, Vec<String>) {
    let lock: serde_json::Value = serde_json::from_slice(&artifact(project, "mkosi.lock")).unwrap();
    let packages = lock["packages"].as_array().unwrap().iter();
    let names = packages.map(|one| one["name"].as_str().unwrap().to_owned());
    let names = names.collect();
    (lock, names)
}
