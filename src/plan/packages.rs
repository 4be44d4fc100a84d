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
    for name in packages.iter().chain(&excluded) {
        check_name("BuildPackages", name, errors);
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
    for name in packages
        .iter()
        .chain(&excluded)
        .chain(&config.remove_packages)
    {
        check_name("Packages", name, errors);
    }
    let repositories = facts.repositories(&Wanted {
        release: &release,
        architecture,
        mirror: config.mirror.as_deref(),
        local_mirror: config.local_mirror.as_deref(),
        additional: &config.repositories,
        check_keys: config.repository_key_check,
    });
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

/// Refuses what a package manager could take for an option, a file or several names: settings
/// files come from others, and the package manager runs as root.
fn check_name(setting: &'static str, name: &str, errors: &mut Vec<PlanError>) {
    let starts_well = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    let rest_is_well = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | ':' | '=' | '~'));
    if !(starts_well && rest_is_well && name.len() <= 256) {
        errors.push(PlanError::Setting {
            setting,
            problem: format!(
                "\"{}\" is no package name: letters, digits and + - . _ : = ~ are allowed",
                name.escape_debug()
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut errors = Vec::new();
            check_name("Packages", name, &mut errors);
            assert_eq!(errors.is_empty(), good, "{name}");
        }
    }
}
