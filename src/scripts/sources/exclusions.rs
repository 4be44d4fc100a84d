//! What is never copied with the sources, whatever the settings say.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Working directories, locks and cached images of this program, by the beginning of their names.
const OWN: [&str; 5] = [
    ".mkosi-work-",
    ".mkosi-out-",
    ".mkosi-lock-",
    ".mkosi-initrds",
    ".mkosi-layers",
];

/// Paths relative to the sources that are left out.
#[derive(Debug, Default)]
pub(super) struct Exclusions(HashSet<PathBuf>);

impl Exclusions {
    /// Those of the host's paths `left_out` that are in the directory `sources`. The directory itself
    /// is never left out: a project whose output goes beside its sources has both in one.
    pub fn new(sources: &Path, left_out: &[PathBuf]) -> Self {
        let top = real(sources);
        let inside = left_out.iter().filter_map(|path| {
            // Where the path leads through links, its name is what is met in the sources; where the
            // name itself is a link, that link is.
            let parent = path.parent().map(real)?;
            let found = parent.join(path.file_name()?);
            Some(found.strip_prefix(&top).ok()?.to_owned())
        });
        Self(inside.filter(|path| *path != Path::new("")).collect())
    }

    /// Whether this path, relative to the sources, is left out.
    pub fn leave_out(&self, path: &Path) -> bool {
        path.file_name().is_some_and(is_own) || self.0.contains(path)
    }
}

fn is_own(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    OWN.iter().any(|own| name.starts_with(own.as_bytes()))
}

/// The path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        if let Ok(found) = above.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(found, |path: PathBuf, name: &&OsStr| path.join(name));
        }
        missing.extend(above.file_name());
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_builds_write_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("real");
        std::fs::create_dir_all(top.join("sub")).unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        symlink("/var/cache", top.join("mkosi.cache")).unwrap();
        let host = |path: &str| dir.path().join(path);
        let left_out = [
            host("link/mkosi.cache"),
            host("real/image.raw"),
            host("real/sub/out/deep"),
            host("link"),
            host("real"),
            host("elsewhere"),
            PathBuf::from("/"),
        ];
        for sources in ["real", "link"] {
            let exclusions = Exclusions::new(&host(sources), &left_out);
            for (path, out) in [
                ("mkosi.cache", true),
                ("image.raw", true),
                ("sub/image.raw", false),
                ("sub/out/deep", true),
                ("sub/out", false),
                ("sub", false),
                ("elsewhere", false),
                (".mkosi-initrds", true),
                (".mkosi-layers", true),
                ("sub/.mkosi-work-abcdef", true),
                (".mkosi-lock-image", true),
                (".mkosi", false),
                (".mkosi-fedora", false),
            ] {
                assert_eq!(
                    exclusions.leave_out(Path::new(path)),
                    out,
                    "{sources}/{path}"
                );
            }
        }
    }
}
