//! Manual pages and completions in the repository are those that the tables make. `UPDATE=1` in the
//! environment writes them.

#![allow(clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mkosi::cli::completion::{CompletionShell, completion};
use mkosi::cli::man;

/// Every generated file, and what it has to be.
fn files() -> Vec<(PathBuf, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![
        (top.join("man/mkosi.1"), man::program()),
        (top.join("man/mkosi.default.5"), man::settings_file()),
    ];
    for shell in CompletionShell::ALL {
        // As each shell wants its files to be called.
        let name = match shell {
            CompletionShell::Bash => "mkosi",
            CompletionShell::Zsh => "_mkosi",
            CompletionShell::Fish => "mkosi.fish",
            CompletionShell::Elvish => "mkosi.elv",
        };
        let path = top.join("completions").join(shell.as_str()).join(name);
        files.push((path, completion(*shell)));
    }
    files
}

#[test]
fn generated_files_are_current() {
    for (path, text) in files() {
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(&path, &text).expect("a file");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} is stale: run UPDATE=1 cargo test --test generated",
            path.display()
        );
    }
}

/// The formatter finds nothing wrong, and the pages can be read in 80 columns.
#[test]
fn manual_pages_are_well_formed() {
    for page in ["man/mkosi.1", "man/mkosi.default.5"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let run = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-rLL=80n", "-P-cbou"])
            .arg(&path)
            .output()
            .expect("groff runs (package groff-base)");
        let complaints = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.success() && complaints.is_empty(),
            "{page}: {complaints}"
        );
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(text.lines().count() > 100, "{page} is too short");
        let wide = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{page}");
    }
}

/// The other shells' own readers find nothing wrong.
#[test]
fn shells_read_their_completions() {
    for (shell, arguments) in [
        ("zsh", ["-n", "completions/zsh/_mkosi"]),
        ("fish", ["--no-execute", "completions/fish/mkosi.fish"]),
    ] {
        let run = Command::new(shell)
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the shell runs");
        let complaints = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.success() && complaints.is_empty(),
            "{shell}: {complaints}"
        );
    }
}

/// bash takes the script and completes with it.
#[test]
fn bash_completes() {
    let script = r#"
        source completions/bash/mkosi
        try() {
            COMP_WORDS=(mkosi "$@"); COMP_CWORD=$#; COMPREPLY=()
            _mkosi mkosi "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}"
        }
        try summ
        try --format gpt_e
        try --distribution deb
        try --release bookw
        try --boota
    "#;
    let run = Command::new("bash")
        .args(["--norc", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bash runs");
    let text = String::from_utf8_lossy(&run.stdout);
    for word in ["summary", "gpt_ext4", "debian", "bookworm", "--bootable"] {
        assert!(text.lines().any(|line| line == word), "{word}: {text}");
    }
}
