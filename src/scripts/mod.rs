//! A project's own scripts: where they run and what they see.

mod build;
mod destination;
mod finalize;
mod function;
mod headers;
mod inside;
mod interpreter;
mod name_servers;
mod postinst;
mod prepare;
pub mod secrets;
pub mod sources;
pub mod templates;

use std::path::PathBuf;

use serde::Serialize;

use crate::host::{CommandError, HostError, printable_path};

pub use build::{BuildScript, Workplace, build};
pub use destination::{install, is_empty};
pub use finalize::finalize;
pub use function::{Function, Shell, Text, run_inside};
pub use headers::keep_headers;
pub use interpreter::first_line_problem;
pub use postinst::postinst;
pub use prepare::prepare;

/// The search path where this program brings programs of its own, which come first.
const PATH: &str = "/run/mkosi/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A script of the project and what it is given.
#[derive(Clone, Debug, Serialize)]
pub struct Script {
    /// The executable file on the host.
    pub path: PathBuf,
    /// The phase, `build` or `final`: its one argument, unless it is the build script.
    pub argument: &'static str,
    /// Variables that the settings ask for, then those that this program sets.
    pub environment: Vec<(String, String)>,
    /// Whether it may use the network.
    pub network: bool,
}

/// A script that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It ended with a failure.
    #[error("{name}={} ({argument}){hint}", printable_path(path))]
    Failed {
        /// The setting that names it.
        name: &'static str,
        /// The script.
        path: PathBuf,
        /// The phase.
        argument: &'static str,
        /// What to do about it, as a line of its own, or nothing.
        hint: String,
        /// How it ended.
        #[source]
        source: CommandError,
    },
    /// Its first line keeps it from being started.
    #[error("cannot run {}: {problem}", printable_path(path))]
    FirstLine {
        /// The script.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The tree could not be made ready for it.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
    /// A function of a shell file failed.
    #[error("{name}{hint}")]
    Function {
        /// Its name.
        name: String,
        /// What to do about it, as a line of its own, or nothing.
        hint: String,
        /// How it ended.
        #[source]
        source: CommandError,
    },
    /// A template could not be rendered.
    #[error("cannot render {}: {problem}", printable_path(path))]
    Template {
        /// The template.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The shell that renders templates could not do its work.
    #[error("cannot render templates")]
    Rendering(#[source] CommandError),
    /// A secret has no value.
    #[error(transparent)]
    Secret(secrets::SecretError),
    /// A file of the project, or of this program, could not be used.
    #[error("cannot {action} {}", printable_path(path))]
    File {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The operating system refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl ScriptError {
    fn file<E: Into<std::io::Error>>(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source: source.into(),
        }
    }
}

impl From<secrets::SecretError> for ScriptError {
    fn from(error: secrets::SecretError) -> Self {
        match error {
            secrets::SecretError::Cancelled => Self::Cancelled,
            error => Self::Secret(error),
        }
    }
}

/// The status with which shells say that there is no such program.
const NO_PROGRAM: i32 = 127;

/// What programs say that have no network.
const NO_NETWORK: [&str; 6] = [
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "Could not resolve",
    "Name or service not known",
    "Network is unreachable",
    "network is unreachable",
];

/// What programs say first that want to change mounts or devices.
const OUTSIDE: [&str; 6] = [
    "mount:",
    "umount:",
    "mknod:",
    "bwrap:",
    "losetup:",
    "setfiles:",
];
/// What they say when that is refused.
const REFUSED: [&str; 3] = [
    "Operation not permitted",
    "ermission denied",
    "must be superuser",
];

fn failed(
    name: &'static str,
    packages: &'static str,
    script: &Script,
    source: CommandError,
) -> ScriptError {
    let hint = match &source {
        CommandError::Cancelled => return ScriptError::Cancelled,
        CommandError::Failed { code, tail, .. } => hint(*code, tail, packages, script.network),
        _ => None,
    };
    ScriptError::Failed {
        name,
        path: script.path.clone(),
        argument: script.argument,
        hint: hint.map(|h| format!("\n{h}")).unwrap_or_default(),
        source,
    }
}

/// What the end of a script means for someone who wrote a settings file.
fn hint(code: Option<i32>, tail: &str, packages: &str, network: bool) -> Option<String> {
    if !network && NO_NETWORK.iter().any(|words| tail.contains(words)) {
        return Some("the script has no network; WithNetwork=yes gives it one".to_owned());
    }
    let is_refused = |line: &str| {
        OUTSIDE.iter().any(|program| line.contains(program))
            && REFUSED.iter().any(|words| line.contains(words))
    };
    if !packages.is_empty() && tail.lines().any(is_refused) {
        return Some(
            "inside the image nothing can be mounted, no device file be made and no security label be set; \
             FinalizeScript= (mkosi.finalize) runs on the host, where root may"
                .to_owned(),
        );
    }
    (code == Some(NO_PROGRAM) && !packages.is_empty()).then(|| {
        format!("a program that the script calls is not in the image; {packages}= adds packages")
    })
}

/// The setting that brings packages into the image in which a script runs.
fn packages_of(script: &Script) -> &'static str {
    match script.argument {
        "final" => "Packages",
        _ => "BuildPackages",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_have_a_usual_cause_name_it() {
        for (code, tail, network, part) in [
            (127, "\n  meson: not found", false, "BuildPackages= adds"),
            (
                1,
                "\n  curl: (6) Could not resolve host: x",
                false,
                "WithNetwork=yes",
            ),
            (1, "\n  curl: (6) Could not resolve host: x", true, ""),
            (2, "\n  error", false, ""),
            (
                32,
                "\n  mount: /mnt: permission denied.",
                false,
                "mkosi.finalize",
            ),
            (
                1,
                "\n  mknod: /dev/x: Operation not permitted",
                true,
                "mkosi.finalize",
            ),
            (1, "\n  cat: /root: Permission denied", true, ""),
        ] {
            let found = hint(Some(code), tail, "BuildPackages", network).unwrap_or_default();
            assert_eq!(part.is_empty(), found.is_empty(), "{tail}: {found}");
            assert!(found.contains(part), "{tail}: {found}");
        }
        assert_eq!(hint(Some(127), "", "", false), None);
    }
}
