//! What every way of installing Debian packages shares: repositories, keyrings, files in the tree.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{InstallError, Request, Site, cache, escapes};
use crate::distro::MergedUsr;
use crate::host::{CommandError, Host, Lock};
use crate::tree::Root;

/// The package that stands for a merged `/usr`.
pub const USR_IS_MERGED: &str = "usr-is-merged";

/// Directories that are links into `/usr`, by Debian's name of the architecture. As in
/// `setup_merged_usr` of debootstrap's functions.
fn merged_directories(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" => &["bin", "sbin", "lib", "lib32", "lib64", "libx32"],
        "i386" => &["bin", "sbin", "lib", "lib64", "libx32"],
        "ppc64el" | "ppc64" | "loong64" => &["bin", "sbin", "lib", "lib64"],
        "s390x" => &["bin", "sbin", "lib", "lib32"],
        "mips64el" => &["bin", "sbin", "lib", "lib32", "lib64", "libo32"],
        _ => &["bin", "sbin", "lib"],
    }
}

/// Makes the links of a merged `/usr` in an empty tree, before skeleton files come in.
///
/// # Errors
/// The tree cannot be changed.
pub fn prepare_merged_usr(request: &Request, root: &Path) -> Result<(), InstallError> {
    if request.apt()?.merged_usr == MergedUsr::Packages {
        return Ok(());
    }
    for directory in merged_directories(&request.architecture) {
        let target = Path::new("usr").join(directory);
        make_directory(&root.join(&target))?;
        let link = root.join(directory);
        match symlink(&target, &link) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(InstallError::Prepare {
                    path: link,
                    source: e,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Files that only the installation needs, and what they replaced.
#[derive(Debug)]
pub struct Temporary {
    root: Root,
    kept: Vec<(&'static str, Kept)>,
}

/// What had a name before the installation.
#[derive(Debug)]
enum Kept {
    Nothing,
    File(Vec<u8>),
    Link(PathBuf),
}

/// Pins packages that were excluded so that no dependency brings them in.
const EXCLUDED: &str = "etc/apt/preferences.d/00mkosi-excluded";
/// Keeps documentation from being unpacked, now and when the image installs more later.
const NO_DOCS: &str = "etc/dpkg/dpkg.cfg.d/01_nodoc";
/// Lets change logs in during the installation: dpkg heeds the last filter that fits.
const CHANGELOGS: &str = "etc/dpkg/dpkg.cfg.d/02mkosi-changelogs";
/// Where the repositories of the image stand.
const SOURCES: &str = "etc/apt/sources.list";
/// Files that bootstrapping tools copy from the host into the tree.
const FROM_HOST: [&str; 2] = ["etc/resolv.conf", "etc/hostname"];

/// Writes what dpkg and apt shall find in the tree before the first package is unpacked.
///
/// # Errors
/// When the tree cannot be changed, or a link in it would lead package managers to the host.
pub fn prepare(request: &Request, root: &Path) -> Result<Temporary, InstallError> {
    escapes::refuse(root)?;
    prepare_filled(request, root)
}

/// As [`prepare`], for a tree that holds packages, whose links lead where they will lead in the image:
/// nothing of the host may write to such a tree by its path.
///
/// # Errors
/// When the tree cannot be changed.
pub fn prepare_filled(request: &Request, root: &Path) -> Result<Temporary, InstallError> {
    let tree = Root::open(root)?;
    let mut kept = Vec::new();
    for path in FROM_HOST.into_iter().chain([EXCLUDED, CHANGELOGS]) {
        kept.push((path, take(&tree, path)?));
    }
    if !request.excluded.is_empty() {
        let pin = format!(
            "Package: {}\nPin: release *\nPin-Priority: -1\n",
            request.excluded.join(" ")
        );
        tree.write(EXCLUDED, pin, 0o644)?;
    }
    if !request.with_docs && !tree.exists(NO_DOCS)? {
        tree.write(NO_DOCS, no_docs(), 0o644)?;
    }
    if !request.with_docs && request.with_changelogs {
        tree.write(
            CHANGELOGS,
            "path-include=/usr/share/doc/*/changelog*\n",
            0o644,
        )?;
    }
    if request.apt()?.merged_usr == MergedUsr::LinksAndPackage && !tree.exists(DPKG_STATUS)? {
        tree.write(DPKG_STATUS, usr_is_merged_place_holder(), 0o644)?;
    }
    Ok(Temporary { root: tree, kept })
}

/// Takes a file out of the tree; a link is never left for a tool to write through.
fn take(tree: &Root, path: &str) -> Result<Kept, InstallError> {
    let kept = match tree.read_link(path)? {
        Some(target) => Kept::Link(target),
        None => tree
            .read_if_present(path)?
            .map_or(Kept::Nothing, Kept::File),
    };
    tree.remove_file(path)?;
    Ok(kept)
}

impl Temporary {
    /// Puts back what the installation replaced, and sets the image's own repositories up.
    ///
    /// # Errors
    /// When the tree cannot be changed.
    pub fn finish(self, request: &Request) -> Result<(), InstallError> {
        for (path, kept) in self.kept {
            match kept {
                Kept::Nothing => drop(self.root.remove_file(path)?),
                Kept::File(content) => self.root.write(path, content, 0o644)?,
                Kept::Link(target) => self.root.symlink(target, path)?,
            }
        }
        let mut list = String::new();
        for source in &request.apt()?.image_sources {
            list.push_str(&source.line(true));
            list.push('\n');
        }
        if !list.is_empty() {
            self.root.write(SOURCES, list, 0o644)?;
        }
        Ok(())
    }
}

/// dpkg's database of installed packages.
pub(super) const DPKG_STATUS: &str = "var/lib/dpkg/status";

/// An entry of the lowest version keeps `usrmerge` out until the real package, which is among those
/// to install, takes its place.
fn usr_is_merged_place_holder() -> String {
    format!(
        "Package: {USR_IS_MERGED}\nStatus: install ok installed\nPriority: optional\n\
         Section: oldlibs\nMaintainer: mkosi\nArchitecture: all\nMulti-Arch: foreign\n\
         Version: 0~\nDescription: stands for a merged /usr during installation\n\n"
    )
}

/// dpkg's filter of a tree without documentation. Copyright files stay: licences require them.
fn no_docs() -> String {
    let mut text = String::from("# Written because the image is built without documentation.\n");
    for path in [
        "/usr/share/doc/*",
        "/usr/share/man/*",
        "/usr/share/groff/*",
        "/usr/share/info/*",
        "/usr/share/lintian/*",
        "/usr/share/linda/*",
        "/usr/share/gtk-doc/*",
        "/usr/share/gnome/help/*",
    ] {
        let _ = writeln!(text, "path-exclude={path}");
    }
    text.push_str("path-include=/usr/share/doc/*/copyright\n");
    text
}

/// Where apt finds the keys of repositories that name none.
const TRUSTED: &str = "etc/apt/trusted.gpg.d";

/// Collects the keyrings that repositories may be signed with in one directory for apt: the
/// distribution's, and those that skeleton files put into the tree.
///
/// # Errors
/// A keyring cannot be copied, or is missing where the tree has no keys of its own.
pub fn keyrings(request: &Request, site: &Site) -> Result<PathBuf, InstallError> {
    let directory = keyring_directory(site);
    make_directory(&directory)?;
    let tree = Root::open(&site.root)?;
    let of_tree = if tree.is_dir(TRUSTED)? {
        tree.list(TRUSTED)?
    } else {
        Vec::new()
    };
    for (index, keyring) in request.apt()?.keyrings.iter().enumerate() {
        match copy_keyring(keyring, &directory, &format!("host-{index}")) {
            // The project's own keys may be all that it takes; without the right one apt fails.
            Err(InstallError::Keyring { .. }) if !of_tree.is_empty() => {}
            result => result?,
        }
    }
    for entry in of_tree {
        let path = Path::new(TRUSTED).join(&entry.name);
        if let Some(content) = tree.read_if_present(&path)? {
            let target = directory.join(&entry.name);
            std::fs::write(&target, content).map_err(|source| InstallError::Prepare {
                path: target.clone(),
                source,
            })?;
        }
    }
    Ok(directory)
}

/// Where [`keyrings`] collects them.
pub fn keyring_directory(site: &Site) -> PathBuf {
    site.scratch.join("keyrings")
}

fn copy_keyring(keyring: &Path, directory: &Path, name: &str) -> Result<(), InstallError> {
    // apt tells armoured and binary keyrings apart by their suffix.
    let suffix = keyring
        .extension()
        .map_or("gpg", |e| if e == "asc" { "asc" } else { "gpg" });
    let target = directory.join(format!("{name}.{suffix}"));
    match std::fs::copy(keyring, &target) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(InstallError::Keyring {
            path: keyring.to_owned(),
            package: keyring
                .file_stem()
                .map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }),
        Err(source) => Err(InstallError::Prepare {
            path: target,
            source,
        }),
    }
}

pub(super) fn make_directory(path: &Path) -> Result<(), InstallError> {
    std::fs::create_dir_all(path).map_err(|source| InstallError::Prepare {
        path: path.to_owned(),
        source,
    })
}

/// Turns a package manager's failure into an error that says what to do.
pub(super) fn explain(what: &str, request: Option<&Request>, source: CommandError) -> InstallError {
    let tail = match &source {
        CommandError::Cancelled => return InstallError::Cancelled,
        CommandError::Failed { tail, .. } => tail.as_str(),
        _ => "",
    };
    let release = request.map_or("the release", |r| r.release.as_str());
    let mirror = request
        .and_then(|r| r.apt().ok()?.sources.first())
        .map_or("the mirror", |s| s.uri.as_str());
    InstallError::Command {
        what: what.to_owned(),
        hint: hint(tail, release, mirror).map_or_else(String::new, |h| format!("\n{h}")),
        source,
    }
}

/// What the words of apt mean for someone who wrote a settings file.
fn hint(tail: &str, release: &str, mirror: &str) -> Option<String> {
    for line in tail.lines() {
        if let Some((_, name)) = line.split_once("Unable to locate package ") {
            return Some(format!(
                "there is no package {} in {release}: check Packages= for a misspelled name, or \
                 add the repository that has it with Repositories=",
                name.trim()
            ));
        }
        if let Some((_, rest)) = line.split_once("E: Package '") {
            if let Some((name, _)) = rest.split_once("' has no installation candidate") {
                return Some(format!(
                    "the package {name} exists in {release} only by name: nothing provides it"
                ));
            }
        }
    }
    if tail.contains("is expired (invalid since") || tail.contains("is not valid yet") {
        return Some(format!(
            "the lists of packages of {mirror} are of another time: the mirror is no longer updated, \
             or this machine's clock is wrong"
        ));
    }
    if tail.contains("is no longer signed") {
        return Some(format!(
            "{mirror} was signed when it was read last, and is not any more: somebody may have \
             changed it"
        ));
    }
    if ["Hash Sum mismatch", "unexpected size"]
        .iter()
        .any(|sign| tail.contains(sign))
    {
        return Some(format!(
            "what {mirror} sends is not what its signed lists describe: try again later, or another \
             Mirror="
        ));
    }
    if tail.contains("unsupported filetype") {
        return Some(
            "a keyring is of no kind that apt reads: in mkosi.skeleton/etc/apt/trusted.gpg.d/, names \
             of binary keys end in .gpg, and of armoured ones in .asc"
                .to_owned(),
        );
    }
    if [
        "NO_PUBKEY",
        "is not signed",
        "EXPKEYSIG",
        "BADSIG",
        "signatures were invalid",
        "signature verification",
    ]
    .iter()
    .any(|sign| tail.contains(sign))
    {
        return Some(format!(
            "the signature of {mirror} could not be verified: put the repository's key into \
             mkosi.skeleton/etc/apt/trusted.gpg.d/, or update the host's keyring"
        ));
    }
    if [
        "Could not resolve",
        "Could not connect",
        "Connection refused",
        "Connection timed out",
        "Failed to fetch",
        "unable to connect",
        "does not have a Release file",
        "no longer has a Release file",
    ]
    .iter()
    .any(|sign| tail.contains(sign))
    {
        return Some(format!(
            "{release} could not be read from {mirror}: check Mirror=, Release= and the network"
        ));
    }
    None
}

/// Opens the package cache, makes it if needed, and waits until no other build uses it: apt's own
/// lock would fail instead.
///
/// # Errors
/// When the cache cannot be made, has links in it, or the build was interrupted.
pub fn lock_cache(request: &Request, host: &Host) -> Result<Option<Lock>, InstallError> {
    let Some(cache) = &request.cache else {
        return Ok(None);
    };
    make_directory(&cache.join("partial"))?;
    let lock = cache::lock(request, host)?;
    // apt writes there as root, on the host, and so does this program.
    for directory in ["partial", "apt"] {
        cache::refuse_links(&cache.join(directory))?;
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_setting() {
        let cases = [
            (
                "\n  E: Unable to locate package nosuch",
                "no package nosuch in bookworm",
            ),
            (
                "\n  Err:1 Could not resolve 'nowhere.invalid'",
                "check Mirror=",
            ),
            (
                "\n  W: GPG error: NO_PUBKEY 0E98404D386FA1D9",
                "could not be verified",
            ),
        ];
        for (tail, expected) in cases {
            let hint = hint(tail, "bookworm", "http://m").unwrap();
            assert!(hint.contains(expected), "{hint}");
        }
        assert_eq!(hint("\n  Segmentation fault", "bookworm", "http://m"), None);
    }
}
