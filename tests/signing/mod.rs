//! Keys that sign repositories of the tests' own.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{finish, tool};

/// A key, in a home of its own.
pub struct Key {
    pub home: tempfile::TempDir,
    pub fingerprint: String,
}

impl Key {
    pub fn new(name: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("key-")
            .tempdir()
            .expect("a directory");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
        let mut key = Self {
            home,
            fingerprint: String::new(),
        };
        key.gpg(&[
            "--passphrase",
            "",
            "--quick-generate-key",
            name,
            "ed25519",
            "sign",
            "never",
        ]);
        let listed = key.gpg(&["--with-colons", "--list-keys"]);
        key.fingerprint = listed
            .lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::")?.strip_suffix(':'))
            .expect("a fingerprint")
            .to_owned();
        key
    }

    pub fn gpg(&self, words: &[&str]) -> String {
        let home = self.home.path().to_string_lossy();
        let mut all = vec!["--homedir", &home, "--batch", "--yes", "--quiet"];
        all.extend(words);
        let said = tool("gpg", &all);
        // A test that is killed must leave no process.
        let mut command = Command::new("gpgconf");
        command.args(["--homedir", &home, "--kill", "all"]);
        finish(command);
        said
    }

    /// Writes a detached signature beside a file.
    pub fn sign(&self, file: &Path) {
        self.gpg(&["--detach-sign", &file.to_string_lossy()]);
    }

    /// Writes the public key, binary.
    pub fn export(&self, file: &Path) {
        fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        self.gpg(&["--output", &file.to_string_lossy(), "--export"]);
    }
}
