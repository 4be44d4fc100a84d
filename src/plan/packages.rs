//! Which packages, from where.

use std::path::PathBuf;

use super::PlanError;
use crate::config::Config;
use crate::config::values::{BasePackages, BootProtocol, Distribution, ManifestFormat};
use crate::distro::debian;
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
    let base = match config.distribution {
        Distribution::Debian => debian_request(config, errors)?,
        // `config::unsupported` has named it.
        _ => return None,
    };
    let development = config
        .build_script
        .is_some()
        .then(|| development_request(config, &base, errors));
    Some(Requests { base, development })
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

fn debian_request(config: &Config, errors: &mut Vec<PlanError>) -> Option<Request> {
    let release = match debian::codename(&config.release) {
        Ok(release) => release,
        Err(known) => {
            errors.push(PlanError::Setting {
                setting: "Release",
                problem: format!(
                    "Debian has no release \"{}\"; the releases are {known}",
                    config.release.escape_debug()
                ),
            });
            return None;
        }
    };
    let excluded = config.packages.exclude().to_vec();
    let mut packages = config.packages.install().to_vec();
    if config.base_packages != BasePackages::No {
        packages.extend(debian::base_packages());
        if config.bootable && config.format.is_disk() {
            let architecture = config.architecture.debian();
            packages.extend(debian::boot_packages(release, architecture, boots(config)));
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
    let repositories = debian::Repositories {
        release,
        mirror: config.mirror.as_deref(),
        local_mirror: config.local_mirror.as_deref(),
        additional: &config.repositories,
        check_keys: config.repository_key_check,
    };
    Some(Request {
        distribution: "Debian".to_owned(),
        release: release.to_owned(),
        architecture: config.architecture.debian().to_owned(),
        packages,
        excluded,
        sources: repositories.build(),
        image_sources: repositories.image(),
        keyrings: if config.repository_key_check {
            debian::keyrings()
        } else {
            Vec::<PathBuf>::new()
        },
        merged_usr: debian::merged_usr(release),
        with_docs: config.with_docs,
        with_changelogs: config.manifest_format.contains(&ManifestFormat::Changelog),
        skip_initrds: config.bootable,
        cache: config.cache.clone(),
    })
}

fn boots(config: &Config) -> debian::Boots {
    let kernel = |name: &String| name.starts_with("linux-image-");
    debian::Boots {
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
