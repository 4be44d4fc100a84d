//! The files of a project that count because they are there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Findings, Warning};
use super::message::Escaped;
use super::origin::Origin;
use super::settings::{Layer, SETTINGS};
use super::spec::Auto;
use super::table::{Assignment, Row};
use super::values::{Place, Secret, Value as _};
use super::{Config, Context, ImageSh, Imgbuild, ShellProject, git_tree};
use crate::host::may_own_secret;

/// The passphrase of encrypted partitions; it has no setting.
const PASSPHRASE: &str = "mkosi.passphrase";
/// The longest password that is read, in bytes.
const LONGEST_PASSWORD: u64 = 4096;
/// Permission bits that let others at a file.
const OTHERS: u32 = 0o077;

/// What belongs to a project without being a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The project's directory.
    pub directory: PathBuf,
    /// The settings files that were read, in order, as the user would name them.
    pub settings_files: Vec<PathBuf>,
    /// `mkosi.passphrase`, if it is there.
    pub passphrase: Option<PathBuf>,
    /// The shell file that describes it in place of settings files.
    pub shell: Option<ShellProject>,
}

impl Project {
    /// The project's `IMGBUILD`.
    #[must_use]
    pub fn imgbuild(&self) -> Option<&Imgbuild> {
        self.shell.as_ref().and_then(ShellProject::imgbuild)
    }

    /// The project's `image.sh`.
    #[must_use]
    pub fn image_sh(&self) -> Option<&ImageSh> {
        self.shell.as_ref().and_then(ShellProject::image_sh)
    }
}

/// Sets what nobody set and what a file of the project stands for.
pub(super) fn detect(layer: &mut Layer, context: &Context, found: &mut Findings) {
    for row in SETTINGS {
        if (row.is_set)(layer) {
            continue;
        }
        if let Auto::SecretText(name) = row.spec.auto {
            if is(Kind::File, name, row, context, found) {
                set_secret(row, layer, name, context, found);
            }
        }
        for name in present(row, context, found) {
            set(row, layer, &name, &name, context, found);
        }
    }
}

/// The names of what is there and sets this setting as a path.
fn present(row: &Row, context: &Context, found: &mut Findings) -> Vec<String> {
    let mut is = |kind, name: &str| is(kind, name, row, context, found).then(|| name.to_owned());
    match row.spec.auto {
        Auto::Nothing | Auto::SecretText(_) => Vec::new(),
        Auto::File(names) | Auto::SecretFile(names) => {
            Vec::from_iter(names.iter().find_map(|name| is(Kind::File, name)))
        }
        Auto::Script(name) => Vec::from_iter(is(Kind::File, name)),
        Auto::Directory(name) => Vec::from_iter(is(Kind::Directory, name)),
        Auto::Tree(name) => {
            let directory = is(Kind::Directory, name);
            let archive = is(Kind::File, &format!("{name}.tar"));
            directory.into_iter().chain(archive).collect()
        }
    }
}

/// The project's passphrase file, if it is there.
pub(super) fn passphrase(context: &Context, found: &mut Findings) -> Option<PathBuf> {
    let path = context.absolute(Path::new(PASSPHRASE));
    let meta = fs::metadata(&path).ok()?;
    check_secret(Path::new(PASSPHRASE), &meta, &context.directory, found);
    Some(path)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Directory,
}

/// Whether `name` is there and is what it should be; the wrong kind of file is not passed over in
/// silence.
fn is(kind: Kind, name: &str, row: &Row, context: &Context, found: &mut Findings) -> bool {
    let Ok(meta) = fs::metadata(context.absolute(Path::new(name))) else {
        return false;
    };
    let fits = match kind {
        Kind::File => meta.is_file(),
        Kind::Directory => meta.is_dir(),
    };
    if !fits {
        let should = if kind == Kind::File {
            "a regular file"
        } else {
            "a directory"
        };
        found.warn(Warning::at(
            name,
            format_args!("not {should}: not used as {}", row.spec.name),
        ));
    }
    fits
}

fn set(
    row: &Row,
    layer: &mut Layer,
    text: &str,
    name: &str,
    context: &Context,
    found: &mut Findings,
) {
    let origin = Origin::Project(name.into());
    let assignment = Assignment {
        text,
        place: Place::File,
        origin: origin.clone(),
    };
    if let Err(why) = (row.assign)(layer, &assignment, context) {
        found.error(ConfigError::value(origin, row.spec.name, None, why));
    }
}

fn set_secret(row: &Row, layer: &mut Layer, name: &str, context: &Context, found: &mut Findings) {
    let path = context.absolute(Path::new(name));
    match read_secret(&path) {
        Ok(text) => {
            if text.chars().any(char::is_control) {
                let why = "expected one line without control characters";
                found.file_errors.push(ConfigError::NoPassword {
                    path: name.into(),
                    why,
                });
            }
            set(row, layer, &text, name, context, found);
        }
        // Asking for the summary needs no root; a build checks before it uses the password.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            layer.password.value = Some(Some(Secret::unreadable()));
            layer.password.origins = vec![Origin::Project(name.into())];
            found.warn(Warning::at(
                name,
                "cannot be read by this user; a build has to read it",
            ));
        }
        Err(source) => found.error(ConfigError::Read {
            path: name.into(),
            source,
        }),
    }
    if let Ok(meta) = fs::metadata(&path) {
        check_secret(Path::new(name), &meta, &context.directory, found);
    }
}

/// The text of a file, without the newline at its end.
fn read_secret(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LONGEST_PASSWORD + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_PASSWORD {
        return Err(io::Error::other(
            "longer than 4096 bytes, this is no password",
        ));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Checks the file that holds a secret, behind any link to it.
fn check_secret(name: &Path, meta: &fs::Metadata, directory: &Path, found: &mut Findings) {
    if !may_own_secret(meta.uid(), directory) {
        found.file_errors.push(ConfigError::SecretOfAnother {
            path: name.to_owned(),
            uid: meta.uid(),
        });
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        found.file_errors.push(ConfigError::OpenSecret {
            path: name.to_owned(),
            mode,
        });
    }
}

/// Checks scripts and secret files that are there, whoever named them.
pub(super) fn check(config: &Config, found: &mut Findings) {
    for row in SETTINGS {
        for path in (row.paths)(config) {
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            let name = shown(&path, config);
            match row.spec.auto {
                Auto::Script(_) if !meta.is_file() => {
                    let what = "is not a regular file";
                    let path = name.to_string_lossy();
                    let text = format!("{}: {} {what}", row.spec.name, Escaped(&path));
                    found.file_errors.push(ConfigError::Conflict(text));
                }
                Auto::Script(_) if meta.permissions().mode() & 0o111 == 0 => {
                    found.file_errors.push(ConfigError::NotExecutable {
                        what: row.spec.name,
                        path: name,
                    });
                }
                Auto::SecretFile(_) => {
                    check_secret(&name, &meta, &config.project.directory, found);
                }
                _ => {}
            }
        }
    }
}

/// A path as short as the user would write it.
fn shown(path: &Path, config: &Config) -> PathBuf {
    path.strip_prefix(&config.project.directory)
        .unwrap_or(path)
        .to_owned()
}

/// Files that a build with this configuration would read and that are not there, or that this user
/// may not read. Empty when a build can begin.
#[must_use]
pub fn missing_inputs(config: &Config) -> Vec<ConfigError> {
    let mut missing = Vec::new();
    for row in SETTINGS.iter().filter(|row| row.spec.matters(config)) {
        let is_input = matches!(
            row.spec.name,
            "BuildSources" | "BaseImage" | "RepositoryDirectories"
        ) || matches!(
            row.spec.auto,
            Auto::File(_) | Auto::Script(_) | Auto::SecretFile(_) | Auto::Tree(_)
        );
        for path in (row.paths)(config).into_iter().filter(|_| is_input) {
            if fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                let origin = config
                    .origins
                    .of(row.spec.name)
                    .first()
                    .cloned()
                    .unwrap_or(Origin::Default);
                missing.push(ConfigError::Missing {
                    origin,
                    setting: row.spec.name,
                    path: shown(&path, config),
                });
            }
        }
    }
    missing.extend(git_tree::missing(config));
    if config.password.as_ref().is_some_and(Secret::is_unreadable) {
        missing.push(ConfigError::Read {
            path: "mkosi.rootpw".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        });
    }
    if config.secure_boot && config.bootable {
        for (name, value) in [
            ("SecureBootKey", config.secure_boot_key.to_json()),
            (
                "SecureBootCertificate",
                config.secure_boot_certificate.to_json(),
            ),
        ] {
            if value.is_null() {
                missing.push(ConfigError::Conflict(format!("SecureBoot needs {name}")));
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use crate::config::missing_inputs;
    use crate::config::testing::Fixture;

    #[test]
    fn files_of_the_project_count_where_nothing_is_set() {
        let project = |settings: &str| {
            Fixture::with(settings)
                .directory("p/mkosi.extra")
                .project_file("mkosi.extra.tar", "", 0o644)
                .project_file("mkosi.postinst", "", 0o755)
                .project_file("mkosi.rootpw", "secret\n", 0o600)
                .project_file("mkosi.secureboot.key", "", 0o400)
                .directory("p/mkosi.cache")
                .directory("p/mkosi.output")
        };
        for (settings, setting, value) in [
            (
                "",
                "ExtraTrees",
                r#"["$P/mkosi.extra","$P/mkosi.extra.tar"]"#,
            ),
            (
                "[Packages]\nExtraTrees=x y\n",
                "ExtraTrees",
                r#"["$P/x","$P/y"]"#,
            ),
            ("", "PostInstallationScript", r#""$P/mkosi.postinst""#),
            ("", "SecureBootKey", r#""$P/mkosi.secureboot.key""#),
            ("", "Cache", r#""$P/mkosi.cache/debian~bookworm""#),
            ("[Packages]\nCache=/c/\n", "Cache", r#""/c""#),
            ("", "Password", r#""(set)""#),
            ("", "Output", r#""$P/mkosi.output/image.raw""#),
        ] {
            assert_eq!(project(settings).json(setting), value, "{settings:?}");
        }
        let password = project("").config().password.unwrap();
        assert_eq!(
            (
                password.reveal(),
                format!("{password:?} {password}").as_str()
            ),
            ("secret", "*** ***")
        );
    }

    #[test]
    fn scripts_must_be_executable_and_secrets_closed() {
        let errors = Fixture::with("[Packages]\nFinalizeScript=fin\n")
            .project_file("mkosi.build", "", 0o644)
            .project_file("fin", "", 0o644)
            .project_file("mkosi.rootpw", "a\nb\n", 0o644)
            .project_file("mkosi.passphrase", "a", 0o640)
            .project_file("mkosi.secure-boot.key", "a", 0o604)
            .errors();
        let expected = [
            "mkosi.rootpw: expected one line without control characters",
            "mkosi.rootpw has mode 0644, so that others can read the secret in it; run: chmod 600 mkosi.rootpw",
            "mkosi.passphrase has mode 0640, so that others can read the secret in it; run: chmod 600 mkosi.passphrase",
            "mkosi.secure-boot.key has mode 0604, so that others can read the secret in it; run: chmod 600 mkosi.secure-boot.key",
            "the BuildScript mkosi.build is not executable; run: chmod +x mkosi.build",
            "the FinalizeScript fin is not executable; run: chmod +x fin",
        ];
        assert_eq!(errors, expected);
    }

    #[test]
    fn wrong_files_still_leave_a_configuration_to_show() {
        let fixture = Fixture::new().project_file("mkosi.build", "", 0o644);
        assert!(fixture.load().err().unwrap().config.is_some());
        let fixture = fixture.args("--format=x");
        assert!(fixture.load().err().unwrap().config.is_none());
    }

    #[test]
    fn the_wrong_kind_of_file_is_pointed_out() {
        let fixture =
            Fixture::new()
                .directory("p/mkosi.build")
                .project_file("mkosi.extra", "", 0o644);
        let expected = [
            "mkosi.extra: not a directory: not used as ExtraTrees",
            "mkosi.build: not a regular file: not used as BuildScript",
        ];
        assert_eq!(fixture.warnings(), expected);
    }

    #[test]
    fn missing_inputs_are_named() {
        let config =
            Fixture::with("[Packages]\nExtraTrees=a\nBuildSources=b\nPostInstallationScript=c\n")
                .config();
        let missing: Vec<_> = missing_inputs(&config)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "mkosi.default:2: ExtraTrees: a does not exist",
            "mkosi.default:4: PostInstallationScript: c does not exist",
        ];
        assert_eq!(missing, expected);
    }
}
