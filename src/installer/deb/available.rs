//! Which of the requested packages the repositories have, by apt's lists alone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::settings::Settings;
use super::{APT_DIRECTORIES, DPKG_STATUS, update};
use crate::config::suggest;
use crate::host::{Command, CommandError, Host, Stdout};
use crate::installer::apt;
use crate::installer::{InstallError, Request, Site, Unknown};
use crate::tree::Root;

/// Lists that are younger are not fetched again: packages are rarely renamed within a day.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// The requested packages that no repository has.
///
/// # Errors
/// When the lists can neither be fetched nor are there.
pub(super) fn unknown(
    request: &Request,
    site: &Site,
    host: &Host,
) -> Result<Vec<Unknown>, InstallError> {
    let _lock = apt::lock_cache(request, host)?;
    let keyrings = apt::keyrings(request, site)?;
    let root = Root::open(&site.root)?;
    for directory in APT_DIRECTORIES {
        root.create_dir_all(directory, 0o755)?;
    }
    root.create_dir_all("var/lib/dpkg", 0o755)?;
    root.write(DPKG_STATUS, "", 0o644)?;
    let settings = Settings::write(request, site, &keyrings, host)?;
    update::update_if_older(FRESH, &settings, request, host)?;
    let ask = |words: &[&str]| -> Result<String, InstallError> {
        let command = Command::new("apt-cache")
            .env("APT_CONFIG", &settings.file)
            .args(words)
            .stdout(Stdout::Capture);
        let output = host.run(command).map_err(|source| match source {
            CommandError::Cancelled => InstallError::Cancelled,
            source => InstallError::Command {
                what: "reading the lists of packages failed".to_owned(),
                hint: String::new(),
                source,
            },
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let text = ask(&["pkgnames"])?;
    let names: BTreeSet<&str> = text.lines().collect();
    let missing: Vec<(&str, &str)> = request
        .packages
        .iter()
        .filter_map(|wanted| Some((wanted.as_str(), plain(wanted, &names)?)))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = vec!["showpkg", "--"];
    words.extend(missing.iter().map(|(_, name)| *name));
    let text = ask(&words)?;
    let provided = provided(&text);
    Ok(missing
        .into_iter()
        .filter(|(_, name)| !provided.contains(name))
        .map(|(wanted, name)| Unknown {
            name: wanted.to_owned(),
            nearest: suggest::nearest(name, names.iter().copied()).map(str::to_owned),
        })
        .collect())
}

/// The name in what apt is asked for (`name`, `name:architecture`, `name=version`, `name/suite`) if no
/// package has it; nothing also for patterns, tasks and files.
fn plain<'a>(wanted: &'a str, names: &BTreeSet<&str>) -> Option<&'a str> {
    if names.contains(wanted) || wanted.starts_with(['.', '/', '~', '?']) {
        return None;
    }
    let name = wanted.split(['=', ':', '/']).next().unwrap_or(wanted);
    let is_pattern = name.contains(['*', '?', '^', '[', '(', '~', '|']);
    (!is_pattern && !name.is_empty() && !names.contains(name)).then_some(name)
}

/// The names that other packages provide, in what `apt-cache showpkg` says.
fn provided(text: &str) -> BTreeSet<&str> {
    let mut provided = BTreeSet::new();
    let (mut package, mut providers) = (None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            (package, providers) = (Some(name.trim()), false);
        } else if line.starts_with("Reverse Provides:") {
            providers = true;
        } else if providers && !line.trim().is_empty() {
            provided.extend(package);
        }
    }
    provided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_has() {
        let names = BTreeSet::from(["g++", "vim", "lib64z1"]);
        for (wanted, expected) in [
            ("vim", None),
            ("g++", None),
            ("vim:i386", None),
            ("vim=2:9", None),
            ("vim/bookworm-backports", None),
            ("vmi:i386", Some("vmi")),
            ("emacs", Some("emacs")),
            ("vi*", None),
            ("task-x^", None),
            ("./own.deb", None),
            ("~nvim", None),
        ] {
            assert_eq!(plain(wanted, &names), expected, "{wanted}");
        }
    }

    #[test]
    fn what_others_provide_is_there() {
        let text = "Package: awk\nVersions: \n\nReverse Depends: \n  x,awk\nDependencies: \nProvides: \n\
                    Reverse Provides: \nmawk 1.3 (= )\ngawk 5 (= )\nPackage: emcas\nVersions: \n\
                    Reverse Provides: \n";
        assert_eq!(provided(text), BTreeSet::from(["awk"]));
    }
}
