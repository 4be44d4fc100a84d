//! Which sources go into an image, and what never does.

use std::path::PathBuf;

use super::{Action, Plan};
use crate::config::Config;
use crate::config::values::SourceTransfer;
use crate::output::Artifacts;
use crate::scripts::sources::Sources;

/// What a project's directory has of this program's, none of which are sources: what builds keep
/// there, and secrets.
const OF_PROJECTS: [&str; 10] = [
    "mkosi.builddir",
    "mkosi.cache",
    "mkosi.includedir",
    "mkosi.installdir",
    "mkosi.output",
    "mkosi.passphrase",
    "mkosi.rootpw",
    "mkosi.secure-boot.key",
    "mkosi.secureboot.key",
    "mkosi.workspace",
];

/// The sources of a configuration, transferred in this way.
pub(super) fn sources(config: &Config, transfer: SourceTransfer) -> Sources {
    let places = [&config.project.directory, &config.build_sources];
    let named = places
        .iter()
        .flat_map(|place| OF_PROJECTS.iter().map(|name| place.join(name)));
    let set = [
        &config.base_image,
        &config.build_directory,
        &config.cache,
        &config.include_directory,
        &config.install_directory,
        &config.output_directory,
        &config.workspace_directory,
        &config.secure_boot_key,
        &config.project.passphrase,
        &config.revealed,
    ];
    let artifacts = Artifacts::new(&config.output);
    // A project may have checksums of its own under the name that has nothing of the image's.
    let sums = [artifacts.checksums(), artifacts.signature()];
    let written = artifacts.all().into_iter();
    let written = written.filter(|path| config.checksum || !sums.contains(path));
    let mut left_out: Vec<PathBuf> = named
        .chain(set.into_iter().flatten().cloned())
        .chain(written)
        .collect();
    left_out.sort();
    left_out.dedup();
    Sources {
        path: config.build_sources.clone(),
        transfer,
        left_out,
    }
}

impl Plan {
    /// Keeps more files and directories out of the sources: what other images of the same run write.
    pub fn leave_out(&mut self, paths: &[PathBuf]) {
        for step in &mut self.steps {
            if let Action::CopySources(sources) = &mut step.action {
                sources.left_out.extend_from_slice(paths);
                sources.left_out.sort();
                sources.left_out.dedup();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    #[test]
    fn what_builds_write_and_secrets_are_no_sources() {
        let fixture = Fixture::new()
            .project_file("mkosi.build", "", 0o755)
            .args("--build-sources=src --build-dir=/elsewhere/objects --output=made/x.raw")
            .args("--workspace-dir=w --install-dir=i --cache=c");
        let config = fixture.config();
        let sources = sources(&config, SourceTransfer::CopyAll);
        let project = &config.project.directory;
        assert_eq!(sources.path, project.join("src"));
        for path in [
            "mkosi.output",
            "src/mkosi.cache",
            "mkosi.rootpw",
            "/elsewhere/objects",
            "made/x.raw",
            "made/x.manifest",
            "w",
            "i",
            "c",
        ] {
            let path = project.join(path);
            assert!(sources.left_out.contains(&path), "{path:?}");
        }
        let sums = |flags: &str| {
            let fixture = Fixture::new().project_file("mkosi.build", "", 0o755);
            let config = fixture.args(flags).config();
            let sums = config.project.directory.join("SHA256SUMS");
            super::sources(&config, SourceTransfer::CopyAll)
                .left_out
                .contains(&sums)
        };
        assert!(sums("--checksum") && sums("--sign") && !sums(""));
    }
}
