//! Which packages, from where.

use super::PlanError;
use crate::config::Config;
use crate::config::values::{BasePackages, BootProtocol, ManifestFormat};
use crate::distro::{self, AptRepositories, Boots, Facts, MergedUsr, Repositories, Wanted};
use crate::installer::Request;

/// What the package manager is asked for.
pub(super) struct Requests {
    /// The packages of both images.
    pub base: Request,
    /// On top of them, those of the development image only; none without a build script.
    pub development: Option<Request>,
}

/// What the package manager is asked for. Problems are added to `errors`.
pub(super) fn requests(config: &Config, errors: &mut Vec<PlanError>) -> Option<Requests> {
    if let Some(imgbuild) = config.project.imgbuild() {
        for path in &imgbuild.installer_files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            errors.push(PlanError::Unsupported(format!(
                "{}: this version does not support a package manager's configuration in the project",
                name.escape_debug()
            )));
        }
    }
    if config.project.image_sh().is_some() {
        // No package manager is asked for anything.
        return Some(Requests {
            base: no_packages(config),
            development: None,
        });
    }
    let base = base_request(config, errors)?;
    let development = config
        .build_script
        .is_some()
        .then(|| development_request(config, &base, errors));
    Some(Requests { base, development })
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
    }
}

/// The packages that only the build script needs.
fn development_request(config: &Config, base: &Request, errors: &mut Vec<PlanError>) -> Request {
    let mut excluded = config.build_packages.exclude().to_vec();
    let mut packages = config.build_packages.install().to_vec();
    let names = Names::of(&base.repositories);
    for (name, what) in named(&packages, &excluded) {
        names.check("BuildPackages", name, what, errors);
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

fn base_request(config: &Config, errors: &mut Vec<PlanError>) -> Option<Request> {
    // `config::unsupported` has named those of which too little is known.
    let facts = distro::facts(config.distribution)?;
    let (release, architecture) = names(config, facts, errors)?;
    let excluded = config.packages.exclude().to_vec();
    let mut packages = config.packages.install().to_vec();
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
    let wanted = Wanted {
        release: &release,
        architecture,
        mirror: config.mirror.as_deref(),
        local_mirror: config.local_mirror.as_deref(),
        additional: &config.repositories,
        check_keys: config.repository_key_check,
    };
    if let Err(problem) = facts.check_repositories(&wanted) {
        errors.push(PlanError::Setting {
            setting: "Repositories",
            problem,
        });
    }
    let repositories = facts.repositories(&wanted);
    let names = Names::of(&repositories);
    for (name, what) in named(&packages, &excluded) {
        names.check("Packages", name, what, errors);
    }
    for name in &config.remove_packages {
        names.check("RemovePackages", name, What::Removed, errors);
    }
    Some(Request {
        distribution: config.distribution,
        release,
        architecture: architecture.to_owned(),
        packages,
        excluded,
        repositories,
        with_docs: config.with_docs,
        with_changelogs: config.manifest_format.contains(&ManifestFormat::Changelog),
        skip_initrds: config.bootable,
        cache: config.cache.clone(),
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
        errors.push(PlanError::Setting {
            setting: "Release",
            problem: format!(
                "{name} has no release \"{}\"; the releases are {known}",
                config.release.escape_debug()
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

/// What the package manager understands as a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Names, with an architecture or version.
    Plain,
    /// Also what packages provide (`/usr/bin/x`, `pkgconfig(x)`), groups (`@x`, `pattern:x`) and
    /// patterns of names (`x-*`).
    Rpm,
}

impl Names {
    fn of(repositories: &Repositories) -> Self {
        match repositories {
            Repositories::Rpm(_) => Self::Rpm,
            _ => Self::Plain,
        }
    }

    /// Refuses what a package manager could take for an option, a file or several names: settings
    /// files come from others, and the package manager runs as root.
    fn check(self, setting: &'static str, name: &str, what: What, errors: &mut Vec<PlanError>) {
        let (starts_well, more, allowed) = match (self, what) {
            (Self::Plain, _) => ("", "", "+ - . _ : = ~"),
            (Self::Rpm, What::Removed) => ("*_", "*?^", "+ - . _ : = ~ ^ * ?"),
            (Self::Rpm, What::Installed) => {
                ("@/*_", "@/*?^()[],", "+ - . _ : = ~ ^ * ? @ / ( ) [ ] ,")
            }
        };
        let first = name.chars().next();
        let good = first.is_some_and(|c| c.is_ascii_alphanumeric() || starts_well.contains(c))
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-._:=~".contains(c) || more.contains(c))
            && name.len() <= 256
            && !is_file(name);
        if !good {
            errors.push(PlanError::Setting {
                setting,
                problem: format!(
                    "\"{}\" is no package name: letters, digits and {allowed} are allowed",
                    name.escape_debug()
                ),
            });
        }
    }
}

/// Whether package managers would install this file of the host, or of the network, itself.
fn is_file(name: &str) -> bool {
    name.contains("://") || name.to_ascii_lowercase().ends_with(".rpm") || name.contains("/../")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(names: Names, name: &str, what: What) -> bool {
        let mut errors = Vec::new();
        names.check("Packages", name, what, &mut errors);
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
            let refused = is_refused(Names::Plain, name, What::Installed);
            assert_eq!(refused, !good, "{name}");
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
            let refused = is_refused(Names::Rpm, name, What::Installed);
            assert_eq!(refused, !installed, "{name}");
            let refused = is_refused(Names::Rpm, name, What::Removed);
            assert_eq!(refused, !removed, "{name}");
        }
    }

    #[test]
    fn what_a_distribution_does_not_have_is_an_error_before_any_work() {
        for (flags, expected) in [
            ("-d fedora -r 99", "Fedora Linux has no release \"99\""),
            ("-d centos -r 6", "10-stream, 9-stream, 8-stream, 8, 7"),
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
