//! What the words of pacman mean for someone who wrote a settings file.

use crate::distro::Repositories;
use crate::host::CommandError;
use crate::installer::{InstallError, Request, confined};

/// Turns pacman's failure into an error that says what to do.
pub(super) fn explain(what: &str, request: Option<&Request>, source: CommandError) -> InstallError {
    let tail = match &source {
        CommandError::Cancelled => return InstallError::Cancelled,
        CommandError::Failed { tail, .. } => tail.as_str(),
        _ => "",
    };
    let lock = request.and_then(|request| request.lock.as_ref());
    if let Some(Err(error)) = lock.map(|lock| lock.has(lacking(tail))) {
        return InstallError::Lock(error);
    }
    if let Some(package) = request.and_then(|request| excluded(tail, request)) {
        return InstallError::Excluded { package };
    }
    let mirror = request.and_then(|request| match &request.repositories {
        Repositories::Pacman(pacman) => {
            Some(pacman.repositories.first()?.servers.first()?.as_str())
        }
        _ => None,
    });
    InstallError::Command {
        what: what.to_owned(),
        hint: confined::hint(tail)
            .or_else(|| hint(tail, mirror.unwrap_or("the mirror")))
            .map_or_else(String::new, |hint| format!("\n{hint}")),
        source,
    }
}

/// What pacman names as not to be had.
fn lacking(tail: &str) -> Vec<String> {
    let name = |line: &str| {
        let target = line.split_once("target not found: ");
        let needed = || line.split_once("unable to satisfy dependency '");
        let (_, rest) = target.or_else(needed)?;
        let name = rest.trim().split(['\'', '<', '>', '=']).next()?;
        Some(name.to_owned())
    };
    tail.lines().filter_map(name).collect()
}

/// The package that was taken out and that another one needs.
fn excluded(tail: &str, request: &Request) -> Option<String> {
    let needed = tail
        .lines()
        .find_map(|line| line.split_once("unable to satisfy dependency '"))?;
    let name = needed.1.split(['\'', '<', '>', '=']).next()?;
    request.excluded.iter().find(|e| *e == name).cloned()
}

fn hint(tail: &str, mirror: &str) -> Option<String> {
    let after = |words: &str| {
        let line = tail.lines().find_map(|line| line.split_once(words))?;
        Some(line.1.trim().to_owned())
    };
    if let Some(name) = after("target not found: ") {
        return Some(format!(
            "there is no package {name}: check Packages= for a misspelled name, or add the repository \
             that has it with Repositories="
        ));
    }
    let unsigned = tail
        .lines()
        .any(|line| line.contains("failed retrieving file") && line.contains(".sig' from"));
    if unsigned || tail.contains("missing required signature") {
        return Some(
            "packages and databases must be signed; a repository without signatures cannot be used \
             unless RepositoryKeyCheck=no"
                .to_owned(),
        );
    }
    if tail.contains("corrupted package (checksum)") {
        return Some(
            "what was downloaded is not what the repository says: remove the file from Cache= and \
             try again, or choose another Mirror="
                .to_owned(),
        );
    }
    let signature = [
        "PGP signature",
        "is unknown trust",
        "is marginal trust",
        "could not be looked up",
        "required key missing",
        "could not be imported",
        "signature from",
    ];
    if signature.iter().any(|words| tail.contains(words)) {
        return Some(
            "a signature could not be verified: update the host's archlinux-keyring, or put the \
             repository's keyring (NAME.gpg and NAME-trusted) into \
             mkosi.skeleton/usr/share/pacman/keyrings/"
                .to_owned(),
        );
    }
    if let Some(needed) = after("unable to satisfy dependency ") {
        return Some(format!(
            "no repository has {needed}: add the one that does with Repositories="
        ));
    }
    if tail.contains("exists in filesystem") || tail.contains("exists in both") {
        return Some(
            "two packages, or a package and a skeleton tree, have the same file: leave one of them out"
                .to_owned(),
        );
    }
    if tail.contains("are in conflict") {
        return Some("packages that exclude each other were asked for: leave one out".to_owned());
    }
    let unreachable = [
        "failed retrieving file",
        "failed to synchronize",
        "failed to update",
        "Could not resolve host",
        "could not open file",
        "no servers configured",
    ];
    if unreachable.iter().any(|words| tail.contains(words)) {
        return Some(format!(
            "packages could not be read from {mirror}: check Mirror=, Repositories= and the network"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_setting() {
        for (tail, expected) in [
            ("\n  error: target not found: nosuch", "no package nosuch"),
            (
                "\n  error: a: missing required signature\n  error: invalid or corrupted package (PGP signature)",
                "RepositoryKeyCheck",
            ),
            (
                "\n  error: failed retrieving file 'a-1-1-any.pkg.tar.zst.sig' from disk : Couldn't open file",
                "must be signed",
            ),
            (
                "\n  error: a: signature from \"X\" is unknown trust",
                "could not be verified",
            ),
            (
                "\n  :: unable to satisfy dependency 'b' required by a",
                "no repository has 'b' required by a",
            ),
            ("\n  a: /usr/x exists in filesystem", "the same file"),
            (
                "\n  error: failed retrieving file 'core.db' from m : Could not resolve host",
                "check Mirror=",
            ),
        ] {
            let hint = hint(tail, "http://m").unwrap();
            assert!(hint.contains(expected), "{hint}");
        }
        assert_eq!(hint("\n  Segmentation fault", "http://m"), None);
    }
}
