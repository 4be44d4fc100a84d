//! Whether a directory is in a git working tree, which some ways to transfer sources need.

use std::path::Path;

use super::error::ConfigError;
use super::values::SourceTransfer;
use super::{Config, SETTINGS};

/// Whether `path` is in a git working tree.
pub(super) fn is_git_tree(path: &Path) -> bool {
    path.ancestors().any(|dir| dir.join(".git").exists())
}

/// The settings that ask git for the sources where there is no working tree.
pub(super) fn missing(config: &Config) -> Vec<ConfigError> {
    let asks = |transfer: SourceTransfer| {
        matches!(
            transfer,
            SourceTransfer::CopyGitCached | SourceTransfer::CopyGitOthers
        )
    };
    let found = !config.build_sources.exists() || is_git_tree(&config.build_sources);
    let settings = [
        ("SourceFileTransfer", Some(config.source_file_transfer)),
        ("SourceFileTransferFinal", config.source_file_transfer_final),
    ];
    settings
        .into_iter()
        .filter(|(name, transfer)| {
            let row = SETTINGS.iter().find(|row| row.spec.name == *name);
            !found && transfer.is_some_and(asks) && row.is_some_and(|row| row.spec.matters(config))
        })
        .map(|(name, _)| {
            ConfigError::Conflict(format!(
                "{}: BuildSources is not in a git working tree, so git cannot tell which files are \
                 sources; {name}=copy-all copies every file",
                config.origins.quoted(name)
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::missing_inputs;
    use crate::config::testing::Fixture;

    #[test]
    fn git_is_only_asked_in_a_working_tree() {
        for (args, git, problem) in [
            ("", false, ""),
            ("--source-file-transfer=copy-git-cached", true, ""),
            (
                "--source-file-transfer=copy-git-others",
                false,
                "SourceFileTransfer=copy-git-others",
            ),
            (
                "--source-file-transfer-final=copy-git-cached",
                false,
                "SourceFileTransferFinal=",
            ),
            ("--source-file-transfer=mount", false, ""),
            (
                "--build-sources=nowhere --source-file-transfer=copy-git-cached",
                false,
                "nowhere",
            ),
        ] {
            let mut fixture = Fixture::new()
                .project_file("mkosi.build", "", 0o755)
                .args(args);
            if git {
                fixture = fixture.directory("p/.git");
            }
            let config = fixture.config();
            let found: Vec<String> = missing_inputs(&config)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(
                found.len(),
                usize::from(!problem.is_empty()),
                "{args}: {found:?}"
            );
            assert!(
                found.iter().all(|text| text.contains(problem)),
                "{args}: {found:?}"
            );
        }
        let unused = Fixture::new().args("--source-file-transfer=copy-git-cached");
        assert!(missing_inputs(&unused.config()).is_empty());
    }
}
