//! Which state of the repositories apt's lists are of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::distro::provenance::Snapshot;
use crate::host::hex;
use crate::installer::InstallError;

/// The ends of the names of files that everything in a repository follows from, the better one last.
const FILES: [&str; 2] = ["_Release", "_InRelease"];

/// The repositories that the lists in `lists` are of.
///
/// # Errors
/// When a list cannot be read.
pub(super) fn read(lists: &Path) -> Result<Vec<Snapshot>, InstallError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Prepare { path, source }
    };
    let mut found = BTreeMap::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(lists).map_err(failed(lists))? {
        names.push(entry.map_err(failed(lists))?.file_name());
    }
    for end in FILES {
        for name in &names {
            let Some(above) = name.to_str().and_then(|name| name.strip_suffix(end)) else {
                continue;
            };
            let path = lists.join(name);
            let text = fs::read(&path).map_err(failed(&path))?;
            let snapshot = Snapshot {
                list: format!("{}/{}", address(above), &end[1..]),
                date: date(&String::from_utf8_lossy(&text)),
                sha256: hex(&Sha256::digest(&text)),
            };
            found.insert(above.to_owned(), snapshot);
        }
    }
    Ok(found.into_values().collect())
}

/// The address that apt's name of a file stands for: its slashes are underscores there, and its
/// underscores are written as `%5f`.
fn address(name: &str) -> String {
    let mut address = name.replace('_', "/");
    for (written, character) in [("%5f", "_"), ("%7e", "~"), ("%2b", "+"), ("%25", "%")] {
        address = address.replace(written, character);
    }
    address
}

fn date(text: &str) -> Option<String> {
    let date = text.lines().find_map(|line| line.strip_prefix("Date:"))?;
    Some(date.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_one_state() {
        let lists = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(lists.path().join(name), text).unwrap();
        write("deb.example_d_dists_a_InRelease", "Suite: a\nDate: now\n");
        write("deb.example_d_dists_a_Release", "Date: another\n");
        write("_srv_my%5frepo_dists_b_Release", "Suite: b\n");
        write("_srv_my%5frepo_dists_b_Release.gpg", "");
        write("deb.example_d_dists_a_main_binary-amd64_Packages", "");
        let found = read(lists.path()).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.list.as_str(), one.date.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("/srv/my_repo/dists/b/Release", None),
                ("deb.example/d/dists/a/InRelease", Some("now")),
            ]
        );
        assert_eq!(
            found[1].sha256,
            hex(&Sha256::digest("Suite: a\nDate: now\n"))
        );
    }
}
