//! What is true of repositories of RPM packages, whichever package manager reads them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Wanted;

/// Where hosts keep the keys of many distributions (package distribution-gpg-keys), in a directory for
/// each.
const KEY_COLLECTION: &str = "/usr/share/distribution-gpg-keys";
/// Where distributions keep their own keys.
pub const KEY_DIRECTORY: &str = "/etc/pki/rpm-gpg";

/// Repositories of RPM packages.
#[derive(Clone, Debug, Serialize)]
pub struct RpmRepositories {
    /// Those that are used while building.
    pub sources: Vec<RpmSource>,
    /// Those that the image itself is set up with, where its packages do not do that.
    pub image_sources: Vec<RpmSource>,
    /// `$releasever`.
    pub release_version: String,
    /// The platform whose modules fit, as in `platform:el9`.
    pub module_platform: Option<String>,
    /// Where the image's own rpm looks for its database.
    pub database: RpmDatabase,
    /// Files of the host with keys.
    pub key_files: Vec<PathBuf>,
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RpmSource {
    /// Its short name, unique among all.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// The keys of its packages.
    pub keys: Vec<RpmKey>,
    /// Packages must be signed.
    pub check_packages: bool,
    /// Its list of packages must be signed.
    pub check_metadata: bool,
    /// The project added it; the distribution knows nothing of it.
    pub added: bool,
}

/// How a repository is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Location {
    /// At this address.
    BaseUrl(String),
    /// At one of the addresses in this signed list of mirrors.
    Metalink(String),
    /// At one of the addresses in this list.
    MirrorList(String),
}

impl Location {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::BaseUrl(url) | Self::Metalink(url) | Self::MirrorList(url) => url,
        }
    }

    /// The directory, for a repository on this host's disk.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::BaseUrl(url) => local_path(url),
            _ => None,
        }
    }
}

/// A key that signs packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RpmKey {
    /// The name of its file, as in `RPM-GPG-KEY-EPEL-9`.
    pub name: String,
    /// The file, if the host has it.
    pub file: Option<PathBuf>,
    /// Where it is published, over https; empty if nowhere.
    pub url: String,
}

impl RpmKey {
    /// The key called `name`, which the collection of keys has in `directory`.
    #[must_use]
    pub fn find(directory: &str, name: &str, url: impl Into<String>) -> Self {
        let collection = Path::new(KEY_COLLECTION).join(directory);
        let file = [collection, PathBuf::from(KEY_DIRECTORY)]
            .into_iter()
            .map(|directory| directory.join(name))
            .find(|path| path.is_file());
        Self {
            name: name.to_owned(),
            file,
            url: url.into(),
        }
    }
}

/// The database of installed packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RpmDatabase {
    /// Its directory in the image.
    pub path: &'static str,
    /// The format that the image's own rpm reads.
    pub format: DatabaseFormat,
}

/// Formats of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DatabaseFormat {
    /// Berkeley DB, which rpm 4.16 was the last to write.
    Bdb,
    /// SQLite, since rpm 4.16.
    Sqlite,
    /// rpm's own, which SUSE uses.
    Ndb,
}

impl RpmDatabase {
    /// Where rpm had it always.
    pub const OLD_PATH: &'static str = "/var/lib/rpm";
    /// Where systems that can be rolled back as a whole have it.
    pub const NEW_PATH: &'static str = "/usr/lib/sysimage/rpm";
}

/// A repository of a distribution, before it is known which mirror it comes from.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its short name.
    pub id: &'static str,
    /// Used without being asked for.
    pub enabled: bool,
    /// Where it is without a mirror.
    pub location: Location,
    /// Its path on a mirror.
    pub path: String,
    /// Whose keys sign it.
    pub keys: Vec<RpmKey>,
}

/// What a distribution has to say about its repositories.
#[derive(Clone, Debug)]
pub struct Offers {
    /// The distribution's name, for people.
    pub distribution: &'static str,
    /// Its repositories; the first of those in use must exist.
    pub offers: Vec<Offer>,
    /// Whether the lists of packages are signed.
    pub signs_metadata: bool,
    /// The address that stands for "no mirror".
    pub default_mirror: Option<&'static str>,
}

impl Offers {
    /// Refuses names that no repository has.
    ///
    /// # Errors
    /// The names there are, for people.
    pub fn check(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        let known: Vec<&str> = self.offers.iter().map(|offer| offer.id).collect();
        let unknown = wanted
            .additional
            .iter()
            .find(|name| !is_address(name) && !known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some(name) => Err(format!(
                "{} {} has no repository \"{}\"; it has {}; a URL adds another one",
                self.distribution,
                wanted.release,
                name.escape_debug(),
                known.join(", ")
            )),
        }
    }

    /// The repositories to build from.
    #[must_use]
    pub fn build(&self, wanted: &Wanted<'_>) -> Vec<RpmSource> {
        let Some(local) = wanted.local_mirror else {
            return self.image(wanted);
        };
        let keys = self.offers.first().map(|offer| offer.keys.clone());
        vec![RpmSource {
            id: "local-mirror".to_owned(),
            name: "local mirror".to_owned(),
            location: Location::BaseUrl(address(local)),
            keys: keys.unwrap_or_default(),
            check_packages: wanted.check_keys,
            check_metadata: self.signs_metadata && wanted.check_keys,
            added: false,
        }]
    }

    /// The repositories of the image.
    #[must_use]
    pub fn image(&self, wanted: &Wanted<'_>) -> Vec<RpmSource> {
        let mirror = wanted
            .mirror
            .filter(|mirror| Some(*mirror) != self.default_mirror)
            .map(address);
        let asked =
            |offer: &&Offer| offer.enabled || wanted.additional.iter().any(|name| name == offer.id);
        let mut sources = Vec::new();
        for offer in self.offers.iter().filter(asked) {
            let location = match &mirror {
                None => offer.location.clone(),
                Some(mirror) => match on_mirror(mirror, offer, sources.is_empty()) {
                    Some(url) => Location::BaseUrl(url),
                    None => continue,
                },
            };
            if sources
                .iter()
                .any(|source: &RpmSource| source.location == location)
            {
                continue;
            }
            sources.push(RpmSource {
                id: offer.id.to_owned(),
                name: format!("{} {} - {}", self.distribution, wanted.release, offer.id),
                location,
                keys: offer.keys.clone(),
                check_packages: wanted.check_keys,
                check_metadata: self.signs_metadata && wanted.check_keys,
                added: false,
            });
        }
        let added = wanted.additional.iter().filter(|name| is_address(name));
        for (nth, url) in added.enumerate() {
            sources.push(RpmSource {
                id: format!("added-{}", nth + 1),
                name: format!("added repository {}", nth + 1),
                location: Location::BaseUrl(address(url)),
                // Only the project knows who signs it.
                keys: Vec::new(),
                check_packages: wanted.check_keys,
                check_metadata: false,
                added: true,
            });
        }
        sources
    }

    /// Everything about them.
    #[must_use]
    pub fn repositories(
        &self,
        wanted: &Wanted<'_>,
        release_version: &str,
        module_platform: Option<String>,
        database: RpmDatabase,
    ) -> RpmRepositories {
        let sources = self.build(wanted);
        let mut key_files: Vec<PathBuf> = sources
            .iter()
            .filter(|source| source.check_packages)
            .flat_map(|source| source.keys.iter().filter_map(|key| key.file.clone()))
            .collect();
        key_files.sort();
        key_files.dedup();
        RpmRepositories {
            sources,
            image_sources: self.image(wanted),
            release_version: release_version.to_owned(),
            module_platform,
            database,
            key_files,
        }
    }
}

/// The address of a repository on a mirror. On the disk it may be missing, unless it is the first;
/// a directory that is a repository itself is all there shall be.
fn on_mirror(mirror: &str, offer: &Offer, first: bool) -> Option<String> {
    let url = format!("{mirror}/{}", offer.path);
    let Some(directory) = local_path(mirror) else {
        return Some(url);
    };
    let is_repository = |path: &Path| path.join("repodata/repomd.xml").exists();
    if is_repository(directory) {
        return Some(mirror.to_owned());
    }
    (first || is_repository(&directory.join(&offer.path))).then_some(url)
}

fn is_address(name: &str) -> bool {
    name.contains("://") || name.starts_with('/') || name.starts_with("file:")
}

/// An address as package managers want it: a path becomes a URL.
fn address(mirror: &str) -> String {
    let path = mirror.strip_prefix("file:").unwrap_or(mirror);
    let trimmed = mirror.trim_end_matches('/');
    if path.starts_with('/') {
        let path = path.trim_start_matches('/').trim_end_matches('/');
        return format!("file:///{path}");
    }
    trimmed.to_owned()
}

fn local_path(url: &str) -> Option<&Path> {
    let path = url.strip_prefix("file://")?;
    path.starts_with('/').then(|| Path::new(path))
}

impl RpmRepositories {
    /// Everything about them that decides what is installed, besides keys.
    #[must_use]
    pub fn described(&self) -> Vec<(String, String)> {
        let all = [("", &self.sources), (" of the image", &self.image_sources)];
        let numbered = all.into_iter().flat_map(|(whose, sources)| {
            sources.iter().enumerate().map(move |(nth, source)| {
                (format!("repository {}{whose}", nth + 1), source.described())
            })
        });
        let database = format!("{} {:?}", self.database.path, self.database.format);
        numbered
            .chain([("rpm's database".to_owned(), database)])
            .collect()
    }
}

impl RpmSource {
    fn described(&self) -> String {
        let mut text = format!("{} {}", self.id, self.location.address());
        if !self.check_packages {
            text.push_str(" unchecked");
        }
        if self.check_metadata {
            text.push_str(" signed");
        }
        for key in &self.keys {
            text.push_str(" key ");
            text.push_str(&key.name);
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What is wanted of a release, without anything special.
    pub fn wanted<'a>(release: &'a str, architecture: &'a str) -> Wanted<'a> {
        Wanted {
            release,
            architecture,
            mirror: None,
            local_mirror: None,
            additional: &[],
            check_keys: true,
        }
    }

    /// The addresses of repositories.
    pub fn addresses(sources: &[RpmSource]) -> Vec<String> {
        let line = |source: &RpmSource| format!("{} {}", source.id, source.location.address());
        sources.iter().map(line).collect()
    }

    fn offers() -> Offers {
        let offer = |id, enabled| Offer {
            id,
            enabled,
            location: Location::Metalink(format!("https://list/{id}")),
            path: format!("{id}/os"),
            keys: vec![RpmKey::find("nowhere", "KEY", "https://keys/KEY")],
        };
        Offers {
            distribution: "Testing",
            offers: vec![
                offer("base", true),
                offer("updates", true),
                offer("extra", false),
            ],
            signs_metadata: false,
            default_mirror: None,
        }
    }

    #[test]
    fn repositories_are_named_or_addressed() {
        let additional = ["extra".to_owned(), "https://example.org/r/".to_owned()];
        let mut all = wanted("1", "x86_64");
        assert_eq!(
            addresses(&offers().build(&all)),
            ["base https://list/base", "updates https://list/updates"]
        );
        all.additional = &additional;
        all.mirror = Some("http://mirror/");
        let sources = offers().build(&all);
        assert_eq!(
            addresses(&sources),
            [
                "base http://mirror/base/os",
                "updates http://mirror/updates/os",
                "extra http://mirror/extra/os",
                "added-1 https://example.org/r",
            ]
        );
        assert!(sources.iter().all(|source| source.check_packages));
        offers().check(&all).unwrap();
        let unknown = ["nosuch".to_owned()];
        all.additional = &unknown;
        assert_eq!(
            offers().check(&all).unwrap_err(),
            "Testing 1 has no repository \"nosuch\"; it has base, updates, extra; a URL adds another one"
        );
    }

    #[test]
    fn a_mirror_on_the_disk_has_what_it_has() {
        let disk = tempfile::tempdir().unwrap();
        let mirror = disk.path().to_str().unwrap();
        let mut all = wanted("1", "x86_64");
        all.mirror = Some(mirror);
        // The first must be there, and is named in the error where it is not.
        assert_eq!(
            addresses(&offers().build(&all)),
            [format!("base file://{mirror}/base/os")]
        );
        let add = |path: &str| {
            let path = disk.path().join(path).join("repodata");
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("repomd.xml"), "").unwrap();
        };
        add("updates/os");
        assert_eq!(offers().build(&all).len(), 2);
        add("");
        assert_eq!(
            addresses(&offers().build(&all)),
            [format!("base file://{mirror}")]
        );
    }

    #[test]
    fn a_local_mirror_is_a_repository_and_used_alone() {
        let mut all = wanted("1", "x86_64");
        all.local_mirror = Some("file:/srv/packages/");
        assert_eq!(
            addresses(&offers().build(&all)),
            ["local-mirror file:///srv/packages"]
        );
        assert_eq!(offers().image(&all).len(), 2);
    }
}
