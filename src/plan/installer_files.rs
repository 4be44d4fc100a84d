//! A project's own files for package managers, put in place of the distribution's repositories.

use super::PlanError;
use crate::config::{Config, PacmanConf};
use crate::distro::{self, PacmanRepositories, PacmanRepository, Repositories};

/// Lets the project's files decide where packages come from. Problems are added to `errors`.
pub(super) fn apply(
    config: &Config,
    architecture: &str,
    repositories: &mut Repositories,
    errors: &mut Vec<PlanError>,
) {
    let Some(imgbuild) = config.project.imgbuild() else {
        return;
    };
    if imgbuild.installs_keyring && !config.repository_key_check {
        errors.push(PlanError::Setting {
            setting: "RepositoryKeyCheck",
            problem: "without it there are no keys that hostconf=keyring could give the image; \
                      leave one of them out"
                .to_owned(),
        });
    }
    let files = &imgbuild.installer_files;
    match repositories {
        Repositories::Pacman(pacman) => {
            pacman.installs_keyring = imgbuild.installs_keyring;
            if let Some(conf) = &files.pacman {
                replaced(config, "pacman.conf", errors);
                use_pacman_conf(config, conf, architecture, pacman, errors);
            }
        }
        Repositories::Apk(apk) => {
            apk.installs_keys = imgbuild.installs_keyring || files.apk_keys.is_some();
            if let Some(lines) = &files.apk_repositories {
                replaced(config, "repositories", errors);
                if has_mirror(config) {
                    errors.push(unused("Mirror", "repositories"));
                }
                apk.repositories.clone_from(lines);
                // Which ones the image itself shall use, the project says with a file of its own.
                apk.image_repositories.clear();
            }
            if let Some(keys) = files.apk_keys.as_ref().filter(|_| apk.check_keys) {
                apk.key_files.clone_from(keys);
            }
        }
        _ => {}
    }
}

/// Whether a mirror was named.
fn has_mirror(config: &Config) -> bool {
    let default = distro::default_mirror(config.distribution, config.architecture);
    config.mirror.as_deref() != default
}

/// That a file stands in for the distribution's repositories, so that nothing can stand in for those.
fn replaced(config: &Config, file: &str, errors: &mut Vec<PlanError>) {
    if config.local_mirror.is_some() {
        errors.push(unused("LocalMirror", file));
    }
    if !config.repositories.is_empty() {
        errors.push(unused("Repositories", file));
    }
}

fn unused(setting: &'static str, file: &str) -> PlanError {
    PlanError::Setting {
        setting,
        problem: format!(
            "the project's file {file} says where packages come from; leave one of them out"
        ),
    }
}

fn use_pacman_conf(
    config: &Config,
    conf: &PacmanConf,
    architecture: &str,
    pacman: &mut PacmanRepositories,
    errors: &mut Vec<PlanError>,
) {
    if config.repository_key_check {
        for place in &conf.unsigned {
            errors.push(PlanError::Unsupported(format!(
                "{place}: packages are installed only if somebody trusted has signed them; \
                 expected Required, with DatabaseOptional or without \
                 (--repository-key-check=no is the only way out)"
            )));
        }
    }
    let fits = |name: &String| name == "auto" || name == architecture;
    if !conf.architectures.is_empty() && !conf.architectures.iter().any(fits) {
        errors.push(PlanError::Setting {
            setting: "Architecture",
            problem: format!(
                "the image is for {architecture}, and pacman.conf for {}",
                conf.architectures.join(" ")
            ),
        });
    }
    let own = |name: &String| match name.as_str() {
        "auto" => architecture.to_owned(),
        name => name.to_owned(),
    };
    pacman.architectures = conf.architectures.iter().map(own).collect();
    pacman.options.clone_from(&conf.options);
    // The distribution's own have the mirror's layout, and are the first.
    let mirror = pacman.repositories.first().map(|r| r.servers.clone());
    let used = conf.repositories.iter().map(|section| {
        let from_mirror =
            section.uses_host_list && (has_mirror(config) || section.servers.is_empty());
        PacmanRepository {
            name: section.name.clone(),
            servers: match &mirror {
                Some(servers) if from_mirror => servers.clone(),
                _ => section.servers.clone(),
            },
            signed_database: section.signed_database,
        }
    });
    pacman.repositories = used.collect();
    let is_used = conf
        .repositories
        .iter()
        .any(|section| section.uses_host_list);
    if has_mirror(config) && !is_used {
        errors.push(unused("Mirror", "pacman.conf"));
    }
    if let Some(directory) = conf.key_directory.as_ref().filter(|_| pacman.check_keys) {
        // They count by their content, as keyrings do.
        let files = PacmanRepositories::KEY_DIRECTORY_FILES.map(|name| directory.join(name));
        pacman.key_files.extend(files);
        pacman.key_directory = Some(directory.clone());
    }
}

#[cfg(test)]
#[path = "installer_files_tests.rs"]
mod tests;
