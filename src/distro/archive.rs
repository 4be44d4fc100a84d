//! What the archives of Debian and Ubuntu have in common: suites, components, mirrors.

use std::path::PathBuf;

use super::{AptRepositories, MergedUsr, Source, Wanted, location};

/// Where a release is.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    /// The codename.
    pub release: &'a str,
    /// The distribution's own mirror of it.
    pub mirror: &'static str,
    /// Mirrors that stand for `mirror`: a release that is no longer maintained leaves them.
    pub defaults: &'static [&'static str],
    /// The keyring, on the host and in the image.
    pub keyring: &'static str,
    /// The components that are used in any case; the first has the base system.
    pub components: &'static [&'static str],
    /// Whether `NAME-updates` exists.
    pub updates: bool,
    /// The repository and suite of security updates.
    pub security: Option<(&'static str, String)>,
}

impl Archive<'_> {
    /// The repositories that a configuration asks for.
    pub fn repositories(&self, wanted: &Wanted<'_>, merged_usr: MergedUsr) -> AptRepositories {
        let image_sources = self.image(wanted);
        AptRepositories {
            sources: match wanted.local_mirror {
                Some(local) => {
                    vec![self.source(wanted, &location::url(local), self.release, false)]
                }
                None => image_sources.clone(),
            },
            image_sources,
            keyrings: if wanted.check_keys {
                vec![PathBuf::from(self.keyring)]
            } else {
                Vec::new()
            },
            merged_usr,
        }
    }

    /// The repositories that the image is set up with.
    fn image(&self, wanted: &Wanted<'_>) -> Vec<Source> {
        let named = wanted.mirror.map(location::url);
        let mirror = named
            .as_deref()
            .filter(|mirror| !self.defaults.contains(mirror))
            .unwrap_or(self.mirror);
        let mut sources = vec![self.source(wanted, mirror, self.release, true)];
        let updates = format!("{}-updates", self.release);
        if self.updates && has(mirror, &updates) {
            sources.push(self.source(wanted, mirror, &updates, true));
        }
        // A mirror on the disk is all there shall be; whoever names one over the network still
        // wants security updates, which only the project itself distributes.
        if let (Some((security, suite)), false) = (&self.security, is_local(mirror)) {
            sources.push(self.source(wanted, security, suite, true));
        }
        for other in wanted
            .additional
            .iter()
            .filter(|entry| location::is_address(entry))
        {
            sources.push(self.source(wanted, &location::url(other), self.release, false));
        }
        sources
    }

    fn source(&self, wanted: &Wanted<'_>, uri: &str, suite: &str, ours: bool) -> Source {
        let (base, further) = self.components.split_at(1);
        let mut components: Vec<String> = base.iter().map(|c| (*c).to_owned()).collect();
        if ours {
            let there = |component: &&&str| has(uri, &format!("{suite}/{component}"));
            let further = further.iter().filter(there).map(|c| (*c).to_owned());
            let named = wanted
                .additional
                .iter()
                .filter(|entry| !location::is_address(entry));
            for component in further.chain(named.cloned()) {
                if !components.contains(&component) {
                    components.push(component);
                }
            }
        }
        Source {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components,
            signed_by: (ours && !is_local(uri)).then(|| self.keyring.to_owned()),
            trusted: !wanted.check_keys,
        }
    }
}

/// Packages that make a minimal system boot to a login on the console.
pub(super) fn base_packages() -> Vec<String> {
    ["dbus", "libpam-systemd", "login", "systemd", "systemd-sysv"]
        .map(str::to_owned)
        .to_vec()
}

/// Whether an entry of `Repositories=` is a component or an address that apt can be told.
pub(super) fn check_repository(entry: &str) -> Result<(), String> {
    let component = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    let fits = if location::is_address(entry) {
        !entry.contains(['[', ']', '#', '"', '\\'])
    } else {
        entry.starts_with(|c: char| c.is_ascii_alphanumeric()) && entry.chars().all(component)
    };
    if fits && location::is_one_word(entry) {
        return Ok(());
    }
    Err("a component such as main, or the address of a repository".to_owned())
}

fn is_local(mirror: &str) -> bool {
    location::path(mirror).is_some()
}

/// Whether a repository has a suite, or a component of one: known for one on the disk, assumed for
/// one on the network.
fn has(mirror: &str, suite: &str) -> bool {
    location::path(mirror).is_none_or(|path| path.join("dists").join(suite).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive<'static> {
        Archive {
            release: "noble",
            mirror: "http://own/ubuntu",
            defaults: &["http://default/ubuntu"],
            keyring: "/keyring.gpg",
            components: &["main", "universe"],
            updates: true,
            security: Some(("http://security/ubuntu", "noble-security".to_owned())),
        }
    }

    fn wanted<'a>(mirror: Option<&'a str>, additional: &'a [String]) -> Wanted<'a> {
        Wanted {
            release: "noble",
            architecture: "amd64",
            mirror,
            local_mirror: None,
            additional,
            check_keys: true,
        }
    }

    fn lines(sources: &[Source]) -> Vec<String> {
        sources.iter().map(|s| s.line(false)).collect()
    }

    #[test]
    fn the_default_mirror_stands_for_the_releases_own() {
        let expected = [
            "deb http://own/ubuntu noble main universe",
            "deb http://own/ubuntu noble-updates main universe",
            "deb http://security/ubuntu noble-security main universe",
        ];
        for mirror in [None, Some("http://default/ubuntu/")] {
            assert_eq!(lines(&archive().image(&wanted(mirror, &[]))), expected);
        }
        let other = lines(&archive().image(&wanted(Some("http://other/"), &[])));
        assert_eq!(other[0], "deb http://other noble main universe");
        assert_eq!(other[2], expected[2]);
    }

    #[test]
    fn local_mirror_is_used_alone_and_only_while_building() {
        let mut wanted = wanted(None, &[]);
        wanted.local_mirror = Some("/srv/my mirror/");
        let apt = archive().repositories(&wanted, MergedUsr::Packages);
        assert_eq!(
            lines(&apt.sources),
            ["deb file:///srv/my%20mirror noble main"]
        );
        assert_eq!(apt.image_sources.len(), 3);
    }

    #[test]
    fn a_mirror_on_the_disk_has_what_is_there() {
        let mirror = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(mirror.path().join("dists/noble/main")).unwrap();
        let path = mirror.path().to_str().unwrap();
        let found = archive().image(&wanted(Some(path), &[]));
        assert_eq!(lines(&found), [format!("deb file://{path} noble main")]);
        assert_eq!(found[0].signed_by, None);
        std::fs::create_dir_all(mirror.path().join("dists/noble/universe")).unwrap();
        let found = archive().image(&wanted(Some(path), &[]));
        assert_eq!(
            lines(&found),
            [format!("deb file://{path} noble main universe")]
        );
    }

    #[test]
    fn additional_repositories_are_components_or_addresses() {
        let additional = ["universe", "contrib", "http://example.com/apt/"].map(str::to_owned);
        let found = lines(&archive().image(&wanted(None, &additional)));
        assert_eq!(
            found[0],
            "deb http://own/ubuntu noble main universe contrib"
        );
        assert_eq!(found[3], "deb http://example.com/apt noble main");
        for (entry, good) in [
            ("main", true),
            ("non-free-firmware", true),
            ("http://example.com/x", true),
            ("file:///srv/x", true),
            ("-x", false),
            ("a b", false),
            ("[trusted=yes]", false),
            ("http://x [trusted=yes]", false),
            ("http://x\nhttp://y", false),
        ] {
            assert_eq!(check_repository(entry).is_ok(), good, "{entry:?}");
        }
    }
}
