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
        // What could be copied is not divided: a line that ends in a hyphen would add it.
        let divided: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with('\u{2010}'))
            .collect();
        assert_eq!(divided, [""; 0], "{page}");
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

/// Command lines, and words that are offered at the end of each.
const OFFERED: &[(&str, &[&str])] = &[
    ("summ", &["summary"]),
    ("--format gpt_e", &["gpt_ext4"]),
    ("--format=gpt_s", &["gpt_squashfs"]),
    ("--distribution deb", &["debian"]),
    ("--release=bookw", &["bookworm"]),
    ("--boota", &["--bootable"]),
    ("completion ", &["bash", "zsh", "fish", "elvish"]),
    ("modes a", &["apply"]),
    ("secrets ", &["reveal"]),
    ("--default mkosi.default.ex", &["mkosi.default.example"]),
];

/// Whether a shell that was given the command lines, each after a line with it, offers the words.
fn offers(mut shell: Command) {
    let run = shell
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the shell runs");
    let text = String::from_utf8_lossy(&run.stdout);
    for (line, words) in OFFERED {
        let start = format!("== {line}\n");
        let (_, answer) = text.split_once(&start).expect("an answer");
        let answer = answer.split("== ").next().expect("an answer");
        // Some shells offer the whole argument.
        let offered: Vec<&str> = answer
            .split_whitespace()
            .map(|word| word.rsplit_once('=').map_or(word, |(_, value)| value))
            .collect();
        for word in *words {
            assert!(offered.contains(word), "{line}: {word} in {answer}");
        }
    }
}

/// bash takes the script and completes with it; `=` ends a word there.
#[test]
fn bash_completes() {
    let mut script = String::from(
        r#"
        source completions/bash/mkosi
        try() {
            echo "== $1"
            local line="mkosi ${1//=/ = }"
            read -ra COMP_WORDS <<<"$line"
            [[ "$line" != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            local function=$(complete -p mkosi | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" mkosi "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}"
        }
        "#,
    );
    for (line, _) in OFFERED {
        script.push_str(&format!("try '{line}'\n"));
    }
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]);
    offers(bash);
}

#[test]
fn fish_completes() {
    let mut script = String::from("source completions/fish/mkosi.fish\n");
    for (line, _) in OFFERED {
        script.push_str(&format!("echo '== {line}'; complete -C 'mkosi {line}'\n"));
    }
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", &script]);
    offers(fish);
}
