//! Repository files: dnf and zypper read the same form of them, and not quite the same words.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::distro::rpm::{Location, RpmSource};

/// Who reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::installer) enum Dialect {
    /// dnf and yum.
    Dnf,
    /// zypper.
    Zypper,
}

/// A repository, with files or addresses of the keys that sign it.
pub(in crate::installer) fn repository_file(
    source: &RpmSource,
    keys: &[String],
    dialect: Dialect,
) -> String {
    let mut text = format!("[{}]\nname={}\nenabled=1\n", source.id, source.name);
    // Lists of addresses are separated by white space and commas.
    let kept: &[u8] = match source.location {
        Location::BaseUrl(_) => b"%",
        Location::Metalink(_) | Location::MirrorList(_) => b"%,",
    };
    let address = encoded(source.location.address().as_bytes(), kept);
    let _ = match source.location {
        Location::BaseUrl(_) => writeln!(text, "baseurl={address}"),
        Location::Metalink(_) => writeln!(text, "metalink={address}"),
        Location::MirrorList(_) => writeln!(text, "mirrorlist={address}"),
    };
    let flag = |yes| u8::from(yes);
    let _ = writeln!(text, "gpgcheck={}", flag(source.check_packages));
    match dialect {
        Dialect::Dnf => {
            let _ = writeln!(text, "repo_gpgcheck={}", flag(source.check_metadata));
            text.push_str("skip_if_unavailable=0\n");
        }
        Dialect::Zypper => {
            let _ = writeln!(text, "repo_gpgcheck={}", flag(source.check_metadata));
            // A signed list vouches for every package in it, by checksum.
            let each = source.check_packages && !source.check_metadata;
            let _ = writeln!(text, "pkg_gpgcheck={}", flag(each));
            text.push_str("autorefresh=1\nkeeppackages=1\ntype=rpm-md\n");
        }
    }
    if !keys.is_empty() {
        let _ = writeln!(text, "gpgkey={}", keys.join("\n       "));
    }
    text
}

/// A repository of this build's own, in a directory, with packages that need no signature.
pub(super) fn own_repository(id: &str, directory: &Path, dialect: Dialect) -> String {
    let source = RpmSource {
        id: id.to_owned(),
        name: id.to_owned(),
        location: Location::BaseUrl(file_url(directory)),
        keys: Vec::new(),
        check_packages: false,
        check_metadata: false,
        added: false,
    };
    repository_file(&source, &[], dialect)
}

/// A file as a URL.
pub(super) fn file_url(path: &Path) -> String {
    format!("file://{}", encoded(path.as_os_str().as_bytes(), b""))
}

/// What a URL cannot hold as `%20` and its like; a URL that somebody wrote has some of these already.
fn encoded(text: &[u8], kept: &[u8]) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric()
            || b"-._~/:@!$&()*+;=?#[]".contains(byte)
            || kept.contains(byte)
        {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Files as URLs.
pub(in crate::installer) fn file_urls(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| file_url(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(check_packages: bool, check_metadata: bool) -> RpmSource {
        RpmSource {
            id: "oss".into(),
            name: "openSUSE".into(),
            location: Location::BaseUrl("file:///srv/oss".into()),
            keys: Vec::new(),
            check_packages,
            check_metadata,
            added: false,
        }
    }

    #[test]
    fn addresses_are_one_word() {
        assert_eq!(
            file_url(Path::new("/my keys/50%,é")),
            "file:///my%20keys/50%25%2C%C3%A9"
        );
        let mut source = source(true, false);
        source.location = Location::BaseUrl("file:///my mirror/a%20b".into());
        let text = repository_file(&source, &[], Dialect::Dnf);
        assert!(
            text.contains("baseurl=file:///my%20mirror/a%20b\n"),
            "{text}"
        );
        let list = "https://mirrors.example/metalink?repo=x&arch=y&protocol=https,http";
        source.location = Location::Metalink(list.into());
        let text = repository_file(&source, &[], Dialect::Dnf);
        assert!(text.contains("protocol=https,http\n"), "{text}");
    }

    #[test]
    fn checks_are_written_for_each_reader() {
        let keys = ["file:///k/a".to_owned(), "file:///k/b".to_owned()];
        assert_eq!(
            repository_file(&source(true, true), &keys, Dialect::Dnf),
            "[oss]\nname=openSUSE\nenabled=1\nbaseurl=file:///srv/oss\ngpgcheck=1\nrepo_gpgcheck=1\n\
             skip_if_unavailable=0\ngpgkey=file:///k/a\n       file:///k/b\n"
        );
        let zypper = |packages, metadata| {
            let text = repository_file(&source(packages, metadata), &[], Dialect::Zypper);
            let lines: Vec<_> = text
                .lines()
                .filter(|l| l.contains("gpgcheck"))
                .map(str::to_owned)
                .collect();
            lines.join(" ")
        };
        assert_eq!(
            zypper(true, true),
            "gpgcheck=1 repo_gpgcheck=1 pkg_gpgcheck=0"
        );
        assert_eq!(
            zypper(true, false),
            "gpgcheck=1 repo_gpgcheck=0 pkg_gpgcheck=1"
        );
        assert_eq!(
            zypper(false, false),
            "gpgcheck=0 repo_gpgcheck=0 pkg_gpgcheck=0"
        );
    }
}
