//! `mkosi init`: the first settings file of a project, for this host, with what flags say.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::wrapped::wrapped;
use super::{VerbError, exit, terminal};
use crate::cli::Invocation;
use crate::config::values::{Format, Shape, boolean};
use crate::config::{self, Config, Context, FlagValue, Row, SETTINGS, Section};
use crate::host::{calling_user, is_root, printable_path};

/// Where settings are unless a flag names another file.
const SETTINGS_FILE: &str = "mkosi.default";
/// What else would make the directory a project.
const PROJECTS: [&str; 3] = ["mkosi.default.d", "IMGBUILD", "image.sh"];
/// Comments are no wider.
const WIDTH: usize = 78;

/// Settings that every first file has, in order.
const BEGIN_WITH: [&str; 6] = [
    "Distribution",
    "Release",
    "Format",
    "ImageId",
    "Hostname",
    "Packages",
];

/// Writes the file; never over another one.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    if invocation.globals.all {
        terminal::complain(
            "error: init writes one settings file, and --all is for several; name it as in \
             --default=mkosi.files/mkosi.NAME",
        );
        return exit::USAGE;
    }
    let request = &invocation.request;
    let file = request.settings_file.clone();
    let path = file.clone().unwrap_or_else(|| SETTINGS_FILE.into());
    if let Some(found) = in_the_way(&path, file.is_none(), context) {
        terminal::complain(format_args!(
            "error: {} is there already; init begins new projects, and writes over nothing",
            printable_path(&found)
        ));
        return exit::USAGE;
    }
    // What only flags say, as they will count from the file.
    let alone = config::Request {
        settings_file: None,
        flags: with_format(&request.flags),
    };
    let config = match config::load(&alone, context) {
        Ok(loaded) => {
            terminal::warn(&loaded.warnings);
            loaded.config
        }
        Err(errors) => return terminal::refuse(&errors),
    };
    let text = match text(&config, &alone.flags, context) {
        Ok(text) => text,
        Err(why) => {
            terminal::complain(format_args!("error: {why}"));
            return exit::USAGE;
        }
    };
    if let Err(source) = write(&context.absolute(&path), &text, config.no_chown) {
        terminal::complain_about(&VerbError::File { path, source });
        return exit::FAILED;
    }
    tell(&path, &config, file.as_deref(), context);
    exit::DONE
}

/// What init would write over, or beside.
fn in_the_way(path: &Path, is_usual: bool, context: &Context) -> Option<PathBuf> {
    let others = PROJECTS.iter().map(PathBuf::from).filter(|_| is_usual);
    std::iter::once(path.to_owned())
        .chain(others)
        .find(|path| fs::symlink_metadata(context.absolute(path)).is_ok())
}

/// The flags, with a format that can boot where one is to and none is named.
fn with_format(flags: &[FlagValue]) -> Vec<FlagValue> {
    let mut flags: Vec<FlagValue> = flags.to_vec();
    let named = |name: &str| flags.iter().any(|flag| row(flag).spec.name == name);
    let (format, bootable) = (named("Format"), named("Bootable"));
    let nth = SETTINGS.iter().position(|row| row.spec.name == "Format");
    if let (false, Some(setting)) = (format, nth) {
        let value = if bootable { "gpt_ext4" } else { "directory" };
        flags.push(FlagValue {
            setting,
            flag: "--format".to_owned(),
            value: Some(value.to_owned()),
        });
    }
    flags
}

fn row(flag: &FlagValue) -> &'static Row {
    &SETTINGS[flag.setting]
}

/// The file's text: what every project begins with, and each setting that a flag sets.
fn text(config: &Config, flags: &[FlagValue], context: &Context) -> Result<String, String> {
    let mut text = String::from(
        "# What the image is. `man mkosi.default` explains every setting, `mkosi summary`\n\
         # shows all that are in force, and `mkosi check` says what is wrong with them.\n",
    );
    for section in Section::ALL {
        let rows = SETTINGS.iter().filter(|row| row.spec.section == section);
        let mut entries = Vec::new();
        for row in rows {
            let values = values(row, flags)?;
            let begin = BEGIN_WITH.contains(&row.spec.name);
            if values.is_empty() && !begin {
                continue;
            }
            let values = if values.is_empty() {
                suggested(row, config, context)
            } else {
                values
            };
            entries.push(entry(row, &values));
        }
        if !entries.is_empty() {
            let _ = write!(text, "\n[{}]\n{}", section.name(), entries.concat());
        }
    }
    Ok(text)
}

/// What the flags say of a setting, as a settings file says it.
fn values(row: &Row, flags: &[FlagValue]) -> Result<Vec<String>, String> {
    let said = flags
        .iter()
        .filter(|flag| std::ptr::eq(self::row(flag), row));
    let mut values = Vec::new();
    for flag in said {
        if row.secret {
            return Err(format!(
                "{} is a secret, which has no place in settings: write it to mkosi.rootpw, mode 0600",
                flag.flag
            ));
        }
        if row.spec.name == "Force" {
            continue;
        }
        let value = match (&flag.value, row.spec.negated) {
            (None, false) => row.spec.bare.to_owned(),
            (None, true) => "no".to_owned(),
            (Some(value), false) => value.clone(),
            (Some(value), true) => match boolean(value) {
                Some(true) => "no".to_owned(),
                _ => "yes".to_owned(),
            },
        };
        if value.contains('\n') {
            return Err(format!(
                "{} has a line break, which settings cannot have",
                flag.flag
            ));
        }
        values.push(value);
    }
    // Of what is no list, the last word counts.
    if row.shape != Shape::List {
        values.drain(..values.len().saturating_sub(1));
    }
    Ok(values)
}

/// What is written where no flag says anything.
fn suggested(row: &Row, config: &Config, context: &Context) -> Vec<String> {
    let directory = context.directory.file_name().unwrap_or_default();
    let name: String = directory
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let name = match name.trim_matches('-') {
        "" => "image",
        name => name,
    };
    match row.spec.name {
        "ImageId" => {
            // The tree of an image must not be a directory that is there.
            let taken = fs::symlink_metadata(context.absolute(Path::new(name))).is_ok();
            vec![if taken {
                format!("{name}-image")
            } else {
                name.to_owned()
            }]
        }
        "Hostname" => vec![name.to_owned()],
        "Distribution" | "Release" => (row.lines)(config),
        _ => Vec::new(),
    }
}

/// A setting with its comment; commented out where nothing is known of it.
fn entry(row: &Row, values: &[String]) -> String {
    let help = row.help.trim();
    let said = match row.spec.name {
        "Format" => {
            // The last one is for another kind of project.
            let formats = Format::ALL
                .iter()
                .filter(|format| **format != Format::Custom);
            let names: Vec<&str> = formats.map(|format| format.as_str()).collect();
            format!("{help}: {}", names.join(", "))
        }
        "Packages" => format!("{help}; what the distribution calls required is there anyway"),
        _ => help.to_owned(),
    };
    let mut text = String::new();
    for line in wrapped(&said, 0, WIDTH - 2).lines() {
        let _ = writeln!(text, "# {line}");
    }
    let name = row.spec.name;
    match values {
        [] => {
            let _ = writeln!(text, "#{name}=vim openssh-server");
        }
        [value] => {
            let _ = writeln!(text, "{name}={value}");
        }
        values => {
            let _ = writeln!(text, "{name}=");
            for value in values {
                let _ = writeln!(text, "    {value}");
            }
        }
    }
    text
}

fn write(path: &Path, text: &str, no_chown: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written =
        file.write_all(text.as_bytes())
            .and_then(|()| match calling_user().filter(|_| !no_chown) {
                Some(user) => chown(path, Some(user.uid), Some(user.gid)),
                None => Ok(()),
            });
    if written.is_err() {
        // Half a file would be in the way of the next attempt.
        let _ = fs::remove_file(path);
    }
    written
}

/// What to do next.
fn tell(path: &Path, config: &Config, file: Option<&Path>, context: &Context) {
    let flag = file.map(|file| format!(" --default={}", printable_path(file)));
    let flag = flag.unwrap_or_default();
    let sudo = if is_root() { "" } else { "sudo " };
    let mut text = format!(
        "Wrote {}: {} {}. Next: mkosi{flag} check, then {sudo}mkosi{flag}.\n",
        printable_path(path),
        config.distribution.shown(),
        config.release
    );
    let is_git = context
        .directory
        .ancestors()
        .any(|directory| directory.join(".git").exists());
    if is_git {
        text.push_str(
            "For .gitignore: the image and what is named like it, .mkosi-*, mkosi.cache/, \
             mkosi.builddir/, mkosi.output/, mkosi.rootpw, mkosi.passphrase, mkosi.secure-boot.key\n",
        );
    }
    terminal::tell(&wrapped(&text, 0, WIDTH));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;
    use crate::config::summary;
    use crate::config::testing::Fixture;

    fn written(args: &str) -> (String, Config, Fixture) {
        let fixture = Fixture::new();
        let request = cli::parse(args.split_whitespace().map(Into::into))
            .unwrap()
            .request;
        let request = config::Request {
            flags: with_format(&request.flags),
            ..request
        };
        let config = config::load(&request, &fixture.context()).unwrap().config;
        let text = text(&config, &request.flags, &fixture.context()).unwrap();
        (text, config, fixture)
    }

    /// Everything but what came from where, and the names that only the file has.
    fn essence(config: &Config) -> serde_json::Value {
        let mut json = summary::to_json(config);
        json["Origins"] = serde_json::Value::Null;
        for name in ["ImageId", "Hostname", "Output"] {
            json["Output"][name] = serde_json::Value::Null;
        }
        json["Validation"] = serde_json::Value::Null;
        json
    }

    #[test]
    fn the_file_says_what_the_flags_say() {
        for args in [
            "init",
            "init --distribution=fedora --format=gpt_ext4 -p vim -p nano",
            "init -d debian -r bookworm --without-tests --bootable --root-size=2G",
            "init -d arch --with-docs=no --kernel-command-line=quiet --compress-output=zstd -t tar",
            "init -b --boot-protocols=bios --package=a,b",
            "init --without-tests=no -t gpt_btrfs --minimize",
        ] {
            let (text, config, fixture) = written(args);
            let read = fixture.project_file("mkosi.default", &text, 0o644).config();
            assert_eq!(essence(&read), essence(&config), "{args}\n{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= 80),
                "{text}"
            );
            assert!(read.hostname.is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_comment() {
        let (text, ..) = written("init -d debian -r trixie");
        for line in [
            "Distribution=debian",
            "Release=trixie",
            "Format=directory",
            "#Packages=vim openssh-server",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let (text, ..) = written("init -p vim -p nano");
        assert!(text.contains("\nPackages=\n    vim\n    nano\n"), "{text}");
    }

    #[test]
    fn secrets_are_not_written() {
        let args = ["init".into(), "--password=x".into()];
        let request = cli::parse(args).unwrap().request;
        let fixture = Fixture::new();
        let config = config::load(&request, &fixture.context()).unwrap().config;
        let error = text(&config, &request.flags, &fixture.context()).unwrap_err();
        assert!(error.contains("mkosi.rootpw"), "{error}");
        assert!(!error.contains("=x"), "{error}");
    }
}
