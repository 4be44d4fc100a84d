//! Clear Linux through swupd. What it calls bundles are the packages here.

use std::path::Path;

use super::confined::{CACHE, Confined, TREE, WORK};
use super::{InstallError, Installer, Request, Site, cache, confined, escapes, version};
use crate::distro::{Repositories, SwupdContent, location};
use crate::host::{Command, CommandError, Host};
use crate::tree::Root;

/// Where trees have the certificate; skeleton files may bring another.
const CERTIFICATE: &str = "usr/share/clear/update-ca/Swupd_Root.pem";
/// A file of each installed bundle's name.
const BUNDLES: &str = "usr/share/clear/bundles";
/// Where swupd in the image looks for another mirror than its own.
const MIRRORS: [&str; 2] = ["etc/swupd/mirror_contenturl", "etc/swupd/mirror_versionurl"];

/// Installs with the host's swupd.
#[derive(Clone, Copy, Debug)]
pub struct Swupd;

impl Installer for Swupd {
    fn name(&self) -> &'static str {
        "swupd"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["swupd", "systemd-nspawn"]
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        escapes::refuse(&site.root)?;
        run(request, site, host, false)?;
        let root = Root::open(&site.root)?;
        if let Some(url) = &content(request)?.image_url {
            for path in MIRRORS {
                if !root.exists(path)? {
                    root.write(path, url, 0o644)?;
                }
            }
        }
        refuse_excluded(request, &root)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        run(request, site, host, true)?;
        refuse_excluded(request, &Root::open(&site.root)?)
    }

    fn commands(
        &self,
        request: &Request,
        _site: &Site,
        filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        let url = content(request)?.url.as_deref();
        Ok(vec![
            Command::new("swupd").args(words(request, url, filled)?),
        ])
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        Ok(vec![version::of("swupd", "swupd", host)?])
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        let place = Confined::new(site, "swupd", None)?;
        let mut words = common("bundle-remove");
        words.push("--".to_owned());
        words.extend(packages.iter().cloned());
        host.run(place.command("swupd", words, host)?)
            .map_err(|e| explain("removing bundles failed", e))?;
        Ok(())
    }
}

fn content(request: &Request) -> Result<&SwupdContent, InstallError> {
    match &request.repositories {
        Repositories::Swupd(swupd) => Ok(swupd),
        _ => Err(request.other_kind("swupd")),
    }
}

/// The command, and what all commands need: the tree, and a place for downloads outside of it.
fn common(command: &str) -> Vec<String> {
    vec![
        command.to_owned(),
        format!("--path={TREE}"),
        format!("--statedir={CACHE}"),
        "--no-progress".to_owned(),
        // The build installs boot loaders itself.
        "--no-boot-update".to_owned(),
        "--yes".to_owned(),
    ]
}

/// swupd's words for installing what is requested, into a tree that holds bundles, or an empty one.
fn words(request: &Request, url: Option<&str>, filled: bool) -> Result<Vec<String>, InstallError> {
    let mut words = common(if filled { "bundle-add" } else { "os-install" });
    // Bundles that others only recommend.
    words.push("--skip-optional".to_owned());
    if let Some(url) = url {
        if url.starts_with("http:") {
            // Content is signed, however it comes.
            words.push("--allow-insecure-http".to_owned());
        }
        words.push(format!("--url={url}"));
    }
    if content(request)?.check_keys {
        words.push(format!("--certpath={WORK}/certificate.pem"));
    } else {
        words.push("--nosigcheck".to_owned());
    }
    if filled {
        words.push("--".to_owned());
        words.extend(request.packages.iter().cloned());
    } else {
        words.push(format!("--version={}", request.release));
        words.push(format!("--bundles={}", request.packages.join(",")));
    }
    Ok(words)
}

fn run(request: &Request, site: &Site, host: &Host, filled: bool) -> Result<(), InstallError> {
    let swupd = content(request)?;
    let _lock = cache::lock(request, host)?;
    let mut place = Confined::new(site, "swupd", request.cache.as_deref())?;
    let url = swupd.url.as_deref().map(|url| place.address(url));
    if let Some(url) = url.as_deref().filter(|url| !location::is_one_word(url)) {
        return Err(InstallError::Address {
            manager: "swupd",
            address: url.escape_debug().to_string(),
        });
    }
    if swupd.check_keys {
        certificate(swupd, site, place.work())?;
    }
    let words = words(request, url.as_deref(), filled)?;
    host.run(place.command("swupd", words, host)?)
        .map_err(|e| explain("installing bundles failed", e))?;
    Ok(())
}

/// Copies the certificate: the project's, or the host's.
fn certificate(swupd: &SwupdContent, site: &Site, work: &Path) -> Result<(), InstallError> {
    let of_tree = Root::open(&site.root)?.read_if_present(CERTIFICATE)?;
    let of_host = || {
        swupd
            .certificates
            .iter()
            .find_map(|path| std::fs::read(path).ok())
    };
    let Some(content) = of_tree.or_else(of_host) else {
        return Err(InstallError::Keyring {
            path: Path::new("/").join(CERTIFICATE),
            package: format!(
                "that has swupd, or put the certificate into mkosi.skeleton/{CERTIFICATE}"
            ),
        });
    };
    let path = work.join("certificate.pem");
    std::fs::write(&path, content).map_err(|source| InstallError::Prepare { path, source })
}

/// swupd cannot leave a bundle out that another one includes.
fn refuse_excluded(request: &Request, root: &Root) -> Result<(), InstallError> {
    for name in &request.excluded {
        if root.exists(Path::new(BUNDLES).join(name))? {
            return Err(InstallError::Excluded {
                package: name.clone(),
            });
        }
    }
    Ok(())
}

/// Turns swupd's failure into an error that says what to do. Its exit statuses are in swupd(1).
fn explain(what: &str, source: CommandError) -> InstallError {
    let (code, tail) = match &source {
        CommandError::Cancelled => return InstallError::Cancelled,
        CommandError::Failed { code, tail, .. } => (*code, tail.as_str()),
        _ => (None, ""),
    };
    let hint = confined::hint(tail).or_else(|| code.and_then(hint).map(str::to_owned));
    InstallError::Command {
        what: what.to_owned(),
        hint: hint.map_or_else(String::new, |hint| format!("\n{hint}")),
        source,
    }
}

fn hint(code: i32) -> Option<&'static str> {
    Some(match code {
        2 => "a bundle that every system needs cannot be removed",
        3 => "there is no such bundle: check Packages= for a misspelled name",
        4 | 8 | 16 | 17 | 23 => {
            "content could not be read: check Mirror=, Release= and the network; Clear Linux has not \
             been maintained since July 2025, and its own server may be gone"
        }
        21 | 24 => {
            "a signature could not be verified: put the certificate of the content into \
             mkosi.skeleton/usr/share/clear/update-ca/Swupd_Root.pem"
        }
        22 => "the clock of this host is wrong",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::Distribution;
    use crate::installer::testing::place;

    fn request(check_keys: bool) -> Request {
        Request {
            distribution: Distribution::Clear,
            release: "latest".into(),
            architecture: "x86_64".into(),
            packages: vec!["os-core".into(), "editors".into()],
            excluded: vec!["games".into()],
            repositories: Repositories::Swupd(SwupdContent {
                url: Some("http://m/update".to_owned()),
                image_url: Some("http://m/update".to_owned()),
                certificates: Vec::new(),
                check_keys,
            }),
            with_docs: false,
            with_changelogs: false,
            skip_initrds: false,
            cache: None,
            lock: None,
        }
    }

    #[test]
    fn command_lines_are_complete() {
        let place = place();
        let (site, host, recorder) = (&place.site, &place.host, &place.recorder);

        let error = Swupd.install(&request(true), site, host).unwrap_err();
        assert!(error.to_string().contains("Swupd_Root.pem"), "{error}");
        assert!(recorder.lines().is_empty());

        let root = Root::open(&site.root).unwrap();
        root.write(CERTIFICATE, "certificate", 0o644).unwrap();
        Swupd.install(&request(true), site, host).unwrap();
        let line = recorder.lines().pop().unwrap();
        assert!(
            line.ends_with(
                "swupd os-install --path=/run/mkosi/tree --statedir=/run/mkosi/cache --no-progress \
                 --no-boot-update --yes --skip-optional --allow-insecure-http \
                 --url=http://m/update --certpath=/run/mkosi/manager/certificate.pem \
                 --version=latest --bundles=os-core,editors"
            ),
            "{line}"
        );
        assert_eq!(root.read(MIRRORS[0]).unwrap(), b"http://m/update");

        Swupd.add(&request(false), site, host).unwrap();
        let line = recorder.lines().pop().unwrap();
        assert!(line.contains(" --nosigcheck "), "{line}");
        assert!(line.ends_with(" -- os-core editors"), "{line}");

        root.write("usr/share/clear/bundles/games", "", 0o644)
            .unwrap();
        let error = Swupd.install(&request(true), site, host).unwrap_err();
        assert!(error.to_string().contains("!games"), "{error}");

        Swupd.remove(&["editors".to_owned()], site, host).unwrap();
        let line = recorder.lines().pop().unwrap();
        assert!(
            line.contains("swupd bundle-remove --path=/run/mkosi/tree"),
            "{line}"
        );
    }

    #[test]
    fn exit_statuses_have_hints() {
        assert!(hint(3).unwrap().contains("Packages="));
        assert!(hint(16).unwrap().contains("Mirror="));
        assert!(hint(21).unwrap().contains("certificate"));
        assert_eq!(hint(1), None);
    }
}
