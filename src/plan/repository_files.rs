//! Which repository files (`*.repo`) count, and what of them is not there.

use std::path::PathBuf;

use super::{Missing, PlanError};
use crate::config::Config;
use crate::distro::rpm_files::{self, HOST_DIRECTORIES, Listed};
use crate::distro::{Facts, Wanted};

/// The repositories in files.
pub(super) struct RepositoryFiles {
    pub listed: Vec<Listed>,
    /// Files that would name further ones are not there: that is said elsewhere, or in `missing`.
    incomplete: bool,
    missing: Vec<Missing>,
}

/// Reads the files of skeleton trees, the project's, and those in `of_host` where they are asked for: of
/// two repositories with one name the later counts. Problems are added to `errors`.
pub(super) fn read(
    config: &Config,
    facts: &dyn Facts,
    of_host: &[&str],
    errors: &mut Vec<PlanError>,
) -> Option<RepositoryFiles> {
    let mut files = RepositoryFiles {
        listed: Vec::new(),
        incomplete: false,
        missing: Vec::new(),
    };
    let uses_host = config.use_host_repositories;
    if !facts.has_rpm() {
        if !uses_host && config.repository_directories.is_empty() {
            return Some(files);
        }
        let problem = format!(
            "{} has no repository files of the form that is read here (*.repo); use Repositories= or \
             files in mkosi.skeleton/",
            config.distribution.shown()
        );
        errors.push(problem_with(uses_host, problem));
        return None;
    }
    let found = files
        .add_skeletons(config)
        .and_then(|()| files.add_directories(config, of_host));
    match found {
        Ok(()) => Some(files),
        Err(problem) => {
            errors.push(problem_with(uses_host, problem));
            None
        }
    }
}

fn problem_with(uses_host: bool, problem: String) -> PlanError {
    PlanError::Setting {
        setting: if uses_host {
            "UseHostRepositories"
        } else {
            "RepositoryDirectories"
        },
        problem,
    }
}

impl RepositoryFiles {
    /// Files of skeleton trees are for the image's own package manager: a build uses those of their
    /// repositories that the settings name.
    fn add_skeletons(&mut self, config: &Config) -> Result<(), String> {
        self.incomplete |= config.skeleton_trees.iter().any(|tree| !tree.exists());
        let within = |tree: &PathBuf| {
            let below = move |path: &str| tree.join(path.trim_start_matches('/'));
            HOST_DIRECTORIES.map(below)
        };
        let directories = config.skeleton_trees.iter().flat_map(within);
        let directories: Vec<PathBuf> = directories.filter(|path| path.is_dir()).collect();
        let listed = rpm_files::read(&directories, config.repository_key_check)?;
        self.listed = listed.into_iter().map(Listed::of_skeleton).collect();
        Ok(())
    }

    fn add_directories(&mut self, config: &Config, of_host: &[&str]) -> Result<(), String> {
        let is_there = |path: &&PathBuf| path.exists();
        let own = &config.repository_directories;
        let directories: Vec<PathBuf> = own.iter().filter(is_there).cloned().collect();
        self.incomplete |= directories.len() < own.len();
        self.add(rpm_files::read(&directories, config.repository_key_check)?);
        if config.use_host_repositories {
            let directories = of_host.iter().map(PathBuf::from);
            let directories: Vec<PathBuf> = directories.filter(|path| path.is_dir()).collect();
            let listed = rpm_files::read(&directories, config.repository_key_check)?;
            if listed.is_empty() {
                self.missing.push(Missing::HostRepositories);
                self.incomplete = true;
            }
            self.add(listed);
        }
        Ok(())
    }

    fn add(&mut self, listed: Vec<Listed>) {
        for one in listed {
            self.listed.retain(|other| other.id() != one.id());
            self.listed.push(one);
        }
    }

    /// The names in `Repositories=` that are for the distribution to explain, and what is missing: a name
    /// that nobody knows may be one of the host's, where those count.
    pub(super) fn unexplained(
        &self,
        config: &Config,
        facts: &dyn Facts,
        wanted: &Wanted<'_>,
    ) -> (Vec<String>, Vec<Missing>) {
        let mut missing = self.missing.clone();
        let mut names = rpm_files::unexplained(&config.repositories, &self.listed);
        if self.incomplete || config.use_host_repositories {
            names.retain(|name| {
                let alone = std::slice::from_ref(name);
                let known = facts.check_repositories(&Wanted {
                    additional: alone,
                    ..*wanted
                });
                if known.is_err() && !self.incomplete {
                    missing.push(Missing::Repository { name: name.clone() });
                }
                known.is_ok()
            });
        }
        (names, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;
    use crate::distro::centos::Centos;

    const FACTS: Centos = Centos { epel: false };
    const FILE: &str = "[local]\nbaseurl=https://l/\n[other]\nbaseurl=https://o/\n";

    /// Names for the distribution to explain, what is missing, and errors.
    fn found(fixture: &Fixture, of_host: &[&str]) -> (Vec<String>, Vec<Missing>, Vec<String>) {
        let config = fixture.config();
        let mut errors = Vec::new();
        let files = read(&config, &FACTS, of_host, &mut errors);
        let wanted = crate::distro::rpm::tests::wanted("9-stream", "x86_64");
        let (names, missing) = files.map_or_else(Default::default, |files| {
            files.unexplained(&config, &FACTS, &wanted)
        });
        let errors = errors.iter().map(ToString::to_string).collect();
        (names, missing, errors)
    }

    fn project(settings: &str) -> Fixture {
        Fixture::with(&format!(
            "[Distribution]\nDistribution=centos\nRelease=9\nRepositories=epel,local\n{settings}"
        ))
    }

    #[test]
    fn the_host_lacks_what_its_files_do_not_have() {
        let host = tempfile::tempdir().unwrap();
        let directory = host.path().to_str().unwrap();
        let project = project("UseHostRepositories=yes\n");
        for of_host in [&[][..], &[directory], &["/nonexistent"]] {
            let (names, missing, errors) = found(&project, of_host);
            assert_eq!((names, errors), (vec!["epel".to_owned()], Vec::new()));
            assert_eq!(missing, [Missing::HostRepositories]);
        }
        std::fs::write(host.path().join("a.repo"), "[other]\nbaseurl=https://o/\n").unwrap();
        let (names, missing, _) = found(&project, &[directory]);
        assert_eq!(names, ["epel"]);
        let name = "local".to_owned();
        assert_eq!(missing, [Missing::Repository { name }]);
        std::fs::write(host.path().join("a.repo"), FILE).unwrap();
        let (names, missing, _) = found(&project, &[directory]);
        assert_eq!((names, missing), (vec!["epel".to_owned()], Vec::new()));
    }

    #[test]
    fn names_of_files_that_are_gone_are_nobodys_mistake() {
        for settings in [
            "RepositoryDirectories=gone\n",
            "[Packages]\nSkeletonTrees=gone\n",
        ] {
            let project = project(settings);
            let (names, missing, errors) = found(&project, &[]);
            assert_eq!((names, missing), (vec!["epel".to_owned()], Vec::new()));
            assert_eq!(errors, [""; 0]);
            let inputs = crate::config::missing_inputs(&project.config());
            assert_eq!(inputs.len(), 1, "{settings}");
            assert!(inputs[0].to_string().contains("gone does not exist"));
        }
        let (names, missing, _) = found(&project(""), &[]);
        assert_eq!(names, ["epel", "local"], "the distribution refuses it");
        assert_eq!(missing, []);
    }

    #[test]
    fn a_build_uses_what_is_named_of_a_skeleton_tree() {
        let project =
            project("").project_file("mkosi.skeleton/etc/yum.repos.d/a.repo", FILE, 0o644);
        let (names, missing, _) = found(&project, &[]);
        assert_eq!((names, missing), (vec!["epel".to_owned()], Vec::new()));
        let config = project.config();
        let context = crate::plan::Context {
            directory: "/".into(),
            source_date_epoch: None,
            seed: uuid::Uuid::nil(),
        };
        let plan = crate::plan::Plan::new(&config, &context).unwrap();
        let request = plan
            .actions()
            .find_map(|action| match action {
                crate::plan::Action::Install(request) => Some(request),
                _ => None,
            })
            .unwrap();
        let ids = |sources: &[crate::distro::rpm::RpmSource]| -> Vec<String> {
            sources.iter().map(|source| source.id.clone()).collect()
        };
        let rpm = request.rpm().unwrap();
        assert!(ids(&rpm.sources).contains(&"local".to_owned()));
        assert!(!ids(&rpm.sources).contains(&"other".to_owned()));
        // The tree brings its own file.
        assert!(!ids(&rpm.image_sources).contains(&"local".to_owned()));
    }

    #[test]
    fn other_distributions_have_no_such_files() {
        let config = Fixture::new().args("-d debian -r bookworm --use-host-repositories");
        let mut errors = Vec::new();
        let facts = crate::distro::debian::Debian;
        assert!(read(&config.config(), &facts, &[], &mut errors).is_none());
        assert!(errors[0].to_string().starts_with("UseHostRepositories: "));
    }
}
