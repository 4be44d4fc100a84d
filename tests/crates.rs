//! The crates are those that deny.toml accepts, and one that it does not would be seen.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Run, finish, tool};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> String {
    fs::read_to_string(top().join("deny.toml")).expect("rules")
}

/// What cargo says of the crates.
fn crates() -> Value {
    let manifest = top().join("Cargo.toml");
    let text = tool(
        env!("CARGO"),
        &[
            "metadata",
            "--locked",
            "--format-version=1",
            "--all-features",
            "--filter-platform=x86_64-unknown-linux-gnu",
            "--manifest-path",
            manifest.to_str().expect("a path"),
        ],
    );
    serde_json::from_str(&text).expect("JSON")
}

fn check(rules: &str, crates: &Value) -> Run {
    let place = tempfile::tempdir().expect("a directory");
    let [deny, metadata] = ["deny.toml", "metadata.json"].map(|name| place.path().join(name));
    fs::write(&deny, rules).expect("a file");
    fs::write(&metadata, crates.to_string()).expect("a file");
    let mut command = Command::new(top().join("scripts/check-crates"));
    command.args([&deny, &metadata]);
    finish(command)
}

/// The crate of this name.
fn named<'a>(crates: &'a mut Value, name: &str) -> &'a mut Value {
    let packages = crates["packages"].as_array_mut().expect("crates");
    let found = packages.iter_mut().find(|package| package["name"] == name);
    found.expect("a crate of this name")
}

#[test]
fn the_crates_are_accepted() {
    let mut command = Command::new(top().join("scripts/check-crates"));
    command.current_dir("/");
    finish(command).succeeds();
}

#[test]
fn rules_that_the_crates_break_are_seen() {
    let (rules, crates) = (rules(), crates());
    check(&rules, &crates).succeeds();
    let cases = [
        ("    \"Zlib\",\n", "", "its licence, Zlib, is not allowed"),
        (
            "{ crate = \"sha2@0.10\"",
            "{ crate = \"clap@4\"",
            "sha2: is there in several versions, 0.10.",
        ),
        (
            "{ crate = \"sha2@0.10\"",
            "{ crate = \"sha2@0.9\"",
            "sha2@0.9: is in skip-tree, but not among the crates",
        ),
        (
            "{ crate = \"openssl-sys\" }",
            "{ crate = \"rustix\" }",
            ": is banned",
        ),
    ];
    for (old, new, complaint) in cases {
        assert!(rules.contains(old), "{old}");
        check(&rules.replace(old, new), &crates)
            .exits(1)
            .says(complaint);
    }
    // A word that only cargo-deny knows would otherwise be passed over.
    check(
        &rules.replace("wildcards = \"deny\"", "wildcards = \"warn\""),
        &crates,
    )
    .exits(1)
    .says("knows no wildcards");
}

#[test]
fn crates_that_break_the_rules_are_seen() {
    let (rules, crates) = (rules(), crates());
    let cases = [
        ("license", json!("MIT AND GPL-3.0-only"), "is not allowed"),
        (
            "license",
            json!("(MIT OR Zlib) AND (SSPL-1.0 OR X)"),
            "is not allowed",
        ),
        (
            "license",
            json!("Apache-2.0 WITH a-restriction"),
            "is not allowed",
        ),
        ("license", json!("MIT OR (Zlib"), "is not allowed"),
        ("license", Value::Null, "which it does not name"),
        (
            "source",
            json!("git+https://example.org/clap"),
            "comes from git+https",
        ),
        (
            "source",
            json!("registry+https://example.org"),
            "not from crates.io",
        ),
        ("source", Value::Null, "comes from a directory"),
    ];
    for (field, value, complaint) in cases {
        let mut crates = crates.clone();
        named(&mut crates, "clap")[field] = value;
        check(&rules, &crates)
            .exits(1)
            .says("clap 4.")
            .says(complaint);
    }
    for licence in ["MIT/X", "X OR MIT AND (Zlib OR X)", "(MIT)"] {
        let mut crates = crates.clone();
        named(&mut crates, "clap")["license"] = json!(licence);
        check(&rules, &crates).succeeds();
    }
    let mut crates = crates;
    named(&mut crates, "mkosi")["dependencies"][0]["req"] = json!("*");
    check(&rules, &crates).exits(1).says("any version would do");
}
