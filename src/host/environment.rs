//! The environment that commands see: the user's, without what would change their work by surprise.

use std::ffi::{OsStr, OsString};

use super::SearchPath;

/// Variables that make common tools behave unlike their documentation says, or that speak of the
/// process that started this one. A trailing `*` stands for any ending.
const SURPRISES: &[&str] = &[
    // Options read from the environment.
    "APT_CONFIG",
    "BLOCK_SIZE",
    "BZIP",
    "BZIP2",
    "DF_BLOCK_SIZE",
    "DU_BLOCK_SIZE",
    "GREP_*",
    "GZIP",
    "LS_*",
    "MKE2FS_*",
    "POSIXLY_CORRECT",
    "QUOTING_STYLE",
    "RSYNC_*",
    "TAR_OPTIONS",
    "TIME_STYLE",
    "XZ_DEFAULTS",
    "XZ_OPT",
    "ZSTD_*",
    // Shells and interpreters.
    "BASHOPTS",
    "BASH_ENV",
    "BASH_FUNC_*",
    "CDPATH",
    "ENV",
    "GLOBIGNORE",
    "IFS",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "SHELLOPTS",
    // A package manager's or a build's own.
    "DNF*",
    "DPKG_*",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
    "LIBDNF*",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "RPM_*",
    "ZYPP*",
    // The service manager's word with this process.
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_*",
    "MAINPID",
    "NOTIFY_SOCKET",
    "WATCHDOG_*",
];

/// Messages are read by this program, too: they must not depend on the user's language.
const LANGUAGES: &[&str] = &["LANG", "LANGUAGE", "LC_*"];
/// The terminal's size is no matter of a command that writes to a pipe.
const TERMINAL: &[&str] = &["COLUMNS", "LINES"];
/// What [`super::Command::clean_env`] keeps.
const ESSENTIAL: &[&str] = &["HOME", "SOURCE_DATE_EPOCH", "TERM", "TMPDIR"];

/// What kind of command the environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its output is read by this program.
    Piped,
    /// As `Piped`, and of the inherited variables only the essential ones.
    Clean,
    /// It has the user's terminal, and speaks the user's language.
    Interactive,
}

/// The variables of a command of this kind, before its own are added.
pub(super) fn environment(
    kind: Kind,
    inherited: impl Iterator<Item = (OsString, OsString)>,
    search: &SearchPath,
) -> Vec<(OsString, OsString)> {
    let keep = |name: &OsStr| match kind {
        Kind::Piped => {
            !listed(SURPRISES, name) && !listed(LANGUAGES, name) && !listed(TERMINAL, name)
        }
        Kind::Clean => listed(ESSENTIAL, name),
        Kind::Interactive => !listed(SURPRISES, name),
    };
    let mut variables: Vec<_> = inherited
        .filter(|(name, _)| name != "PATH" && keep(name))
        .collect();
    variables.push(("PATH".into(), search.value()));
    if kind != Kind::Interactive {
        variables.push(("LC_ALL".into(), "C.UTF-8".into()));
    }
    variables
}

fn listed(patterns: &[&str], name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => name == pattern.as_bytes(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind) -> Vec<String> {
        let inherited = [
            "HOME",
            "PATH",
            "TMPDIR",
            "http_proxy",
            "LANG",
            "LC_MESSAGES",
            "COLUMNS",
            "TAR_OPTIONS",
            "MKE2FS_CONFIG",
            "BASH_FUNC_x%%",
            "NOTIFY_SOCKET",
            "SOURCE_DATE_EPOCH",
            "GIT_DIR",
            "GIT_AUTHOR_NAME",
        ];
        let search = SearchPath::from_environment(Vec::new());
        let inherited = inherited.iter().map(|name| (name.into(), "x".into()));
        environment(kind, inherited, &search)
            .into_iter()
            .map(|(name, value)| match name.to_str() {
                Some("LC_ALL") => format!("LC_ALL={}", value.to_string_lossy()),
                _ => name.to_string_lossy().into_owned(),
            })
            .collect()
    }

    #[test]
    fn each_kind_of_command_sees_its_own() {
        assert_eq!(
            names(Kind::Piped),
            [
                "HOME",
                "TMPDIR",
                "http_proxy",
                "SOURCE_DATE_EPOCH",
                "GIT_AUTHOR_NAME",
                "PATH",
                "LC_ALL=C.UTF-8"
            ]
        );
        assert_eq!(
            names(Kind::Clean),
            [
                "HOME",
                "TMPDIR",
                "SOURCE_DATE_EPOCH",
                "PATH",
                "LC_ALL=C.UTF-8"
            ]
        );
        assert_eq!(
            names(Kind::Interactive),
            [
                "HOME",
                "TMPDIR",
                "http_proxy",
                "LANG",
                "LC_MESSAGES",
                "COLUMNS",
                "SOURCE_DATE_EPOCH",
                "GIT_AUTHOR_NAME",
                "PATH"
            ]
        );
    }
}
