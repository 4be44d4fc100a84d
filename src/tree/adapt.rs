//! Files of a tree that are no content themselves but say how to make some: patches and templates.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::copy::Select;
use super::error::TreeError;
use super::patch;
use super::root::Root;
use super::shown::shown;
use super::stat::Kind;

/// What a file of a tree is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It is copied.
    File,
    /// It is applied to the file of the image that it is named for.
    Patch,
    /// It is rendered to the path that it is named for.
    Template,
}

/// What names end in, by role.
const SUFFIXES: [(&str, Role); 4] = [
    (".makeimg.patch", Role::Patch),
    (".mkosi.patch", Role::Patch),
    (".makeimg.template", Role::Template),
    (".mkosi.template", Role::Template),
];

/// A file that goes into the image, or says how something in there is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// Its path in the tree.
    pub path: PathBuf,
    /// What it is for.
    pub role: Role,
    /// The path in the image that it is for.
    pub target: PathBuf,
}

/// The role of a file by its name, and the path that it is for.
#[must_use]
pub fn role(path: &Path) -> (Role, PathBuf) {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let found = SUFFIXES.iter().find_map(|(suffix, role)| {
        let stem = name.strip_suffix(suffix.as_bytes())?;
        (!stem.is_empty()).then(|| (*role, path.with_file_name(OsStr::from_bytes(stem))))
    });
    found.unwrap_or_else(|| (Role::File, path.to_owned()))
}

/// Leaves out of a copy what is no content.
#[must_use]
pub fn content_only(path: &Path, kind: Kind) -> Select {
    match role(path).0 {
        Role::File => Select::Copy,
        _ if kind == Kind::Directory => Select::Copy,
        _ => Select::Skip,
    }
}

/// The files of the directory `tree`, and its links, in the order of their names; nothing of an archive,
/// in which names mean nothing but themselves. Something that is named like a patch or a template and is
/// no regular file is neither.
///
/// # Errors
/// The path that cannot be read.
pub fn inputs(tree: &Path) -> Result<Vec<Input>, TreeError> {
    let mut inputs = Vec::new();
    if !tree.is_dir() {
        return Ok(inputs);
    }
    for entry in WalkDir::new(tree).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|e| {
            let path = shown(e.path().unwrap_or(tree));
            TreeError::io("read", path, e)
        })?;
        let kind = entry.file_type();
        let path = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let (role, target) = role(path);
        if kind.is_file() || (kind.is_symlink() && role == Role::File) {
            inputs.push(Input {
                path: path.to_owned(),
                role,
                target,
            });
        }
    }
    Ok(inputs)
}

/// Applies every patch of the directory `tree` to the image; the patched file keeps mode and owner, and
/// a link to it is followed beneath the image's root. `hint` tells what to do where there is no such
/// file. Returns how many patches there were.
///
/// # Errors
/// The first patch that has no file, or that does not fit it.
pub fn apply_patches(root: &Root, tree: &Path, hint: &str) -> Result<usize, TreeError> {
    let mut applied = 0;
    for input in inputs(tree)? {
        if input.role != Role::Patch {
            continue;
        }
        let source = tree.join(&input.path);
        let failed = |problem: String| TreeError::Patch {
            patch: shown(&source),
            path: shown(Path::new("/").join(&input.target)),
            problem,
        };
        let text = std::fs::read(&source).map_err(|e| TreeError::io("read", shown(&source), e))?;
        let patch = patch::parse(&text).map_err(|e| failed(e.to_string()))?;
        if root.read_if_present(&input.target)?.is_none() {
            return Err(failed(format!("the image has no such file{hint}")));
        }
        root.update(&input.target, |old| {
            patch::apply(&patch, old).map_err(|e| failed(e.to_string()))
        })?;
        applied += 1;
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn names_tell_roles() {
        for (name, expected, target) in [
            ("etc/motd", Role::File, "etc/motd"),
            ("etc/motd.makeimg.patch", Role::Patch, "etc/motd"),
            ("etc/motd.mkosi.patch", Role::Patch, "etc/motd"),
            ("motd.mkosi.template", Role::Template, "motd"),
            ("a.makeimg.template", Role::Template, "a"),
            ("a.patch", Role::File, "a.patch"),
            ("x/.mkosi.patch", Role::File, "x/.mkosi.patch"),
            (
                "a.mkosi.patch.mkosi.template",
                Role::Template,
                "a.mkosi.patch",
            ),
        ] {
            assert_eq!(role(Path::new(name)), (expected, target.into()), "{name}");
        }
    }

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const HUNK: &str = "--- nowhere/else\n+++ ../../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn lists_what_is_there() {
        let tree = tree(&[
            ("b.mkosi.patch", ""),
            ("etc/x.makeimg.template", ""),
            ("etc/x", ""),
            ("d.mkosi.patch/inside", ""),
        ]);
        symlink("x", tree.path().join("etc/link")).unwrap();
        symlink("x", tree.path().join("etc/link.mkosi.patch")).unwrap();
        let found: Vec<_> = inputs(tree.path())
            .unwrap()
            .into_iter()
            .map(|input| (input.path.to_string_lossy().into_owned(), input.role))
            .collect();
        let expected = [
            ("b.mkosi.patch", Role::Patch),
            ("d.mkosi.patch/inside", Role::File),
            ("etc/link", Role::File),
            ("etc/x", Role::File),
            ("etc/x.makeimg.template", Role::Template),
        ];
        assert_eq!(found, expected.map(|(name, role)| (name.to_owned(), role)));
        assert_eq!(inputs(&tree.path().join("etc/x")).unwrap(), []);
    }

    #[test]
    fn patches_change_the_file_that_they_are_named_for() {
        let tree = tree(&[
            ("etc/conf.mkosi.patch", HUNK),
            (
                "etc/conf.makeimg.patch",
                "@@ -0,0 +1 @@\n+first\n@@ -1 +2 @@\n a\n",
            ),
        ]);
        let image = tempfile::tempdir().unwrap();
        let real = image.path().join("usr/conf");
        fs::create_dir_all(image.path().join("etc")).unwrap();
        fs::create_dir_all(image.path().join("usr")).unwrap();
        fs::write(&real, "a\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("/usr/conf", image.path().join("etc/conf")).unwrap();
        let root = Root::open(image.path()).unwrap();
        assert_eq!(apply_patches(&root, tree.path(), "").unwrap(), 2);
        assert_eq!(fs::read_to_string(&real).unwrap(), "first\nb\n");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o640);
        let again = apply_patches(&root, tree.path(), "")
            .unwrap_err()
            .to_string();
        assert!(
            again.contains("etc/conf.makeimg.patch to /etc/conf: the change"),
            "{again}"
        );
    }

    #[test]
    fn a_link_out_of_the_image_leads_to_nothing() {
        let outside = tree(&[("conf", "a\n")]);
        let tree = tree(&[("conf.mkosi.patch", HUNK)]);
        let image = tempfile::tempdir().unwrap();
        symlink(outside.path().join("conf"), image.path().join("conf")).unwrap();
        let root = Root::open(image.path()).unwrap();
        let error = apply_patches(&root, tree.path(), "; sorry")
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("conf.mkosi.patch to /conf: the image has no such file; sorry"),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(outside.path().join("conf")).unwrap(),
            "a\n"
        );
    }
}
