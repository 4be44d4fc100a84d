//! pacman's configuration for a tree: nothing of the host's counts.

use std::fmt::Write as _;

use super::{TREE, WORK};
use crate::distro::{PacmanRepositories, location};
use crate::installer::confined::CACHE;
use crate::installer::{InstallError, Request};

/// Documentation; licences are elsewhere, in usr/share/licenses.
const DOCUMENTATION: [&str; 8] = [
    "usr/share/doc/*",
    "usr/share/gtk-doc/*",
    "usr/share/help/*",
    "usr/share/info/*",
    "usr/share/man/*",
    "usr/share/omf/*",
    "usr/share/gnome/help/*",
    // As everywhere: who redistributes a program must give its terms.
    "!usr/share/doc/*/[Cc][Oo][Pp][Yy]*",
];

/// What any use of pacman on a tree needs. Downloads are made as root: the user that newer releases
/// know for it may not enter the directories of the build.
fn options() -> String {
    format!(
        "[options]\n\
         RootDir = {TREE}\n\
         DBPath = {TREE}/var/lib/pacman/\n\
         CacheDir = {CACHE}/\n\
         HookDir = {TREE}/etc/pacman.d/hooks/\n\
         GPGDir = {WORK}/gnupg/\n\
         LogFile = {WORK}/pacman.log\n"
    )
}

/// The configuration for removing packages.
pub(super) fn for_removal() -> String {
    options()
}

/// How signatures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signatures {
    /// As the request says.
    AsAsked,
    /// As the request says, where packages have one; databases have none.
    WhereThereAre,
}

/// The configuration for installing, from `pacman` with addresses as they are inside.
///
/// # Errors
/// When something cannot be a value there.
pub(super) fn text(
    request: &Request,
    pacman: &PacmanRepositories,
    signatures: Signatures,
) -> Result<String, InstallError> {
    let mut text = options();
    // As in Arch's own configuration: packages must be signed, and databases if they are.
    let level = match signatures {
        _ if !pacman.check_keys => "Never",
        Signatures::AsAsked => "Required DatabaseOptional",
        Signatures::WhereThereAre => "PackageOptional DatabaseNever",
    };
    let _ = writeln!(text, "SigLevel = {level}");
    let architectures = match pacman.architectures.is_empty() {
        true => &request.architecture,
        false => &pacman.architectures.join(" "),
    };
    let _ = writeln!(text, "Architecture = {architectures}");
    if !pacman
        .options
        .iter()
        .any(|l| l.starts_with("ParallelDownloads"))
    {
        text.push_str("ParallelDownloads = 5\n");
    }
    for line in &pacman.options {
        let _ = writeln!(text, "{line}");
    }
    if !request.with_docs {
        let _ = writeln!(text, "NoExtract = {}", DOCUMENTATION.join(" "));
    }
    if !request.excluded.is_empty() {
        let _ = writeln!(text, "IgnorePkg = {}", request.excluded.join(" "));
    }
    for repository in &pacman.repositories {
        let _ = write!(text, "\n[{}]\n", repository.name);
        if repository.signed_database && pacman.check_keys {
            text.push_str("SigLevel = Required DatabaseRequired\n");
        }
        for server in &repository.servers {
            if !location::is_one_word(server) {
                return Err(InstallError::Address {
                    manager: "pacman",
                    address: server.escape_debug().to_string(),
                });
            }
            let _ = writeln!(text, "Server = {server}");
        }
    }
    Ok(text)
}
