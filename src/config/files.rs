//! Finds and reads the settings files of a project.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Context;
use super::error::{ConfigError, Findings, Warning};
use super::ini::{self, Document};
use super::message::Escaped;

/// No settings file comes near this; what does is something else, such as `/dev/zero`.
const LARGEST: u64 = 1 << 20;
/// How many files in a row may do no more than name the next.
const MOST_LINKS: usize = 8;

/// One settings file.
#[derive(Debug)]
pub(super) struct SettingsFile {
    /// As the user would name it.
    pub name: PathBuf,
    pub document: Document,
}

/// Reads `mkosi.default`, or the file that was asked for, and then its drop-ins.
pub(super) fn read(
    asked: Option<&Path>,
    context: &Context,
    found: &mut Findings,
) -> Vec<SettingsFile> {
    let main = asked.unwrap_or_else(|| Path::new("mkosi.default"));
    let mut files = Vec::new();
    let mut exists = false;
    match read_one(main, context, found) {
        Ok(file) => {
            exists = true;
            files.push(file);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            exists = true;
            found.error(ConfigError::Read {
                path: main.to_owned(),
                source,
            });
        }
    }
    let mut drop_ins = main.as_os_str().to_owned();
    drop_ins.push(".d");
    let drop_ins = PathBuf::from(drop_ins);
    match names_in(&drop_ins, context, found) {
        Ok(names) => {
            exists = true;
            for name in names {
                match read_one(&name, context, found) {
                    Ok(file) => files.push(file),
                    Err(source) => found.error(ConfigError::Read { path: name, source }),
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => found.error(ConfigError::Read {
            path: drop_ins,
            source,
        }),
    }
    if let Some(asked) = asked.filter(|_| !exists) {
        found.error(ConfigError::NoSettingsFile(asked.to_owned()));
    }
    files
}

/// The drop-ins in byte order of their names.
fn names_in(dir: &Path, context: &Context, found: &mut Findings) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(context.absolute(dir))? {
        let name = entry?.file_name();
        let bytes = name.as_bytes();
        if bytes.starts_with(b".") || bytes.ends_with(b"~") {
            continue;
        }
        let path = dir.join(&name);
        match std::fs::metadata(context.absolute(&path)) {
            Ok(meta) if meta.is_file() => names.push(path),
            Ok(meta) => {
                let kind = if meta.is_dir() {
                    "a directory"
                } else {
                    "not a regular file"
                };
                found.warn(Warning::at(
                    Escaped(&path.to_string_lossy()),
                    format_args!("{kind}: not read"),
                ));
            }
            Err(source) => found.error(ConfigError::Read { path, source }),
        }
    }
    names.sort_by(|a, b| {
        a.as_os_str()
            .as_encoded_bytes()
            .cmp(b.as_os_str().as_bytes())
    });
    Ok(names)
}

/// The settings files for `--all`: every `mkosi.*` of a directory, also one that has only drop-ins
/// (`mkosi.x.d/` without `mkosi.x`), in byte order.
///
/// # Errors
/// When the directory cannot be read or has no such file.
pub fn all_settings_files(
    directory: &Path,
    context: &Context,
) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(context.absolute(directory)).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let bytes = name.as_bytes();
        // The lock of a settings file is beside it.
        let is_lock = bytes.ends_with(b".lock");
        if !bytes.starts_with(b"mkosi.") || bytes.ends_with(b"~") || is_lock {
            continue;
        }
        let drop_ins = bytes.strip_suffix(b".d");
        let is_directory = context.absolute(&directory.join(&name)).is_dir();
        match drop_ins.filter(|_| is_directory) {
            Some(main) => names.insert(directory.join(OsStr::from_bytes(main))),
            None if is_directory => continue,
            None => names.insert(directory.join(&name)),
        };
    }
    if names.is_empty() {
        return Err(failed(io::Error::other(
            "there is no settings file mkosi.* in it",
        )));
    }
    Ok(names.into_iter().collect())
}

fn read_one(name: &Path, context: &Context, found: &mut Findings) -> io::Result<SettingsFile> {
    let mut name = name.to_owned();
    for _ in 0..MOST_LINKS {
        let bytes = read_bytes(&context.absolute(&name))?;
        let Some(target) = link_target(&bytes, &name, context) else {
            let document = ini::parse(&bytes);
            return Ok(SettingsFile { name, document });
        };
        found.warn(Warning::at(
            Escaped(&name.to_string_lossy()),
            format_args!(
                "holds the path of a link, as git leaves it where it cannot make links; reading {} in its place",
                Escaped(&target.to_string_lossy())
            ),
        ));
        name = target;
    }
    Err(io::Error::other("too many links"))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(
            "larger than 1 MiB, this is no settings file",
        ));
    }
    Ok(bytes)
}

/// Where git has no symbolic links (`core.symlinks=false`), it writes a link's target into a
/// regular file. Such a text is no settings file, so that nothing else can be meant.
fn link_target(bytes: &[u8], name: &Path, context: &Context) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_end_matches(['\r', '\n']);
    let plain =
        !text.is_empty() && text.len() < 4096 && !text.contains(['\n', '=', '[', '#', ';', '\0']);
    let target = name.parent()?.join(Some(text).filter(|_| plain)?);
    context.absolute(&target).is_file().then_some(target)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::all_settings_files;
    use crate::config::testing::Fixture;

    #[test]
    fn files_may_be_missing_unless_they_are_asked_for() {
        assert_eq!(Fixture::new().json("Format"), "\"gpt_ext4\"");
        let fixture = Fixture::new().project_file("only.d/x", "[Output]\nFormat=tar\n", 0o644);
        assert_eq!(fixture.args("--default=only").json("Format"), "\"tar\"");
        let errors = Fixture::new().args("--default=other").errors();
        assert_eq!(errors, ["the settings file other does not exist"]);
    }

    #[test]
    fn the_text_of_a_link_is_followed() {
        let fixture =
            Fixture::with("files/a").project_file("files/a", "[Output]\nFormat=tar\n", 0o644);
        assert_eq!(fixture.json("Format"), "\"tar\"");
        assert!(fixture.warnings()[0].contains("reading files/a in its place"));
        let errors = Fixture::with("files/a").errors();
        assert_eq!(
            errors,
            ["mkosi.default:1: expected Key=Value, found files/a"]
        );
        let errors = Fixture::with("mkosi.default").errors();
        assert_eq!(errors, ["cannot read mkosi.default: too many links"]);
    }

    #[test]
    fn what_is_not_a_file_is_not_passed_over_in_silence() {
        let fixture = Fixture::new().directory("p/mkosi.default.d/sub");
        assert_eq!(
            fixture.warnings(),
            ["mkosi.default.d/sub: a directory: not read"]
        );
        let errors = Fixture::new().directory("p/mkosi.default").errors();
        assert!(
            errors[0].starts_with("cannot read mkosi.default: Is a directory"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_huge_or_hostile_file_is_refused_without_fuss() {
        let errors = Fixture::with(&"a".repeat(10_000_000)).errors();
        assert_eq!(
            errors,
            ["cannot read mkosi.default: larger than 1 MiB, this is no settings file"]
        );
        let many = |line: &str| format!("[Packages]\n{}", line.repeat(300_000 / line.len()));
        assert!(Fixture::with(&many("a=\n")).warnings().len() < 30);
        assert!(Fixture::with(&many("Formta=tar\n")).warnings().len() < 30);
        assert!(Fixture::with(&many("[x]\n")).warnings().len() < 30);
        assert!(Fixture::with(&many("WithDocs=perhaps\n")).errors().len() < 30);
        assert!(Fixture::with(&many("WithDocs=1\n")).warnings().len() < 30);
        let lines: String = (0..50_000)
            .map(|n| format!("Packages=p{n}\nEnvironment=A{n}=1\n"))
            .collect();
        let lines = &lines[..lines.len().min(1_000_000)];
        assert!(
            Fixture::with(&lines[..=lines.rfind('\n').unwrap()])
                .load()
                .is_ok()
        );
        let words: String = (0..60_000).map(|n| format!(" p{n}")).collect();
        let fixture = Fixture::with(&format!(
            "[Packages]\nPackages={words}\nEnvironment={}",
            words.replace(' ', " A=")
        ));
        assert_eq!(fixture.config().packages.install().len(), 60_000);
    }

    #[test]
    fn all_finds_files_and_drop_ins() {
        let fixture = Fixture::new()
            .project_file("mkosi.files/mkosi.b", "", 0o644)
            .project_file("mkosi.files/mkosi.a.d/x", "", 0o644)
            .project_file("mkosi.files/mkosi.b~", "", 0o644)
            .project_file("mkosi.files/README", "", 0o644);
        let dir = PathBuf::from("mkosi.files");
        let files = all_settings_files(&dir, &fixture.context()).unwrap();
        assert_eq!(files, [dir.join("mkosi.a"), dir.join("mkosi.b")]);
        assert!(all_settings_files(&PathBuf::from("none"), &fixture.context()).is_err());
    }
}
