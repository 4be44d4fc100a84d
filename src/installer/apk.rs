//! Alpine Linux through apk.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::confined::{CACHE, Confined, TREE, WORK, make_directory};
use super::{InstallError, Installer, Request, Site, cache, confined, escapes, version};
use crate::distro::{ApkRepositories, Repositories, location};
use crate::host::{Command, CommandError, Host};
use crate::tree::Root;

/// Where trees have keys: skeleton files may bring some, the package alpine-keys brings the
/// distribution's.
const KEYS: &str = "etc/apk/keys";
/// Where apk in the image looks for repositories.
const REPOSITORIES: &str = "etc/apk/repositories";
/// apk's database, before and after Alpine merges /usr.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Installs with the host's apk.
#[derive(Clone, Copy, Debug)]
pub struct Apk;

impl Installer for Apk {
    fn name(&self) -> &'static str {
        "apk"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["apk", "systemd-nspawn"]
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        escapes::refuse(&site.root)?;
        add(request, site, host, false)?;
        let root = Root::open(&site.root)?;
        let apk = repositories(request)?;
        if apk.installs_keys {
            install_keys(apk, &root)?;
        }
        let lines = &apk.image_repositories;
        if !lines.is_empty() && !root.exists(REPOSITORIES)? {
            root.write(REPOSITORIES, lines.join("\n") + "\n", 0o644)?;
        }
        Ok(())
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        add(request, site, host, true)
    }

    fn commands(
        &self,
        request: &Request,
        _site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        Ok(vec![
            Command::new("apk").args(words_to_add(request, filled)?),
        ])
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        Ok(vec![version::of("apk", "apk", host)?])
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        let place = Confined::new(site, "apk", None)?;
        place.write("repositories", "")?;
        let words = words(&["--no-network"], "del", packages);
        host.run(place.command("apk", words, host)?)
            .map_err(|e| explain("removing packages failed", None, e))?;
        // It keeps what others need, says so, and succeeds.
        let installed = installed(&Root::open(&site.root)?)?;
        match packages.iter().find(|name| installed.contains(name)) {
            Some(name) => Err(InstallError::Needed {
                package: name.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn repositories(request: &Request) -> Result<&ApkRepositories, InstallError> {
    match &request.repositories {
        Repositories::Apk(apk) => Ok(apk),
        _ => Err(request.other_kind("apk")),
    }
}

/// apk's words: options that count for all of its commands, its own, the command, names.
fn words(options: &[&str], command: &str, names: &[String]) -> Vec<String> {
    let mut all = vec![
        format!("--root={TREE}"),
        format!("--repositories-file={WORK}/repositories"),
        format!("--keys-dir={WORK}/keys"),
        format!("--cache-dir={CACHE}"),
        "--no-progress".to_owned(),
    ];
    all.extend(options.iter().map(|option| (*option).to_owned()));
    all.push(command.to_owned());
    all.push("--".to_owned());
    all.extend(names.iter().cloned());
    all
}

/// apk's words for installing what is requested, into a tree that holds packages, or an empty one.
fn words_to_add(request: &Request, filled: bool) -> Result<Vec<String>, InstallError> {
    let architecture = format!("--arch={}", request.architecture);
    let mut options = vec![architecture.as_str(), "--update-cache"];
    if !repositories(request)?.check_keys {
        options.push("--allow-untrusted");
    }
    if !filled {
        options.push("--initdb");
    }
    // apk refuses to choose a package that is named like this, whatever needs it.
    let excluded = request.excluded.iter().map(|name| format!("!{name}"));
    let names: Vec<String> = request.packages.iter().cloned().chain(excluded).collect();
    Ok(words(&options, "add", &names))
}

fn add(request: &Request, site: &Site, host: &Host, filled: bool) -> Result<(), InstallError> {
    let apk = repositories(request)?;
    let _lock = cache::lock(request, host)?;
    let mut place = Confined::new(site, "apk", request.cache.as_deref())?;
    let mut lines = String::new();
    for line in &apk.repositories {
        let (tag, address) = match line.split_once(' ') {
            Some((tag, address)) => (format!("{tag} "), address),
            None => (String::new(), line.as_str()),
        };
        let address = place.address(address);
        // apk knows a repository on the disk by its path alone.
        let address = address.strip_prefix("file://").unwrap_or(&address);
        if !location::is_one_word(address) {
            return Err(InstallError::Address {
                manager: "apk",
                address: line.escape_debug().to_string(),
            });
        }
        lines.push_str(&format!("{tag}{address}\n"));
    }
    place.write("repositories", &lines)?;
    if apk.check_keys {
        keys(apk, site, place.work())?;
    } else {
        make_directory(&place.work().join("keys"))?;
    }
    let words = words_to_add(request, filled)?;
    host.run(place.command("apk", words, host)?)
        .map_err(|e| explain("installing packages failed", Some(request), e))?;
    Ok(())
}

/// Collects the keys that may sign repositories: the host's, and those of the tree.
fn keys(apk: &ApkRepositories, site: &Site, work: &Path) -> Result<(), InstallError> {
    let directory = work.join("keys");
    make_directory(&directory)?;
    let mut found = false;
    let mut write = |name: &Path, content: Vec<u8>| {
        let path = directory.join(name);
        found = true;
        std::fs::write(&path, content).map_err(|source| InstallError::Prepare { path, source })
    };
    for (name, content) in read_keys(apk)? {
        write(Path::new(name), content)?;
    }
    let tree = Root::open(&site.root)?;
    if tree.is_dir(KEYS)? {
        for entry in tree.list(KEYS)? {
            if let Some(content) = tree.read_if_present(Path::new(KEYS).join(&entry.name))? {
                write(Path::new(&entry.name), content)?;
            }
        }
    }
    if found {
        return Ok(());
    }
    Err(InstallError::Keyring {
        path: "/usr/share/apk/keys".into(),
        package: format!("alpine-keys, or put the keys into mkosi.skeleton/{KEYS}/"),
    })
}

/// Gives the image the keys that do not come with its packages.
fn install_keys(apk: &ApkRepositories, root: &Root) -> Result<(), InstallError> {
    for (name, content) in read_keys(apk)? {
        let path = Path::new(KEYS).join(name);
        if !root.exists(&path)? {
            root.create_dir_all(KEYS, 0o755)?;
            root.write(&path, content, 0o644)?;
        }
    }
    Ok(())
}

/// The keys of the request, by name.
fn read_keys(apk: &ApkRepositories) -> Result<Vec<(&OsStr, Vec<u8>)>, InstallError> {
    let named = apk.key_files.iter();
    let named = named.filter_map(|path| Some((path, path.file_name()?)));
    let read = |(path, name): (&PathBuf, _)| match std::fs::read(path) {
        Ok(content) => Ok((name, content)),
        Err(source) => Err(InstallError::Prepare {
            path: path.clone(),
            source,
        }),
    };
    named.map(read).collect()
}

/// The names of the packages in a tree.
fn installed(root: &Root) -> Result<Vec<String>, InstallError> {
    let mut names = Vec::new();
    for database in DATABASES {
        let text = root.read_if_present(database)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        names.extend(
            text.lines()
                .filter_map(|l| l.strip_prefix("P:"))
                .map(str::to_owned),
        );
    }
    Ok(names)
}

/// Turns apk's failure into an error that says what to do.
fn explain(what: &str, request: Option<&Request>, source: CommandError) -> InstallError {
    let tail = match &source {
        CommandError::Cancelled => return InstallError::Cancelled,
        CommandError::Failed { tail, .. } => tail.as_str(),
        _ => "",
    };
    let mirror = request.and_then(|request| match &request.repositories {
        Repositories::Apk(apk) => apk.repositories.first().map(String::as_str),
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

fn hint(tail: &str, mirror: &str) -> Option<String> {
    let says = |all: &[&str]| all.iter().any(|words| tail.contains(words));
    // Of a repository that cannot be used, apk only warns; then it misses the packages.
    if says(&[
        "UNTRUSTED signature",
        "untrusted",
        "BAD signature",
        "BAD archive",
    ]) {
        return Some(
            "a signature could not be verified: put the repository's key into \
             mkosi.skeleton/etc/apk/keys/ under the name that the signature has, or update the host's \
             alpine-keys"
                .to_owned(),
        );
    }
    if says(&[
        "temporary error",
        "network error",
        "network connection",
        "DNS",
        "could not connect",
        "unable to fetch",
        "APKINDEX.tar.gz: No such file",
        "opening /run/mkosi",
        "fetching http",
        "updating and opening",
    ]) && says(&["WARNING", "ERROR"])
    {
        return Some(format!(
            "packages could not be read from {mirror}: check Mirror=, Release=, Repositories= and the network"
        ));
    }
    let missing = |line: &str| {
        let name = line.trim().strip_suffix("(no such package):")?;
        Some(name.trim().to_owned())
    };
    if let Some(name) = tail.lines().find_map(missing) {
        return Some(format!(
            "there is no package {name}: check Packages= for a misspelled name, or add the repository \
             that has it with Repositories="
        ));
    }
    if tail.contains("world[!") {
        return Some(
            "a package that was taken out with ! is needed by others that are installed".to_owned(),
        );
    }
    if tail.contains("trying to overwrite") {
        return Some("two packages have the same file: leave one of them out".to_owned());
    }
    None
}

#[cfg(test)]
#[path = "apk_tests.rs"]
mod tests;
