//! A harness for tests that fork, which a process with threads cannot: each runs in the first thread.
#![allow(dead_code)]

use std::process::ExitCode;

/// Does what `cargo test` and `cargo nextest` ask of a test program on its command line.
pub fn run(tests: &[(&str, fn())], arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    if has("--list") {
        if !has("--ignored") {
            for (name, _) in tests {
                println!("{name}: test");
            }
        }
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|a| !a.starts_with('-'));
    let fits = |name: &str| match wanted {
        Some(wanted) if has("--exact") => name == wanted,
        Some(wanted) => name.contains(wanted.as_str()),
        None => true,
    };
    assert!(nix::unistd::geteuid().is_root(), "these tests need root");
    for (name, test) in tests.iter().filter(|(name, _)| fits(name)) {
        println!("test {name} ...");
        test();
    }
    ExitCode::SUCCESS
}
