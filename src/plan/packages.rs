//! Which packages, from where.

use std::sync::Arc;

use super::{Missing, PlanError, installer_files, repository_files};
use crate::config::values::{BasePackages, BootProtocol, ManifestFormat};
use crate::config::{Config, suggest};
use crate::distro::{
    self, AptRepositories, Boots, Facts, MergedUsr, Repositories, Wanted, rpm_files,
};
use crate::installer::Request;
use crate::installer::lock::{PackageLock, System};

/// What the package manager is asked for.
pub(super) struct Requests {
    /// The packages of both images.
    pub base: Request,
    /// On top of them, those of the development image only; none without a build script.
    pub development: Option<Request>,
    /// What the host does not have of the repositories.
    pub missing: Vec<Missing>,
}

/// What the package manager is asked for. Problems are added to `errors`.
pub(super) fn requests(config: &Config, errors: &mut Vec<PlanError>) -> Option<Requests> {
    if config.project.image_sh().is_some() {
        // No package manager is asked for anything.
        return Some(Requests {
            base: no_packages(config),
            development: None,
            missing: Vec::new(),
        });
    }
    let facts = distro::facts(config.distribution);
    let mut missing = Vec::new();
    let base = base_request(config, facts, &mut missing, errors)?;
    let development = config
        .build_script
        .is_some()
        .then(|| development_request(config, facts, &base, errors));
    Some(Requests {
        base,
        development,
        missing,
    })
}

/// What is asked for where a project's own functions fill the tree: nothing.
fn no_packages(config: &Config) -> Request {
    Request {
        distribution: config.distribution,
        release: config.release.clone(),
        architecture: config.architecture.debian().to_owned(),
        packages: Vec::new(),
        excluded: Vec::new(),
        repositories: Repositories::Apt(AptRepositories {
            sources: Vec::new(),
            image_sources: Vec::new(),
            keyrings: Vec::new(),
            merged_usr: MergedUsr::Packages,
        }),
        with_docs: config.with_docs,
        with_changelogs: false,
        skip_initrds: false,
        cache: None,
        lock: None,
    }
}

/// The packages of the lock, if it counts.
fn lock(
    config: &Config,
    release: &str,
    architecture: &str,
    errors: &mut Vec<PlanError>,
) -> Option<Arc<PackageLock>> {
    let path = config.lock_file.as_ref().filter(|_| config.locked)?;
    let system = System {
        distribution: config.distribution.to_string(),
        release: release.to_owned(),
        architecture: architecture.to_owned(),
    };
    let lock = PackageLock::read(path, &system);
    lock.map_err(|error| errors.push(PlanError::Lock(error)))
        .ok()
        .map(Arc::new)
}

/// The packages that only the build script needs.
fn development_request(
    config: &Config,
    facts: &dyn Facts,
    base: &Request,
    errors: &mut Vec<PlanError>,
) -> Request {
    let mut excluded = config.build_packages.exclude().to_vec();
    let mut packages = config.build_packages.install().to_vec();
    packages.retain(|word| !facts.is_in_force(word, config.with_docs));
    for (name, what) in named(&packages, &excluded) {
        check_name(facts, "BuildPackages", name, what, errors);
    }
    // What the final image must not have, the build script may still ask for by name.
    let asked_for = |name: &&String| !packages.contains(name) && !excluded.contains(name);
    let more: Vec<String> = base.excluded.iter().filter(asked_for).cloned().collect();
    excluded.extend(more);
    packages.sort();
    packages.dedup();
    packages.retain(|name| !base.packages.contains(name));
    Request {
        packages,
        excluded,
        ..base.clone()
    }
}

fn base_request(
    config: &Config,
    facts: &dyn Facts,
    missing: &mut Vec<Missing>,
    errors: &mut Vec<PlanError>,
) -> Option<Request> {
    let (release, architecture) = names(config, facts, errors)?;
    let unbootable = facts.unbootable(&release, architecture, boots(config, facts));
    if let Some(reason) = unbootable.filter(|_| config.bootable && config.format.is_disk()) {
        errors.push(PlanError::Setting {
            setting: "Bootable",
            problem: reason.to_owned(),
        });
    }
    let excluded = config.packages.exclude().to_vec();
    let mut packages = config.packages.install().to_vec();
    packages.retain(|word| !facts.is_in_force(word, config.with_docs));
    if config.base_packages != BasePackages::No {
        // A base image is a system already.
        if config.base_image.is_none() {
            packages.extend(facts.base_packages(&release));
        }
        if config.ssh {
            packages.extend(facts.ssh_packages(&release));
        }
        if config.bootable && config.format.is_disk() {
            packages.extend(facts.boot_packages(&release, architecture, boots(config, facts)));
        }
    }
    packages.retain(|name| !excluded.contains(name));
    packages.sort();
    packages.dedup();
    let files = repository_files::read(config, facts, &rpm_files::HOST_DIRECTORIES, errors)?;
    let mut wanted = Wanted {
        release: &release,
        architecture,
        mirror: config.mirror.as_deref(),
        local_mirror: config.local_mirror.as_deref(),
        additional: &[],
        check_keys: config.repository_key_check,
    };
    let (additional, absent) = files.unexplained(config, facts, &wanted);
    missing.extend(absent);
    wanted.additional = &additional;
    if let Err(problem) = facts.check_repositories(&wanted) {
        errors.push(PlanError::Setting {
            setting: "Repositories",
            problem,
        });
    }
    let mut repositories = facts.repositories(&wanted);
    if let Repositories::Rpm(rpm) = &mut repositories {
        rpm_files::add(rpm, files.listed, &config.repositories, &wanted);
    }
    installer_files::apply(config, architecture, &mut repositories, errors);
    for (name, what) in named(&packages, &excluded) {
        check_name(facts, "Packages", name, what, errors);
    }
    for name in &config.remove_packages {
        check_name(facts, "RemovePackages", name, What::Removed, errors);
    }
    Some(Request {
        distribution: config.distribution,
        architecture: architecture.to_owned(),
        packages,
        excluded,
        repositories,
        with_docs: config.with_docs,
        with_changelogs: config.manifest_format.contains(&ManifestFormat::Changelog),
        skip_initrds: config.bootable,
        cache: config.cache.clone(),
        lock: lock(config, &release, architecture, errors),
        release,
    })
}

/// What the distribution calls the release and the architecture.
fn names(
    config: &Config,
    facts: &dyn Facts,
    errors: &mut Vec<PlanError>,
) -> Option<(String, &'static str)> {
    let name = config.distribution.shown();
    let release = facts.release(&config.release).map_err(|known| {
        let wanted = &config.release;
        let releases = facts.releases();
        // Another number is another release, however near.
        let near = suggest::nearest(wanted, releases.iter().map(String::as_str))
            .filter(|_| wanted.chars().all(|c| !c.is_ascii_digit()))
            .map_or_else(String::new, |near| format!("; did you mean {near}?"));
        errors.push(PlanError::Setting {
            setting: "Release",
            problem: format!(
                "{name} has no release \"{}\"; the releases are {known}{near}",
                wanted.escape_debug()
            ),
        });
    });
    let release = release.ok()?;
    let architecture = facts.architecture(&release, config.architecture);
    let architecture = architecture.map_err(|known| {
        errors.push(PlanError::Setting {
            setting: "Architecture",
            problem: format!(
                "{name} {release} does not exist for {}; it does for {known}",
                config.architecture
            ),
        });
    });
    Some((release, architecture.ok()?))
}

fn boots(config: &Config, facts: &dyn Facts) -> Boots {
    let kernel = |name: &String| facts.is_kernel(name);
    Boots {
        uefi: config.boot_protocols.contains(&BootProtocol::Uefi),
        bios: config.boot_protocols.contains(&BootProtocol::Bios),
        verity: config.verity,
        encrypted: config.encrypt.is_some(),
        has_kernel: config.packages.install().iter().any(kernel),
    }
}

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Installed,
    Removed,
}

/// Names with what is done with them.
fn named<'a>(
    installed: &'a [String],
    excluded: &'a [String],
) -> impl Iterator<Item = (&'a String, What)> {
    let installed = installed.iter().map(|name| (name, What::Installed));
    installed.chain(excluded.iter().map(|name| (name, What::Removed)))
}

/// Refuses what a package manager could take for an option, a file or several names: settings
/// files come from others, and the package manager runs as root.
fn check_name(
    facts: &dyn Facts,
    setting: &'static str,
    name: &str,
    what: What,
    errors: &mut Vec<PlanError>,
) {
    let checked = match what {
        What::Installed => facts.check_package(name),
        What::Removed => facts.check_removed(name),
    };
    if let Err(expected) = checked {
        errors.push(PlanError::Setting {
            setting,
            problem: format!("\"{}\" is no package name: {expected}", name.escape_debug()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::debian::Debian;
    use crate::distro::fedora::Fedora;

    fn is_refused(facts: &dyn Facts, name: &str, what: What) -> bool {
        let mut errors = Vec::new();
        check_name(facts, "Packages", name, what, &mut errors);
        !errors.is_empty()
    }

    #[test]
    fn refuses_names_that_are_no_names() {
        for (name, good) in [
            ("bash", true),
            ("libstdc++6", true),
            ("libc6:amd64", true),
            ("apt=2.6.1", true),
            ("-o", false),
            ("./x.deb", false),
            ("/etc/passwd", false),
            ("?essential", false),
            ("a,b", false),
            ("a b", false),
            ("", false),
        ] {
            let refused = is_refused(&Debian, name, What::Installed);
            assert_eq!(refused, !good, "{name}");
        }
    }

    #[test]
    fn options_that_say_what_holds_anyway_are_no_packages() {
        for (facts, word, with_docs, expected) in [
            (
                &Fedora as &dyn Facts,
                "--setopt=tsflags=nodocs",
                false,
                true,
            ),
            (&Fedora, "--setopt=tsflags=nodocs", true, false),
            (&Fedora, "--nogpgcheck", false, false),
            (&Fedora, "bash", false, false),
            (&Debian, "--setopt=tsflags=nodocs", false, false),
        ] {
            assert_eq!(facts.is_in_force(word, with_docs), expected, "{word}");
        }
    }

    #[test]
    fn rpm_has_more_names_for_packages() {
        for (name, installed, removed) in [
            ("bash", true, true),
            ("python3-*", true, true),
            ("@core", true, false),
            ("@nodejs:18/common", true, false),
            ("/usr/bin/vim", true, false),
            ("pkgconfig(glib-2.0)", true, false),
            ("perl(Foo::Bar)", true, false),
            ("pattern:base", true, true),
            ("bash-5.2-1.fc44.x86_64", true, true),
            ("-x", false, false),
            ("--nogpgcheck", false, false),
            ("/tmp/x.rpm", false, false),
            ("/tmp/x.RPM", false, false),
            ("x.rpm", false, false),
            ("./x", false, false),
            ("https://example.org/x", false, false),
            ("a b", false, false),
            ("a\nb", false, false),
            ("!x", false, false),
            ("", false, false),
        ] {
            let refused = is_refused(&Fedora, name, What::Installed);
            assert_eq!(refused, !installed, "{name}");
            let refused = is_refused(&Fedora, name, What::Removed);
            assert_eq!(refused, !removed, "{name}");
        }
    }

    #[test]
    fn what_a_distribution_does_not_have_is_an_error_before_any_work() {
        for (flags, expected) in [
            ("-d fedora -r 99", "Fedora Linux has no release \"99\""),
            ("-d centos -r 6", "10-stream, 9-stream, 8-stream, 8, 7"),
            ("-d debian -r bokworm", "; did you mean bookworm?"),
            ("-d opensuse -r 42.3", "tumbleweed, 16.1"),
            ("-d mageia -r 1", "cauldron, 10, 9"),
            (
                "-d fedora -r 44 --repositories=nosuch",
                "has no repository \"nosuch\"; it has fedora,",
            ),
            (
                "-d fedora -r 44 --package=--nogpgcheck",
                "is no package name",
            ),
        ] {
            let fixture = crate::config::testing::Fixture::new()
                .args("-t directory")
                .args(flags);
            let mut errors = Vec::new();
            requests(&fixture.config(), &mut errors);
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert!(
                text.iter().any(|e| e.contains(expected)),
                "{flags}: {text:?}"
            );
        }
    }
}
