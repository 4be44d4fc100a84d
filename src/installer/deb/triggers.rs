//! Triggers (deb-triggers(5)): which packages want to know of a change, and which changes there were.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::control::Package;
use super::outcome::Unpacked;
use crate::tree::archive::Fault;
use crate::tree::{Root, TreeError};

const DIRECTORY: &str = "var/lib/dpkg/triggers";
const FILE: &str = "var/lib/dpkg/triggers/File";
const UNINCORPORATED: &str = "var/lib/dpkg/triggers/Unincorp";

/// A line of a package's `triggers` file.
#[derive(Debug, PartialEq, Eq)]
struct Directive {
    interest: bool,
    /// Whether a package that activates the trigger is not configured before it was processed.
    awaits: bool,
    name: String,
}

fn directives(text: &[u8]) -> Result<Vec<Directive>, Fault> {
    let mut all = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else {
            continue;
        };
        let name = words.next();
        let (interest, awaits) = match word {
            "interest" | "interest-await" => (true, true),
            "interest-noawait" => (true, false),
            "activate" | "activate-await" => (false, true),
            "activate-noawait" => (false, false),
            _ => {
                return Err(Fault::new(format!(
                    "its triggers have the unknown directive {}",
                    word.escape_debug()
                )));
            }
        };
        let name = name
            .filter(|name| is_name(name))
            .ok_or_else(|| Fault::new("its triggers have a directive without a valid name"))?;
        all.push(Directive {
            interest,
            awaits,
            name: name.to_owned(),
        });
    }
    Ok(all)
}

/// Names of triggers are names of files, too, unless they are paths themselves.
fn is_name(name: &str) -> bool {
    let graphic = name.bytes().all(|byte| byte.is_ascii_graphic());
    let path = name.starts_with('/');
    graphic && (path || (!name.contains('/') && !name.starts_with('.')))
}

/// Everything of a package's triggers that is to be noted, in memory.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// `File`: the paths that packages are interested in, as lines.
    paths: Vec<String>,
    /// The other triggers' files, by name.
    named: BTreeMap<String, Vec<String>>,
    /// Changes that interested packages have not been told of: who waits, by trigger.
    pending: BTreeMap<String, BTreeSet<String>>,
}

impl Triggers {
    /// Those that the tree has.
    pub fn of(root: &Root) -> Result<Self, TreeError> {
        let text = root.read_if_present(FILE)?.unwrap_or_default();
        let mut triggers = Self {
            paths: lines(&text),
            ..Self::default()
        };
        let text = root.read_if_present(UNINCORPORATED)?.unwrap_or_default();
        for line in lines(&text) {
            let mut words = line.split(' ').map(str::to_owned);
            if let Some(name) = words.next() {
                triggers.pending.entry(name).or_default().extend(words);
            }
        }
        if root.is_dir(DIRECTORY)? {
            for entry in root.list(DIRECTORY)? {
                let name = entry.name.to_string_lossy().into_owned();
                // Names of triggers are in lower case.
                if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    let path = Path::new(DIRECTORY).join(&entry.name);
                    let text = root.read_if_present(path)?.unwrap_or_default();
                    triggers.named.insert(name, lines(&text));
                }
            }
        }
        Ok(triggers)
    }

    /// Notes what a package that was unpacked is interested in.
    pub fn add_interests(&mut self, package: &Package) -> Result<(), Fault> {
        let Some(file) = package.file("triggers") else {
            return Ok(());
        };
        let owner = package.database_name();
        for directive in directives(&file.content)? {
            if !directive.interest {
                continue;
            }
            let suffix = if directive.awaits { "" } else { "/noawait" };
            if directive.name.starts_with('/') {
                self.paths
                    .push(format!("{} {owner}{suffix}", directive.name));
            } else {
                let lines = self.named.entry(directive.name).or_default();
                lines.push(format!("{owner}{suffix}"));
            }
        }
        Ok(())
    }

    /// Notes what a package that was unpacked has changed, for those interested before it came.
    pub fn activate(&mut self, package: &Package, unpacked: &Unpacked) -> Result<(), Fault> {
        let waiting = package.database_name();
        let mut activated: Vec<(String, bool)> = Vec::new();
        for line in &self.paths {
            let Some((interest, who)) = line.rsplit_once(' ') else {
                continue;
            };
            let beneath = |path: &Vec<u8>| {
                path.strip_prefix(interest.as_bytes())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            };
            if unpacked.paths.iter().any(beneath) {
                activated.push((interest.to_owned(), !who.ends_with("/noawait")));
            }
        }
        if let Some(file) = package.file("triggers") {
            for directive in directives(&file.content)? {
                if !directive.interest && self.named.contains_key(&directive.name) {
                    activated.push((directive.name, directive.awaits));
                }
            }
        }
        for (name, awaits) in activated {
            let waiting = if awaits {
                waiting.clone()
            } else {
                "-".to_owned()
            };
            self.pending.entry(name).or_default().insert(waiting);
        }
        Ok(())
    }

    /// Writes everything down for dpkg.
    pub fn write(&self, root: &Root) -> Result<(), TreeError> {
        self.write_interests(root)?;
        let mut pending = Vec::new();
        for (name, waiting) in &self.pending {
            let mut waiting: Vec<&str> = waiting.iter().map(String::as_str).collect();
            if waiting.len() > 1 {
                waiting.retain(|who| *who != "-");
            }
            pending.push(format!("{name} {}", waiting.join(" ")));
        }
        root.write(UNINCORPORATED, joined(&pending), 0o644)
    }

    fn write_interests(&self, root: &Root) -> Result<(), TreeError> {
        root.write(FILE, joined(&self.paths), 0o644)?;
        for (name, lines) in &self.named {
            root.write(Path::new(DIRECTORY).join(name), joined(lines), 0o644)?;
        }
        Ok(())
    }

    /// Puts the interests of these packages into the packages' order, after those of others: dpkg
    /// would have noted them one package after the other, some of which it has unpacked later here.
    ///
    /// # Errors
    /// When the notes cannot be read or written.
    pub fn arrange(root: &Root, packages: &[Package]) -> Result<(), TreeError> {
        let names: HashMap<String, usize> = packages
            .iter()
            .enumerate()
            .map(|(number, package)| (package.database_name(), number))
            .collect();
        let number = |line: &String| {
            let owner = line.rsplit(' ').next().unwrap_or_default();
            let owner = owner.strip_suffix("/noawait").unwrap_or(owner);
            names.get(owner).copied()
        };
        let mut triggers = Self::of(root)?;
        triggers.paths.sort_by_key(number);
        for lines in triggers.named.values_mut() {
            lines.sort_by_key(number);
        }
        triggers.write_interests(root)
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deb, tar};
    use super::*;

    fn package(name: &str, triggers: &str) -> Package {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
        let control = tar(&[("./control", &control), ("./triggers", triggers)]);
        std::fs::write(&path, deb(&control, &tar(&[]))).unwrap();
        Package::read(path).unwrap()
    }

    #[test]
    fn changes_noted_before_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write(UNINCORPORATED, "ldconfig -\n/x a b\n", 0o644)
            .unwrap();
        Triggers::of(&root).unwrap().write(&root).unwrap();
        assert_eq!(root.read(UNINCORPORATED).unwrap(), b"/x a b\nldconfig -\n");
    }

    #[test]
    fn notes_interests_and_changes() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut triggers = Triggers::default();
        let interested = package(
            "man",
            "# comment\ninterest-noawait /usr/share/man\ninterest ldconfig\ninterest /x\n",
        );
        triggers.add_interests(&interested).unwrap();
        let changing = package("lib", "activate-noawait ldconfig\nactivate nobody\n");
        let unpacked = Unpacked {
            paths: vec![
                b"/usr/share/man/man1".to_vec(),
                b"/x".to_vec(),
                b"/xy".to_vec(),
            ],
            ..Unpacked::default()
        };
        triggers.activate(&changing, &unpacked).unwrap();
        triggers.write(&root).unwrap();
        let text = |path| String::from_utf8(root.read(path).unwrap()).unwrap();
        assert_eq!(text(FILE), "/usr/share/man man/noawait\n/x man\n");
        assert_eq!(text("var/lib/dpkg/triggers/ldconfig"), "man\n");
        assert_eq!(
            text(UNINCORPORATED),
            "/usr/share/man -\n/x lib\nldconfig -\n"
        );
        let again = Triggers::of(&root).unwrap();
        assert_eq!(again.paths, triggers.paths);
        assert_eq!(again.named, triggers.named);
    }

    #[test]
    fn interests_end_up_in_the_order_of_packages() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write(FILE, "/b two\n/a one/noawait\n/z old\n/c two\n", 0o644)
            .unwrap();
        let named = Path::new(DIRECTORY).join("ldconfig");
        root.write(&named, "two/noawait\none\n", 0o644).unwrap();
        root.write(UNINCORPORATED, "/x a b\n", 0o644).unwrap();
        Triggers::arrange(&root, &[package("one", ""), package("two", "")]).unwrap();
        let text = |path: &Path| String::from_utf8(root.read(path).unwrap()).unwrap();
        assert_eq!(
            text(FILE.as_ref()),
            "/z old\n/a one/noawait\n/b two\n/c two\n"
        );
        assert_eq!(text(&named), "one\ntwo/noawait\n");
        assert_eq!(text(UNINCORPORATED.as_ref()), "/x a b\n");
    }

    #[test]
    fn refuses_names_that_lead_elsewhere() {
        for text in [
            "interest ../x\n",
            "interest\n",
            "watch /x\n",
            "activate .x\n",
        ] {
            let mut triggers = Triggers::default();
            assert!(
                triggers.add_interests(&package("x", text)).is_err(),
                "{text}"
            );
        }
    }
}
