//! A project in a temporary directory, for tests of this folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{Config, Context, Errors, Loaded, load};
use crate::cli;

/// A project and the command line it is used with.
pub(crate) struct Fixture {
    dir: TempDir,
    args: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Fixture {
    /// An empty project on a Debian bookworm host.
    pub fn new() -> Self {
        let fixture = Self {
            dir: TempDir::new().unwrap(),
            args: Vec::new(),
            variables: BTreeMap::new(),
        };
        fixture
            .file(
                "host/etc/os-release",
                "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
            )
            .file(
                "host/etc/passwd",
                "root:x:0:0::/root:/bin/sh\nann:x:1:1::/home/ann:/bin/sh\n",
            )
            .directory("p")
    }

    /// A project with these settings.
    pub fn with(settings: &str) -> Self {
        Self::new().project_file("mkosi.default", settings, 0o644)
    }

    /// Writes a file outside the project.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes a file of the project.
    pub fn project_file(self, name: &str, text: &str, mode: u32) -> Self {
        let fixture = self.file(&format!("p/{name}"), text);
        let path = fixture.dir.path().join("p").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fixture
    }

    /// Makes a directory.
    pub fn directory(self, name: &str) -> Self {
        fs::create_dir_all(self.dir.path().join(name)).unwrap();
        self
    }

    /// Adds words to the command line.
    pub fn args(mut self, words: &str) -> Self {
        self.args
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one word to the command line.
    pub fn arg(mut self, word: &str) -> Self {
        self.args.push(word.to_owned());
        self
    }

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The context of the project.
    pub fn context(&self) -> Context {
        let root = self.dir.path();
        Context::new(root.join("p"), self.variables.clone(), root.join("host"))
    }

    /// Reads the project.
    pub fn load(&self) -> Result<Loaded, Errors> {
        let invocation = cli::parse(self.args.iter().map(Into::into)).unwrap();
        load(&invocation.request, &self.context())
    }

    /// The configuration of a project without errors.
    pub fn config(&self) -> Config {
        self.load()
            .unwrap_or_else(|errors| panic!("{errors}"))
            .config
    }

    /// The warnings of a project without errors.
    pub fn warnings(&self) -> Vec<String> {
        let loaded = self.load().unwrap_or_else(|errors| panic!("{errors}"));
        loaded.warnings.iter().map(ToString::to_string).collect()
    }

    /// The errors of a project that has some.
    pub fn errors(&self) -> Vec<String> {
        let errors = self.load().expect_err("the project has errors");
        errors.errors.iter().map(ToString::to_string).collect()
    }

    /// One setting as `--json` shows it, with the project's directory as `$P`.
    pub fn json(&self, setting: &str) -> String {
        let config = self.config();
        let row = super::SETTINGS
            .iter()
            .find(|row| row.spec.name == setting)
            .unwrap();
        let text = (row.json)(&config).to_string();
        text.replace(&*self.dir.path().join("p").to_string_lossy(), "$P")
    }
}
