//! Addresses of repositories: URLs, and paths on this host.

use std::path::PathBuf;

/// A location without slashes at its end; a path becomes a URL.
pub(crate) fn url(location: &str) -> String {
    let location = location.trim_end_matches('/');
    match location.strip_prefix('/') {
        Some(path) => format!("file:///{}", path.replace('%', "%25").replace(' ', "%20")),
        None => location.to_owned(),
    }
}

/// The path that a URL stands for, if it is on this host.
pub(crate) fn path(url: &str) -> Option<PathBuf> {
    let path = ["file:", "copy:"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))?;
    let path = path.strip_prefix("//").unwrap_or(path);
    path.starts_with('/')
        .then(|| PathBuf::from(path.replace("%20", " ").replace("%25", "%")))
}

/// Whether an entry of `Repositories=` is an address: anything with a scheme, or a path.
pub(super) fn is_address(entry: &str) -> bool {
    entry.contains("://") || entry.starts_with('/') || entry.starts_with("file:/")
}

/// Whether a text is safe as one word of a line in a configuration file.
pub(crate) fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls() {
        for (location, expected, at) in [
            ("http://x/y/", "http://x/y", None),
            ("/srv/a b", "file:///srv/a%20b", Some("/srv/a b")),
            ("file:///srv/x", "file:///srv/x", Some("/srv/x")),
            ("file:/srv/x", "file:/srv/x", Some("/srv/x")),
        ] {
            assert_eq!(url(location), expected);
            assert_eq!(path(expected), at.map(PathBuf::from), "{location}");
        }
    }
}
