//! Repository files (`*.repo`) of a project or of the host, as dnf.conf(5) and zypper(8) describe them.
//!
//! They say where repositories are and whose keys sign them. They do not say whether signatures are
//! checked: `RepositoryKeyCheck=` does, and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::rpm::{Location, RpmKey, RpmSource};
use super::{RpmRepositories, Wanted};

/// Where hosts have theirs: dnf's and zypper's.
pub const HOST_DIRECTORIES: [&str; 2] = ["/etc/yum.repos.d", "/etc/zypp/repos.d"];

/// Names and values of a section, in the order in which they stand.
type Values = Vec<(String, String)>;

/// A repository in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    source: RpmSource,
    /// Used without being asked for.
    enabled: bool,
    /// The tree has the file already.
    in_tree: bool,
}

impl Listed {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.source.id
    }

    /// The same from a file of a skeleton tree: the image has it, and a build uses it when asked to.
    #[must_use]
    pub fn of_skeleton(self) -> Self {
        Self {
            enabled: false,
            in_tree: true,
            ..self
        }
    }
}

/// The repositories in all `*.repo` files of these directories.
///
/// # Errors
/// What is wrong with a directory or a file, for people.
pub fn read(directories: &[PathBuf], check_keys: bool) -> Result<Vec<Listed>, String> {
    let mut listed: Vec<Listed> = Vec::new();
    for directory in directories {
        let failed = |e: io::Error| format!("cannot read {}: {e}", shown(directory));
        let entries = fs::read_dir(directory).map_err(failed)?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|suffix| suffix == "repo") {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            let text = fs::read_to_string(&path)
                .map_err(|e| format!("cannot read {}: {e}", shown(&path)))?;
            let found = parse(&text, check_keys).map_err(|e| format!("{}:{e}", shown(&path)))?;
            for one in found {
                listed.retain(|other| other.source.id != one.source.id);
                listed.push(one);
            }
        }
    }
    Ok(listed)
}

fn shown(path: &Path) -> String {
    crate::host::printable_path(path)
}

/// Everything in one file; the error begins with the number of its line.
fn parse(text: &str, check_keys: bool) -> Result<Vec<Listed>, String> {
    let mut sections: Vec<(usize, String, Values)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(id) = trimmed.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
                return Err(format!(
                    "{number}: \"{}\" is no name of a repository: letters, digits and - _ . : are allowed",
                    id.escape_debug()
                ));
            }
            sections.push((number, id.to_owned(), Vec::new()));
            continue;
        }
        let Some((_, _, values)) = sections.last_mut() else {
            return Err(format!("{number}: expected [REPOSITORY] first"));
        };
        if line.starts_with(char::is_whitespace) {
            // A further line of the value above.
            if let Some((_, value)) = values.last_mut() {
                value.push(' ');
                value.push_str(trimmed);
                continue;
            }
        }
        let Some((name, value)) = trimmed.split_once('=') else {
            return Err(format!("{number}: expected NAME=VALUE"));
        };
        values.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let repositories = sections.into_iter().filter(|(_, id, _)| id != "main");
    repositories
        .map(|(number, id, values)| {
            one(&id, &values, check_keys).map_err(|e| format!("{number}: {e}"))
        })
        .collect()
}

fn one(id: &str, values: &[(String, String)], check_keys: bool) -> Result<Listed, String> {
    let value = |name: &str| {
        let found = values.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let is_on = |text: &str| {
        matches!(
            text.to_ascii_lowercase().as_str(),
            "1" | "yes" | "true" | "on"
        )
    };
    let first = |text: &str| {
        let mut words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
        words.next().unwrap_or_default().to_owned()
    };
    let location = match (value("baseurl"), value("metalink"), value("mirrorlist")) {
        (Some(url), _, _) => Location::BaseUrl(first(url)),
        (None, Some(url), _) => Location::Metalink(first(url)),
        (None, None, Some(url)) => Location::MirrorList(first(url)),
        (None, None, None) => {
            return Err(format!(
                "[{id}] has none of baseurl, metalink and mirrorlist"
            ));
        }
    };
    let keys = value("gpgkey").unwrap_or_default();
    let keys = keys.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let printable: String = value("name")
        .unwrap_or(id)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Ok(Listed {
        source: RpmSource {
            id: id.to_owned(),
            name: printable,
            location,
            keys: (1..)
                .zip(keys)
                .filter_map(|(nth, url)| key(id, nth, url))
                .collect(),
            check_packages: check_keys,
            check_metadata: check_keys && value("repo_gpgcheck").is_some_and(is_on),
            added: true,
        },
        enabled: value("enabled").is_none_or(is_on),
        in_tree: false,
    })
}

/// A key, unless there is no safe way to it: what comes over plain http could be anybody's.
fn key(id: &str, nth: usize, url: &str) -> Option<RpmKey> {
    if let Some(path) = url.strip_prefix("file://") {
        let path = Path::new(path);
        return Some(RpmKey {
            name: path.file_name()?.to_str()?.to_owned(),
            file: path.is_file().then(|| path.to_owned()),
            url: String::new(),
        });
    }
    url.starts_with("https://").then(|| RpmKey {
        name: format!("{id}-{nth}.asc"),
        file: None,
        url: url.to_owned(),
    })
}

/// Names in `Repositories=` that these files do not explain.
#[must_use]
pub fn unexplained(names: &[String], listed: &[Listed]) -> Vec<String> {
    let is_listed = |name: &&String| listed.iter().any(|one| one.source.id == **name);
    names
        .iter()
        .filter(|name| !is_listed(name))
        .cloned()
        .collect()
}

/// Adds those that are in use: enabled in their files, or named in `names`. A repository of the
/// distribution with the same name gives way.
pub fn add(rpm: &mut RpmRepositories, listed: Vec<Listed>, names: &[String], wanted: &Wanted<'_>) {
    for one in listed {
        if !one.enabled && !names.contains(&one.source.id) {
            continue;
        }
        let files = one.source.keys.iter().filter_map(|key| key.file.clone());
        rpm.key_files
            .extend(files.filter(|_| one.source.check_packages));
        // `LocalMirror=` is the only repository of a build that has one.
        let mut lists = Vec::new();
        if !one.in_tree {
            lists.push(&mut rpm.image_sources);
        }
        if wanted.local_mirror.is_none() {
            lists.push(&mut rpm.sources);
        }
        for list in lists {
            list.retain(|other| other.id != one.source.id);
            list.push(one.source.clone());
        }
    }
    rpm.key_files.sort();
    rpm.key_files.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Comment\n[main]\nplugins=1\n[asahi]\nname=Asahi\nbaseurl=https://a/$releasever/$basearch/,\n\
                        \thttps://b/\nenabled=0\ngpgcheck=0\nrepo_gpgcheck=1\n\
                        gpgkey=file:///nowhere/RPM-GPG-KEY-x https://k/key http://k/insecure\n\n\
                        [second]\nmetalink = https://m/\n";

    #[test]
    fn files_say_where_and_whose() {
        let listed = parse(FILE, true).unwrap();
        assert_eq!(listed.len(), 2);
        let asahi = &listed[0];
        assert!(!asahi.enabled);
        let location = Location::BaseUrl("https://a/$releasever/$basearch/".into());
        assert_eq!(asahi.source.location, location);
        assert!(asahi.source.check_packages, "a file cannot switch that off");
        assert!(asahi.source.check_metadata);
        let keys: Vec<&str> = asahi
            .source
            .keys
            .iter()
            .map(|key| key.name.as_str())
            .collect();
        assert_eq!(keys, ["RPM-GPG-KEY-x", "asahi-2.asc"]);
        assert!(listed[1].enabled);
        assert_eq!(
            listed[1].source.location,
            Location::Metalink("https://m/".into())
        );
        let unchecked = parse(FILE, false).unwrap();
        assert!(!unchecked[0].source.check_packages && !unchecked[0].source.check_metadata);
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, expected) in [
            ("name=x\n", "1: expected [REPOSITORY]"),
            ("[a]\nnonsense\n", "2: expected NAME=VALUE"),
            ("\n[../a]\n", "2: \"../a\" is no name"),
            ("[a]\nname=x\n", "1: [a] has none of baseurl"),
        ] {
            let error = parse(text, true).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn later_files_win_and_other_files_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.repo", "[x]\nbaseurl=https://old/\n"),
            ("b.repo", "[x]\nbaseurl=https://new/\n"),
            ("c.repo~", "nonsense\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let listed = read(&[dir.path().to_owned()], true).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].source.location.address(), "https://new/");
        let names = ["x".to_owned(), "y".to_owned()];
        assert_eq!(unexplained(&names, &listed), ["y"]);
        assert!(read(&[dir.path().join("gone")], true).is_err());
    }
}
