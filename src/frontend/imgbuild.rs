//! `IMGBUILD`: a POSIX shell file that names a distribution, packages and a format.

use std::path::Path;

use super::shell::{self, ShellError};
use super::values::{END, Values};
use super::{apk_files, pacman_conf};
use crate::cli::Makeimg;
use crate::config::message::Excerpt;
use crate::config::{
    Context, Imgbuild, InstallerFiles, Origin, Password, Preset, PresetValue, Request, SETTINGS,
    ShellProject, Warning,
};
use crate::scripts::Shell;

const FILE: &str = "IMGBUILD";
const VARIABLES: [&str; 7] = [
    "imgname",
    "target",
    "debian_suite",
    "format",
    "packages",
    "passwords",
    "hostconf",
];
const FUNCTIONS: [&str; 3] = ["provision", "setup", "cleanup"];
/// What stands around a disk's one partition: the first MiB, and one for the table's copy.
const TABLES: u64 = 2 << 20;

/// Reads the IMGBUILD in the context's directory.
pub(super) fn read(
    words: &Makeimg,
    request: &Request,
    context: &Context,
) -> Result<Preset, ShellError> {
    let directory = &context.directory;
    let output = shell::run(Shell::Posix, &script(), &[], FILE, directory)?;
    let path = directory.join(FILE);
    let values = Values::parse(&output, FILE, &path).ok_or(ShellError::Ended(FILE))?;
    Ok(translate(&values, words, request, directory))
}

/// Hands every variable that is set to this program, and the names of functions.
fn script() -> String {
    let mut script = format!(
        "exec 3>&1 1>&2\n. ./{FILE}\n_mkosi_say() {{ printf '%s\\0%s\\0' \"$1\" \"$2\" >&3; }}\n"
    );
    for name in VARIABLES {
        script.push_str(&format!(
            "[ -z \"${{{name}+x}}\" ] || _mkosi_say {name} \"${name}\"\n"
        ));
    }
    for name in FUNCTIONS {
        // A program of this name would be shown with its directory.
        script.push_str(&format!(
            "[ \"$(command -v {name} || :)\" != {name} ] || _mkosi_say function {name}\n"
        ));
    }
    script.push_str(&format!("_mkosi_say {END} ''\n"));
    script
}

fn translate(values: &Values, words: &Makeimg, request: &Request, directory: &Path) -> Preset {
    let mut preset = Preset::default();
    let name = match values.get("imgname") {
        None => {
            preset
                .errors
                .push(values.wrong("imgname", "imgname is not set; it names the image"));
            "image"
        }
        Some(name)
            if name.contains(|c: char| c == '/' || c.is_control()) || name.starts_with('.') =>
        {
            let why = format!("imgname={}: expected the name of a file", Excerpt(name));
            preset.errors.push(values.wrong("imgname", why));
            "image"
        }
        Some(name) => name,
    };
    target(values, &mut preset);
    let given = words.format.as_deref();
    let format = given.or_else(|| values.get("format")).unwrap_or("raw");
    let overridden = request.flags.iter().any(|flag| {
        let name = SETTINGS.get(flag.setting).map(|row| row.spec.name);
        name == Some("Format")
    });
    if overridden {
        // Only the name is left of it; what it ends in follows from the flags.
        preset
            .values
            .push(values.preset("ImageId", name, "imgname"));
    } else {
        let origin = match given {
            Some(_) => Origin::CommandLine("--format".to_owned()),
            None => values.origin("format"),
        };
        match Format::parse(format) {
            Ok(parsed) => parsed.settings(name, &origin, values, &mut preset),
            Err(why) => preset
                .errors
                .push(crate::config::ConfigError::Conflict(format!(
                    "{origin}: format={}: {why}",
                    Excerpt(format)
                ))),
        }
    }
    if let Some(packages) = values.get("packages") {
        preset
            .values
            .push(values.preset("Packages", packages, "packages"));
    }
    let own = |setting, text: &str| PresetValue {
        setting,
        text: text.to_owned(),
        origin: Origin::Project(FILE.into()),
    };
    preset.values.push(own("ManifestFormat", "json packages"));
    // The tool gave it to provision, which may want to install something.
    preset.values.push(own("WithNetwork", "yes"));
    let custom = values.has_function("setup") && values.has_function("cleanup");
    let installer_files = installer_files(values, directory, &mut preset);
    let installs_keyring = host_configuration(values, &mut preset);
    let passwords = passwords(values, &mut preset);
    preset.shell = Some(ShellProject::Imgbuild(Imgbuild {
        file: directory.join(FILE),
        format: format.to_owned(),
        provision: values.has_function("provision"),
        custom,
        passwords,
        installer_files,
        installs_keyring,
    }));
    preset
}

/// What is installed.
fn target(values: &Values, preset: &mut Preset) {
    let target = values.get("target");
    match target {
        Some("arch" | "alpine" | "debian") => {
            preset
                .values
                .push(values.preset("Distribution", target.unwrap_or_default(), "target"));
        }
        Some(other) => {
            let why = format!("target={}: expected arch, alpine or debian", Excerpt(other));
            preset.errors.push(values.wrong("target", why));
        }
        None => preset.errors.push(values.wrong(
            "target",
            "target is not set; expected arch, alpine or debian",
        )),
    }
    if target == Some("debian") {
        let suite = values.get("debian_suite").unwrap_or("stable");
        preset
            .values
            .push(values.preset("Release", suite, "debian_suite"));
    }
}

/// The package manager's files beside the IMGBUILD. Those of other package managers count nothing.
fn installer_files(values: &Values, directory: &Path, preset: &mut Preset) -> InstallerFiles {
    let target = values.get("target");
    let mut files = InstallerFiles::default();
    if target == Some("arch") {
        files.pacman = pacman_conf::read(directory, preset);
    }
    if target == Some("alpine") {
        files.apk_repositories = apk_files::repositories(directory, preset);
        files.apk_keys = apk_files::keys(directory, preset);
    }
    let ours = |name: &str| match name {
        pacman_conf::FILE => target == Some("arch"),
        _ => target == Some("alpine"),
    };
    for name in [pacman_conf::FILE, apk_files::REPOSITORIES, apk_files::KEYS] {
        if !ours(name) && target.is_some() && directory.join(name).exists() {
            preset.warnings.push(Warning(format!(
                "{name} is not read: it is for another package manager than that of target={}",
                Excerpt(target.unwrap_or_default())
            )));
        }
    }
    files
}

/// What `hostconf` asks for: whether the image gets the keys.
fn host_configuration(values: &Values, preset: &mut Preset) -> bool {
    let mut keyring = false;
    for item in values
        .get("hostconf")
        .unwrap_or_default()
        .split_whitespace()
    {
        let origin = values.origin("hostconf");
        match item {
            "keyring" if values.get("target") == Some("debian") => {
                preset.warnings.push(Warning(format!(
                    "{origin}: hostconf=keyring has no effect: Debian's keyring is a package, which the image has"
                )));
            }
            "keyring" => keyring = true,
            other => preset.errors.push(values.wrong(
                "hostconf",
                format!("hostconf={}: only keyring is known", Excerpt(other)),
            )),
        }
    }
    keyring
}

fn passwords(values: &Values, preset: &mut Preset) -> Vec<Password> {
    let mut passwords = Vec::new();
    for line in values.get("passwords").unwrap_or_default().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            [user, secret] if !user.contains(':') => passwords.push(Password {
                user: user.to_owned(),
                secret: secret.to_owned(),
            }),
            // The line itself may be a password that somebody put there.
            _ => preset.errors.push(values.wrong(
                "passwords",
                "passwords: expected lines with a user and the name of a secret",
            )),
        }
    }
    passwords
}

/// What `format` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Raw {
        size: u64,
        /// It names a partition table.
        table: bool,
        file_system: &'static str,
    },
    Tar(String),
    Dir,
    Custom,
}

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        match words.next() {
            Some("raw") => Self::raw(words),
            Some("tar") => {
                let compression = words.next().unwrap_or_default();
                let known = ["", "xz", "gz", "bz2", "zst"];
                match words.next() {
                    None if known.contains(&compression) => Ok(Self::Tar(compression.to_owned())),
                    None => Err("a tar is compressed with xz, gz, bz2 or zst".to_owned()),
                    Some(_) => Err("expected tar and one compression".to_owned()),
                }
            }
            Some(word @ ("dir" | "custom")) => match words.next() {
                Some(_) => Err(format!("nothing follows {word}")),
                None if word == "dir" => Ok(Self::Dir),
                None => Ok(Self::Custom),
            },
            _ => Err(
                "expected raw [SIZE [gpt [FILESYSTEM]]], tar [COMPRESSION], dir or custom"
                    .to_owned(),
            ),
        }
    }

    /// Any of size, table and file system may be left out, but they stand in this order.
    fn raw<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        const SIZE: u64 = 8 << 30;
        let mut words = words.peekable();
        let size = match words.peek().and_then(|word| size(word)) {
            Some(size) => {
                words.next();
                size
            }
            None => SIZE,
        };
        let table = match words.peek() {
            Some(&"msdos") => {
                return Err(
                    "images have a GUID partition table here, never an msdos one; gpt in its place, or nothing, makes that"
                        .to_owned(),
                );
            }
            Some(&"gpt") => words.next().is_some(),
            _ => false,
        };
        let file_system = match words.next() {
            None | Some("ext4") => "gpt_ext4",
            Some("xfs") => "gpt_xfs",
            Some("btrfs") => "gpt_btrfs",
            Some("squashfs") => "gpt_squashfs",
            Some(other) => {
                return Err(format!(
                    "{} is no file system that a root partition can have here: ext4, xfs, btrfs or squashfs",
                    Excerpt(other)
                ));
            }
        };
        if words.next().is_some() {
            return Err("expected raw [SIZE [gpt [FILESYSTEM]]], in this order".to_owned());
        }
        if size < 2 * TABLES {
            return Err("a disk of this size has no room for a partition".to_owned());
        }
        Ok(Self::Raw {
            size,
            table,
            file_system,
        })
    }

    fn settings(&self, name: &str, origin: &Origin, values: &Values, preset: &mut Preset) {
        let mut set = |setting, text: String| {
            preset.values.push(PresetValue {
                setting,
                text,
                origin: origin.clone(),
            });
        };
        match self {
            Self::Raw {
                size,
                table,
                file_system,
            } => {
                set("Format", (*file_system).to_owned());
                set("Output", format!("{name}.img"));
                if *file_system != "gpt_squashfs" {
                    set("RootSize", (size - TABLES).to_string());
                }
                if !table {
                    preset.warnings.push(Warning(format!(
                        "{origin}: the image gets a GUID partition table, where makeimg made an msdos one; \
                         format=\"raw gpt\" says so"
                    )));
                }
            }
            Self::Tar(compression) => {
                set("Format", "tar".to_owned());
                let suffix = match compression.as_str() {
                    "" => String::new(),
                    compression => format!(".{compression}"),
                };
                set("Output", format!("{name}.tar{suffix}"));
                let compression = if compression.is_empty() {
                    "no"
                } else {
                    compression
                };
                set("CompressOutput", compression.to_owned());
            }
            Self::Dir => {
                set("Format", "directory".to_owned());
                set("Output", name.to_owned());
            }
            Self::Custom => {
                set("Format", "custom".to_owned());
                set("Output", name.to_owned());
                for function in ["setup", "cleanup"] {
                    if !values.has_function(function) {
                        let why = format!("format=custom needs a function {function}");
                        preset.errors.push(values.wrong("format", why));
                    }
                }
            }
        }
    }
}

/// A size as truncate(1) takes it: powers of 1024 with K, M, G, T (and KiB and so on), of 1000 with KB.
fn size(word: &str) -> Option<u64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let power = match unit.bytes().next() {
        None => return Some(number),
        Some(letter) => b"KMGT"
            .iter()
            .position(|l| *l == letter.to_ascii_uppercase())?,
    };
    let base: u64 = match unit.get(1..)? {
        "" | "iB" => 1024,
        "B" => 1000,
        _ => return None,
    };
    number.checked_mul(base.checked_pow(u32::try_from(power).ok()? + 1)?)
}

#[cfg(test)]
#[path = "imgbuild_tests.rs"]
mod tests;
