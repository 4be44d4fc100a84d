//! The settings files of `--all`, each read as its own configuration.

use std::path::{Path, PathBuf};

use super::super::terminal;
use super::complaints::Complaints;
use crate::cli::Invocation;
use crate::config::{self, Config, Context, Request};

/// One settings file and what it says.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the image is called while it is built: the file's name without `mkosi.`.
    pub name: String,
    /// The settings file, as the user would name it.
    pub file: PathBuf,
    /// Everything that is set.
    pub config: Config,
}

/// Reads all settings files, each as if it were named with `--default=`. Warnings are said.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn read(invocation: &Invocation, context: &Context) -> Result<Vec<Target>, Complaints> {
    let mut wrong = Complaints::default();
    let mut warnings = Complaints::default();
    let mut targets = Vec::new();
    let files = config::all_settings_files(&invocation.globals.all_directory, context)
        .unwrap_or_else(|error| {
            wrong.add_common(error.to_string());
            Vec::new()
        });
    for file in files {
        let request = Request {
            settings_file: Some(file.clone()),
            ..invocation.request.clone()
        };
        let noticed = match config::load(&request, context) {
            Ok(loaded) => {
                targets.push(Target {
                    name: name(&file),
                    file: file.clone(),
                    config: loaded.config,
                });
                loaded.warnings
            }
            Err(errors) => {
                for error in &errors.errors {
                    wrong.add(&file, error.to_string());
                }
                errors.warnings
            }
        };
        for warning in noticed {
            warnings.add(&file, warning.to_string());
        }
    }
    for warning in warnings.lines() {
        terminal::complain(format_args!("warning: {warning}"));
    }
    if wrong.is_empty() {
        Ok(targets)
    } else {
        Err(wrong)
    }
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_prefix("mkosi.") {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::config::testing::Fixture;

    fn invocation(args: &str) -> Invocation {
        cli::parse(args.split_whitespace().map(Into::into)).unwrap()
    }

    #[test]
    fn each_file_is_a_configuration_of_its_own() {
        let fixture = Fixture::with("[Output]\nHostname=not-read\nFormat=gpt_xfs\n")
            .project_file("mkosi.files/mkosi.b", "[Output]\nOutput=b\n", 0o644)
            .project_file(
                "mkosi.files/mkosi.b.d/10-more",
                "[Output]\nHostname=more\n[Packages]\nPackages=one\n",
                0o644,
            )
            .project_file("mkosi.files/mkosi.a.d/x", "[Output]\nOutput=a\n", 0o644);
        let targets = read(
            &invocation("--all -ttar --package=two --hostname="),
            &fixture.context(),
        );
        let seen: Vec<String> = targets
            .unwrap()
            .iter()
            .map(|target| {
                format!(
                    "{} {} {} {:?} {}",
                    target.name,
                    target.config.format,
                    target.config.output.file_name().unwrap().to_string_lossy(),
                    target.config.hostname,
                    target.config.packages.install().join(" ")
                )
            })
            .collect();
        assert_eq!(seen, ["a tar a None two", "b tar b None two one"]);
    }

    #[test]
    fn all_that_is_wrong_is_reported_with_its_file() {
        let fixture = Fixture::new()
            .project_file("files/mkosi.a", "[Output]\nFormat=floppy\n", 0o644)
            .project_file("files/mkosi.b", "[Output]\n", 0o644)
            .project_file("files/mkosi.c", "nonsense\n", 0o644);
        let context = fixture.context();
        let wrong = read(&invocation("--all --all-directory=files"), &context).unwrap_err();
        let lines: Vec<String> = wrong.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("files/mkosi.a:2: Format=floppy: "));
        assert!(lines[1].starts_with("files/mkosi.c:1: "), "{lines:?}");
        let wrong = read(&invocation("--all --root-size=much"), &fixture.context());
        assert_eq!(wrong.unwrap_err().lines().count(), 1);
    }

    #[test]
    fn names() {
        for (file, expected) in [
            ("mkosi.files/mkosi.web", "web"),
            ("mkosi.files/mkosi.web.conf", "web.conf"),
            ("mkosi.files/mkosi.", "mkosi."),
        ] {
            assert_eq!(name(Path::new(file)), expected);
        }
    }
}
