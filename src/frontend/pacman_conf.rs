//! The `pacman.conf` beside an `IMGBUILD`: what it says of repositories, packages and trust.
//!
//! It is read here rather than handed to pacman, which runs as root and would follow its paths, run its
//! commands, and believe it when it says that signatures do not matter.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::message::{Escaped, Excerpt};
use crate::config::{ConfigError, PacmanConf, PacmanSection, Preset, Warning};
use crate::distro::arch::is_repository_name;
use crate::distro::location;

/// The file's name.
pub(super) const FILE: &str = "pacman.conf";
/// Where hosts have lists of servers.
const HOST_LISTS: &str = "/etc/pacman.d";
/// Where hosts have pacman's keys.
const HOST_KEYS: &str = "/etc/pacman.d/gnupg";
/// How deep files may include each other; pacman's own limit.
const DEEPEST: usize = 10;

/// Options that change what is installed, and nothing else: pacman gets them as they are.
const PASSED_ON: [&str; 6] = [
    "DisableDownloadTimeout",
    "IgnoreGroup",
    "IgnorePkg",
    "NoExtract",
    "NoUpgrade",
    "ParallelDownloads",
];
/// Options that only change what pacman prints or asks, or that are for other commands of it.
const WITHOUT_EFFECT: [&str; 10] = [
    "CheckSpace",
    "CleanMethod",
    "Color",
    "HoldPkg",
    "ILoveCandy",
    "LocalFileSigLevel",
    "NoProgressBar",
    "RemoteFileSigLevel",
    "UseSyslog",
    "VerbosePkgLists",
];
/// Options that a build decides.
const DECIDED: [&str; 9] = [
    "CacheDir",
    "DBPath",
    "DisableSandbox",
    "DisableSandboxFilesystem",
    "DisableSandboxSyscalls",
    "DownloadUser",
    "HookDir",
    "LogFile",
    "RootDir",
];

/// How far signatures are checked.
#[derive(Clone, Copy, Default)]
struct Level {
    signed_database: bool,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    line: u32,
}

struct Reader<'a> {
    directory: &'a Path,
    conf: PacmanConf,
    preset: &'a mut Preset,
    /// The section that is being read; `options`, or a repository.
    section: Option<String>,
    general: Level,
    /// Words of each repository's `SigLevel`.
    levels: Vec<Option<Level>>,
}

/// Reads the project's file, if it has one. What is wrong with it is added to `preset`.
pub(super) fn read(directory: &Path, preset: &mut Preset) -> Option<PacmanConf> {
    let path = directory.join(FILE);
    if fs::symlink_metadata(&path).is_err() {
        return None;
    }
    let host_keys = Path::new(HOST_KEYS);
    let mut reader = Reader {
        directory,
        conf: PacmanConf {
            key_directory: host_keys.is_dir().then(|| host_keys.to_owned()),
            ..PacmanConf::default()
        },
        preset,
        section: None,
        general: Level::default(),
        levels: Vec::new(),
    };
    match beneath(directory, &path).and_then(fs::read_to_string) {
        Ok(text) => reader.text(&text, Path::new(FILE), 0),
        Err(source) => reader
            .preset
            .errors
            .push(ConfigError::Read { path, source }),
    }
    Some(reader.finish())
}

/// The path, when it leads to something in the directory.
pub(super) fn beneath(directory: &Path, path: &Path) -> io::Result<PathBuf> {
    let (directory, path) = (directory.canonicalize()?, path.canonicalize()?);
    if path.starts_with(directory) {
        return Ok(path);
    }
    Err(io::Error::other("it leads out of the project"))
}

impl Reader<'_> {
    fn text(&mut self, text: &str, file: &Path, depth: usize) {
        for (line, number) in text.lines().zip(1_u32..) {
            let line = line.trim();
            let place = Place { file, line: number };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                self.begin(name, place);
                continue;
            }
            let (key, value) = match line.split_once('=') {
                Some((key, value)) => (key.trim_end(), value.trim_start()),
                None => (line, ""),
            };
            if value.contains(char::is_control) {
                self.wrong(place, format!("{}: control characters", Excerpt(key)));
            } else if key == "Include" {
                self.include(value, place, depth);
            } else {
                match self.section.as_deref() {
                    None => self.wrong(place, "a [section] must come first"),
                    Some("options") => self.option(key, value, place),
                    Some(_) => self.of_repository(key, value, place),
                }
            }
        }
    }

    fn begin(&mut self, name: &str, place: Place<'_>) {
        self.section = Some(name.to_owned());
        if name == "options" {
            return;
        }
        if !is_repository_name(name) {
            self.wrong(place, format!("[{}] cannot be a repository", Excerpt(name)));
        }
        self.conf.repositories.push(PacmanSection {
            name: name.to_owned(),
            ..PacmanSection::default()
        });
        self.levels.push(None);
    }

    fn option(&mut self, key: &str, value: &str, place: Place<'_>) {
        match key {
            "SigLevel" => self.general = self.level(self.general, value, place),
            "Architecture" => {
                let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
                if words.iter().any(|word| !word.chars().all(known)) {
                    self.wrong(place, format!("Architecture = {}", Excerpt(value)));
                }
                self.conf.architectures.extend(words);
            }
            "GPGDir" => {
                let path = self.directory.join(value);
                match beneath(self.directory, &path) {
                    Ok(path) => self.conf.key_directory = Some(path),
                    Err(_) if Path::new(value.trim_end_matches('/')) == Path::new(HOST_KEYS) => {}
                    Err(error) => self.wrong(
                        place,
                        format!(
                            "GPGDir = {}: {error}; expected {HOST_KEYS}, or a directory of the project",
                            Excerpt(value)
                        ),
                    ),
                }
            }
            "XferCommand" => self.warn(place, "XferCommand has no effect: pacman downloads itself"),
            _ if PASSED_ON.contains(&key) => self.conf.options.push(match value {
                "" => key.to_owned(),
                value => format!("{key} = {value}"),
            }),
            _ if WITHOUT_EFFECT.contains(&key) => {}
            _ if DECIDED.contains(&key) => {
                let text = format!("{key} has no effect: where a build works is its own business");
                self.warn(place, &text);
            }
            _ => {
                let text = format!("{} is not an option that is known here", Excerpt(key));
                self.warn(place, &text);
            }
        }
    }

    fn of_repository(&mut self, key: &str, value: &str, place: Place<'_>) {
        match key {
            "Server" => {
                if !location::is_one_word(value) || !value.contains(":/") {
                    let text = format!("Server = {}: expected one address", Excerpt(value));
                    self.wrong(place, text);
                } else if let Some(repository) = self.conf.repositories.last_mut() {
                    repository
                        .servers
                        .push(value.trim_end_matches('/').to_owned());
                }
            }
            "SigLevel" => {
                let before = self.levels.last().copied().flatten();
                let level = self.level(before.unwrap_or(self.general), value, place);
                if let Some(last) = self.levels.last_mut() {
                    *last = Some(level);
                }
            }
            _ => {
                let text = format!(
                    "{} has no effect in a repository; Server, SigLevel and Include do",
                    Excerpt(key)
                );
                self.warn(place, &text);
            }
        }
    }

    /// What `SigLevel` comes to. Packages are always checked; what else it says of them is remembered.
    fn level(&mut self, before: Level, value: &str, place: Place<'_>) -> Level {
        let mut level = before;
        let mut unsigned = false;
        for word in value.split_whitespace() {
            let (of_database, what) = match word.strip_prefix("Database") {
                Some(what) => (true, what),
                None => (false, word.strip_prefix("Package").unwrap_or(word)),
            };
            let of_package = !of_database;
            let of_both = of_package && what == word;
            match what {
                "Required" if of_database || of_both => level.signed_database = true,
                "Never" | "Optional" => {
                    unsigned |= of_package;
                    level.signed_database &= !(of_database || of_both);
                }
                "TrustAll" => unsigned |= of_package,
                "Required" | "TrustedOnly" => {}
                _ => self.wrong(place, format!("SigLevel = {}", Excerpt(value))),
            }
        }
        if unsigned {
            let shown = format!("{place}: SigLevel = {}", Excerpt(value));
            self.conf.unsigned.push(shown);
        }
        level
    }

    fn include(&mut self, value: &str, place: Place<'_>, depth: usize) {
        let path = Path::new(value);
        let shown = format!("Include = {}", Excerpt(value));
        if depth >= DEEPEST {
            return self.wrong(place, format!("{shown}: files include each other"));
        }
        if value.contains(['*', '?', '[']) {
            let text = format!("{shown}: patterns are not understood here; name each file");
            return self.wrong(place, text);
        }
        let of_host = path.parent() == Some(Path::new(HOST_LISTS));
        let in_repository = self
            .section
            .as_deref()
            .is_some_and(|name| name != "options");
        if of_host && in_repository {
            if let Some(repository) = self.conf.repositories.last_mut() {
                repository.uses_host_list = true;
            }
            if !path.exists() {
                // Mirror= stands in.
                return;
            }
        }
        let found = match of_host {
            true => Ok(path.to_owned()),
            false => beneath(self.directory, &self.directory.join(path)),
        };
        match found.and_then(fs::read_to_string) {
            Ok(text) => self.text(&text, path, depth + 1),
            Err(error) => self.wrong(
                place,
                format!("{shown}: {error}; expected a file of the project, or one in {HOST_LISTS}"),
            ),
        }
    }

    fn finish(mut self) -> PacmanConf {
        let levels = std::mem::take(&mut self.levels);
        let mut lacking = Vec::new();
        for (repository, level) in self.conf.repositories.iter_mut().zip(levels) {
            repository.signed_database = level.unwrap_or(self.general).signed_database;
            if repository.servers.is_empty() && !repository.uses_host_list {
                lacking.push(repository.name.clone());
            }
        }
        let file = Path::new(FILE);
        for name in lacking {
            let why = format!("{}: [{}] has no Server", file.display(), Excerpt(&name));
            self.preset.errors.push(ConfigError::Conflict(why));
        }
        if self.conf.repositories.is_empty() {
            let why = format!("{FILE}: it names no repository");
            self.preset.errors.push(ConfigError::Conflict(why));
        }
        self.conf
    }

    fn wrong(&mut self, place: Place<'_>, what: impl Into<String>) {
        self.preset.errors.push(ConfigError::Syntax {
            file: place.file.to_owned(),
            line: place.line,
            what: what.into(),
        });
    }

    fn warn(&mut self, place: Place<'_>, what: &str) {
        self.preset
            .warnings
            .push(Warning(format!("{place}: {what}")));
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", Escaped(&self.file.to_string_lossy()), self.line)
    }
}

#[cfg(test)]
#[path = "pacman_conf_tests.rs"]
mod tests;
