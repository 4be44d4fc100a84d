//! What the words of dnf, zypper and rpm mean for someone who wrote a settings file.

use crate::host::CommandError;
use crate::installer::{InstallError, Request};

/// Turns a package manager's failure into an error that says what to do.
pub(in crate::installer) fn explain(
    what: &str,
    request: Option<&Request>,
    source: CommandError,
) -> InstallError {
    let tail = match &source {
        CommandError::Cancelled => return InstallError::Cancelled,
        CommandError::Failed { tail, .. } => tail.as_str(),
        _ => "",
    };
    let release = request.map_or_else(
        || "the release".to_owned(),
        |request| format!("{} {}", request.distribution.shown(), request.release),
    );
    let found = match &source {
        CommandError::Failed {
            code: Some(SKIPPED_ONE),
            ..
        } => Some(hint(tail, &release).unwrap_or_else(|| {
            format!(
                "a repository of {release} was left out because it could not be read or not be \
                 verified, which --verbose shows: check Mirror=, Repositories= and the network"
            )
        })),
        _ => hint(tail, &release),
    };
    InstallError::Command {
        what: what.to_owned(),
        hint: found.map_or_else(String::new, |hint| format!("\n{hint}")),
        source,
    }
}

/// What a package manager names as not to be had.
pub(super) fn lacking(tail: &str) -> Vec<String> {
    let lines = tail.lines();
    let names = lines.filter_map(|line| not_found(line).or_else(|| needed(line)));
    names.map(str::to_owned).collect()
}

/// Words that tell of a signature or a checksum that is not as it should be.
const UNTRUSTED: &[&str] = &[
    "is not signed",
    "GPG check FAILED",
    "GPG signature verification error",
    "Public key for",
    "Signature verification failed",
    "Signature verification for",
    "is unsigned",
    "unknown key",
    "NOKEY",
    "not trusted",
    "OpenPGP check",
    "unsigned",
    "no key",
];
const DAMAGED: &[&str] = &[
    "checksum doesn't match",
    "checksum mismatch",
    "incorrect checksum",
    "digest mismatch",
    "digest: BAD",
    "Digest verification failed",
    "integrity check",
    "No more mirrors to try",
    "Some packages have invalid cache",
];
/// Words that tell that no server answered: what comes of it reads like a damaged mirror.
const OFFLINE: &[&str] = &[
    "Could not connect",
    "Couldn't connect",
    "Failed to connect",
    "Could not resolve",
    "Couldn't resolve",
    "Connection refused",
];
const UNREACHABLE: &[&str] = &[
    "Failed to download metadata",
    "Cannot download repomd.xml",
    "All mirrors were tried",
    "Cannot prepare internal mirrorlist",
    "Valid metadata not found",
    "Failed to retrieve new repository metadata",
    "Download (curl) error",
    "Can't provide",
    "File '/repodata/repomd.xml' not found",
    "Some of the repositories have not been refreshed",
    "Skipping repository",
];

/// Words that tell of packages that cannot be there together.
const CONFLICTS: &[&str] = &[
    "conflicts with file from",
    "conflicts between attempted installs",
    "File conflicts happen",
];
/// What rpm says of a device file, which root of a container cannot make.
const DEVICE: &str = "cpio: mknod failed";
/// zypper's exit status when it did without a repository (zypper(8), "EXIT CODES").
const SKIPPED_ONE: i32 = 106;
/// Words that tell that a repository is missing.
const SKIPPED: &[&str] = &["Skipping repository", "have not been refreshed"];

fn hint(tail: &str, release: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| tail.contains(word));
    // zypper goes on without a repository, and then misses what is in it.
    let complete = !has(SKIPPED);
    if let Some(name) = tail.lines().find_map(not_found).filter(|_| complete) {
        return Some(format!(
            "there is no package {name} in {release}: check Packages= for a misspelled name, or add \
             the repository that has it with Repositories="
        ));
    }
    if let Some(name) = tail.lines().find_map(needed) {
        return Some(format!(
            "no repository has {name}, which a package needs: add the repository that has it with \
             Repositories="
        ));
    }
    if tail.contains(DEVICE) {
        return Some(
            "a package holds a device file, which nothing that runs for an image can make: leave it out of \
             Packages=, and let FinalizeScript= (mkosi.finalize), which runs on the host, put its files \
             into the image"
                .to_owned(),
        );
    }
    if has(CONFLICTS) {
        return Some(
            "two packages have the same file with different content: leave one of them out of \
             Packages="
                .to_owned(),
        );
    }
    if has(DAMAGED) && !has(OFFLINE) {
        return Some(
            "a package is not what the repository's list says: the mirror is damaged or half \
             updated; try another Mirror=, and clear the package cache with mkosi clean -ff"
                .to_owned(),
        );
    }
    if has(UNTRUSTED) {
        return Some(
            "a signature could not be verified: put the key that signs the repository's packages \
             into mkosi.skeleton/etc/pki/rpm-gpg/"
                .to_owned(),
        );
    }
    (has(UNREACHABLE) || has(OFFLINE) || !complete).then(|| {
        format!("{release} could not be read from its repositories: check Mirror=, Release= and the network")
    })
}

/// The package in a line that says that there is none of this name.
fn not_found(line: &str) -> Option<&str> {
    let line = line.trim();
    for words in [
        "No match for argument: ",
        "Unable to find a match: ",
        "No provider of '",
    ] {
        if let Some((_, rest)) = line.split_once(words) {
            let name = rest.trim().trim_end_matches("' found.");
            return name.split_whitespace().next();
        }
    }
    line.strip_prefix("Package '")?.strip_suffix("' not found.")
}

/// What a package needs that nothing has, from a line that says so.
fn needed(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("nothing provides ")?;
    let rest = rest.trim_start_matches('\'');
    rest.split([' ', '\'']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_setting() {
        for (tail, expected) in [
            (
                "\n  No match for argument: nosuch",
                "no package nosuch in Fedora",
            ),
            (
                "\n  No provider of 'nosuch' found.",
                "no package nosuch in Fedora",
            ),
            (
                "\n  Package 'nosuch' not found.",
                "no package nosuch in Fedora",
            ),
            (
                "\n   - nothing provides gone = 2 needed by x-1-1.noarch",
                "no repository has gone,",
            ),
            (
                "\n  Problem: nothing provides 'gone' needed by the to be installed x",
                "no repository has gone,",
            ),
            (
                "\n  Package x-1-1.noarch.rpm is not signed",
                "mkosi.skeleton/etc/pki/rpm-gpg/",
            ),
            (
                "\n  Error: GPG check FAILED",
                "mkosi.skeleton/etc/pki/rpm-gpg/",
            ),
            (
                "\n  Error: Failed to download metadata for repo 'fedora'",
                "check Mirror=",
            ),
            (
                "\n  Cannot download a.rpm: No more mirrors to try",
                "try another Mirror=",
            ),
            (
                "\n  Curl error (7): Could not connect to server for http://m/a.rpm\n  \
                 No more mirrors to try - All mirrors were already tried without success",
                "check Mirror=",
            ),
            (
                "\n  File /a\n    from install of\n     b-1\n  conflicts with file from install of",
                "same file",
            ),
            (
                "\n  Warning: Skipping repository 'oss' because of the above error.\n  \
                 No provider of 'bash' found.",
                "check Mirror=",
            ),
            (
                "\n  file /a conflicts between attempted installs of b-1 and c-1",
                "same file",
            ),
        ] {
            let hint = hint(tail, "Fedora Linux 44").unwrap();
            assert!(hint.contains(expected), "{tail}: {hint}");
        }
        assert_eq!(hint("\n  Segmentation fault", "Fedora Linux 44"), None);
        let without = CommandError::Failed {
            command: "zypper".into(),
            status: "exited with status 106".into(),
            code: Some(SKIPPED_ONE),
            tail: "\n  Checking for file conflicts: [......done]".into(),
        };
        let error = explain("installing packages failed", None, without).to_string();
        assert!(error.contains("left out"), "{error}");
    }
}
