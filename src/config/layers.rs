//! Brings together what the command line and the settings files say.

use super::error::{ConfigError, Findings, Warning};
use super::files::SettingsFile;
use super::message::{Escaped, Excerpt};
use super::origin::Origin;
use super::settings::{self, Layer, SETTINGS};
use super::spec::Section;
use super::suggest;
use super::table::Assignment;
use super::values::{Place, Shape, boolean};
use super::{Context, PresetValue, Row};

/// What a flag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// Which of [`SETTINGS`].
    pub setting: usize,
    /// The flag as the user wrote it, such as `--format` or `-t`.
    pub flag: String,
    /// What the flag was given; none for a flag alone.
    pub value: Option<String>,
}

/// The layer of the command line.
pub(super) fn from_flags(flags: &[FlagValue], context: &Context, found: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for flag in flags {
        let Some(row) = SETTINGS.get(flag.setting) else {
            continue;
        };
        let given = flag.value.as_deref();
        let text = match (given, row.spec.negated) {
            (None, false) => row.spec.bare,
            (None, true) => "no",
            (Some(text), false) => text,
            // What is not yes or no is refused as it stands.
            (Some(text), true) => boolean(text).map_or(text, |yes| if yes { "no" } else { "yes" }),
        };
        let origin = Origin::CommandLine(flag.flag.clone());
        let assignment = Assignment {
            text,
            place: Place::CommandLine,
            origin,
        };
        if let Err(why) = (row.assign)(&mut layer, &assignment, context) {
            let shown = if row.secret {
                "=…".to_owned()
            } else {
                format!("={}", Excerpt(given.unwrap_or_default()))
            };
            found.conflict(format!("{}{shown}: {why}", Escaped(&flag.flag)));
        }
    }
    layer
}

/// The layer of a shell file.
pub(super) fn from_preset(
    values: &[PresetValue],
    context: &Context,
    found: &mut Findings,
) -> Layer {
    let mut layer = Layer::default();
    for value in values {
        let Some(row) = settings::find(value.setting).map(|index| &SETTINGS[index]) else {
            continue;
        };
        let assignment = Assignment {
            text: &value.text,
            place: Place::File,
            origin: value.origin.clone(),
        };
        if let Err(why) = (row.assign)(&mut layer, &assignment, context) {
            let origin = value.origin.clone();
            found.error(ConfigError::value(
                origin,
                row.spec.name,
                Some(&value.text),
                why,
            ));
        }
    }
    layer
}

/// The layer of the settings files, the later ones over the earlier.
pub(super) fn from_files(files: &[SettingsFile], context: &Context, found: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for file in files {
        one_file(file, &mut layer, context, found);
    }
    layer
}

/// After so many warnings, or errors, the rest of a file is only counted.
const MOST_REPORTED: usize = 20;

/// What is said of one file, cut where it would go on and on.
struct Report<'a> {
    file: &'a SettingsFile,
    found: &'a mut Findings,
    warnings: usize,
    errors: usize,
}

impl Report<'_> {
    fn origin(&self, line: u32) -> Origin {
        Origin::File {
            file: self.file.name.clone(),
            line,
        }
    }

    /// `what` is only worked out if it is shown.
    fn warn(&mut self, line: u32, what: impl FnOnce() -> String) {
        self.warnings += 1;
        if self.warnings <= MOST_REPORTED {
            self.found.warn(Warning::at(self.origin(line), what()));
        }
    }

    fn error(&mut self, error: ConfigError) {
        self.errors += 1;
        if self.errors <= MOST_REPORTED {
            self.found.error(error);
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let name = self.file.name.to_string_lossy();
        for (count, what) in [(self.warnings, "warnings"), (self.errors, "errors")] {
            if let Some(more) = count.checked_sub(MOST_REPORTED).filter(|more| *more > 0) {
                self.found.warn(Warning::at(
                    Escaped(&name),
                    format_args!("{more} more {what}"),
                ));
            }
        }
    }
}

fn one_file(file: &SettingsFile, layer: &mut Layer, context: &Context, found: &mut Findings) {
    for (line, what) in &file.document.problems {
        found.error(ConfigError::Syntax {
            file: file.name.clone(),
            line: *line,
            what: what.clone(),
        });
    }
    let mut report = Report {
        file,
        found,
        warnings: 0,
        errors: 0,
    };
    let sections: Vec<Option<Section>> = file
        .document
        .sections
        .iter()
        .map(|(name, _)| Section::from_name(name))
        .collect();
    for ((name, line), section) in file.document.sections.iter().zip(&sections) {
        if section.is_none() {
            report.warn(*line, || unknown_section(name));
        }
    }
    let mut seen: Vec<Option<u32>> = vec![None; SETTINGS.len()];
    for entry in &file.document.entries {
        let Some(index) = settings::find(&entry.key) else {
            report.warn(entry.line, || unknown_key(&entry.key));
            continue;
        };
        let row = &SETTINGS[index];
        let section = entry.section.map(|at| sections[at]);
        if let Some(problem) = misplaced(row, section) {
            report.warn(entry.line, || problem);
        }
        let list = row.shape == Shape::List;
        if let Some(before) = seen[index].replace(entry.line).filter(|_| !list) {
            let name = row.spec.name;
            report.warn(entry.line, || {
                format!("{name} is set again; line {before} no longer counts")
            });
        }
        let text = if list { entry.list() } else { entry.scalar() };
        let origin = report.origin(entry.line);
        let assignment = Assignment {
            text: &text,
            place: Place::File,
            origin: origin.clone(),
        };
        if let Err(why) = (row.assign)(layer, &assignment, context) {
            let shown = (!row.secret).then_some(text.as_str());
            report.error(ConfigError::value(origin, row.spec.name, shown, why));
        }
    }
}

fn unknown_section(name: &str) -> String {
    let near = suggest::nearest(name, Section::ALL.map(Section::name))
        .map(|near| format!(" (did you mean [{near}]?)"))
        .unwrap_or_default();
    format!(
        "unknown section [{}]{near}; settings in it are read as if in their own sections",
        Excerpt(name)
    )
}

fn unknown_key(key: &str) -> String {
    let near = known_name(key)
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    format!("unknown setting {}{near}", Excerpt(key))
}

/// The setting whose flag or name is `key`, or nearly so.
fn known_name(key: &str) -> Option<&'static str> {
    let flag = key.trim_start_matches('-');
    let by_flag = SETTINGS
        .iter()
        .find(|row| row.spec.flag == flag || row.spec.flag_aliases.contains(&flag));
    by_flag.map(|row| row.spec.name).or_else(|| {
        let names = SETTINGS
            .iter()
            .flat_map(|row| std::iter::once(row.spec.name).chain(row.spec.aliases.iter().copied()));
        suggest::nearest(flag, names)
    })
}

/// What to say of a setting that does not stand in its section.
fn misplaced(row: &Row, section: Option<Option<Section>>) -> Option<String> {
    let (name, home) = (row.spec.name, row.spec.section);
    match section {
        None => Some(format!(
            "{name} stands before the first section; it belongs in [{}]",
            home.name()
        )),
        Some(Some(section)) if section != home => Some(format!(
            "{name} belongs in [{}], not in [{}]",
            home.name(),
            section.name()
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn files_and_flags_combine() {
        let fixture = |args: &str| {
            Fixture::with(
                "[Output]\nFormat=tar\nHostname=a\nForce=2\n\
                 [Packages]\nPackages=a, b # c\n\tc\nWithTests=no\nEnvironment=A=1 B=2\n",
            )
            .project_file(
                "mkosi.default.d/20",
                "[Packages]\nPackages=e !b\nEnvironment=B=3 C\n",
                0o644,
            )
            .project_file(
                "mkosi.default.d/10",
                "[Output]\nHostname=b\n[Packages]\nPackages=d\n",
                0o644,
            )
            .project_file("mkosi.default.d/.hidden", "[Output]\nHostname=c\n", 0o644)
            .project_file("mkosi.default.d/backup~", "[Output]\nHostname=d\n", 0o644)
            .variable("C", "of the caller")
            .args(args)
        };
        for (args, setting, value) in [
            ("", "Packages", r#"["a","c","d","e","!b"]"#),
            (
                "-p x,b --package=!e,!z",
                "Packages",
                r#"["x","b","a","c","d","!e","!z"]"#,
            ),
            ("", "Hostname", r#""b""#),
            ("--hostname=x --hostname y", "Hostname", r#""y""#),
            ("--hostname=", "Hostname", "null"),
            ("", "Format", r#""tar""#),
            ("-t directory", "Format", r#""directory""#),
            ("--format=", "Format", r#""tar""#),
            ("", "Force", "2"),
            ("-f", "Force", "1"),
            ("-ff --force", "Force", "3"),
            ("--force=no", "Force", "0"),
            ("", "WithTests", "false"),
            ("-T", "WithTests", "false"),
            ("--without-tests=no", "WithTests", "true"),
            ("", "Environment", r#"["A=1","B=3","C=of the caller"]"#),
            (
                "--environment=B=4",
                "Environment",
                r#"["B=4","A=1","C=of the caller"]"#,
            ),
        ] {
            assert_eq!(
                fixture(args).json(setting),
                value,
                "{setting} with {args:?}"
            );
        }
    }

    #[test]
    fn origins_are_kept() {
        let config = Fixture::with("[Output]\nHostname=a\n[Packages]\nPackages=a\n")
            .project_file(
                "mkosi.default.d/x",
                "\n[Output]\nHostname=b\n[Packages]\nPackages=b\n",
                0o644,
            )
            .project_file("mkosi.nspawn", "", 0o644)
            .args("-p c")
            .config();
        for (setting, origins) in [
            ("Hostname", "mkosi.default.d/x:3"),
            (
                "Packages",
                "command line (--package), mkosi.default:4, mkosi.default.d/x:5",
            ),
            ("NSpawnSettings", "mkosi.nspawn"),
            ("Format", "default"),
        ] {
            let found: Vec<_> = config
                .origins
                .of(setting)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.join(", "), origins, "{setting}");
        }
    }

    #[test]
    fn an_empty_value_takes_a_setting_back() {
        for (settings, setting, value) in [
            ("[Output]\nHostname=a\nHostname=\n", "Hostname", "null"),
            ("[Output]\nFormat=tar\nFormat=\n", "Format", "\"gpt_ext4\""),
            ("[Output]\nReadOnly=\n", "ReadOnly", "false"),
            ("[Packages]\nExtraTrees=\n", "ExtraTrees", "[]"),
            ("[Packages]\nCache=\n", "Cache", "null"),
            ("[Validation]\nPassword=\n", "Password", "\"(empty)\""),
            ("[Partitions]\nRootSize=\n", "RootSize", "null"),
        ] {
            let fixture = Fixture::with(settings)
                .directory("p/mkosi.extra")
                .directory("p/mkosi.cache");
            assert_eq!(fixture.json(setting), value, "{settings:?}");
        }
    }

    #[test]
    fn every_error_of_every_file_is_reported() {
        let fixture =
            Fixture::with("[Output]\nFormat=tarr\n[Partitions]\nRootSize=big\nnonsense\n")
                .project_file(
                    "mkosi.default.d/a",
                    "[Validation]\nPassword=secret\nSign=maybe\n",
                    0o644,
                )
                .args("--bootable=perhaps");
        let errors = fixture.errors();
        let expected = [
            "--bootable=perhaps: expected yes",
            "mkosi.default:5: expected Key=Value, found nonsense",
            "mkosi.default:2: Format=tarr: expected one of directory",
            "mkosi.default:4: RootSize=big: expected a size",
            "mkosi.default.d/a:3: Sign=maybe: expected yes",
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, start) in errors.iter().zip(expected) {
            assert!(error.starts_with(start), "{error}");
        }
        assert!(errors[2].ends_with("did you mean tar?"), "{}", errors[2]);
    }

    #[test]
    fn what_is_not_understood_is_pointed_out() {
        for (settings, warning) in [
            (
                "[Output]\nHostnam=a\n",
                "mkosi.default:2: unknown setting Hostnam; did you mean Hostname?",
            ),
            (
                "[Output]\nhostname=a\n",
                "mkosi.default:2: unknown setting hostname; did you mean Hostname?",
            ),
            (
                "[Packages]\nwith-network=1\n",
                "mkosi.default:2: unknown setting with-network; did you mean WithNetwork?",
            ),
            (
                "[Packages]\n--without-tests=1\n",
                "mkosi.default:2: unknown setting --without-tests; did you mean WithTests?",
            ),
            (
                "[Output]\nBananas=a\n",
                "mkosi.default:2: unknown setting Bananas",
            ),
            (
                "[Output]\nWithDocs=1\n",
                "mkosi.default:2: WithDocs belongs in [Packages], not in [Output]",
            ),
            (
                "WithDocs=1\n",
                "mkosi.default:1: WithDocs stands before the first section; it belongs in [Packages]",
            ),
            (
                "[Packagse]\nWithDocs=1\n",
                "mkosi.default:1: unknown section [Packagse] (did you mean [Packages]?); settings in it are read as if in their own sections",
            ),
            (
                "[Output]\nHostname=a\nHostname=b\n",
                "mkosi.default:3: Hostname is set again; line 2 no longer counts",
            ),
            ("[Output]\n\u{1b}k=1\n", ""),
        ] {
            let fixture = Fixture::with(settings);
            match fixture.load() {
                Ok(_) => assert_eq!(fixture.warnings(), [warning], "{settings:?}"),
                Err(errors) => {
                    assert!(warning.is_empty() && !errors.to_string().contains('\u{1b}'))
                }
            }
        }
    }

    #[test]
    fn a_setting_in_the_wrong_section_counts() {
        assert_eq!(
            Fixture::with("[Output]\nWithDocs=1\n").json("WithDocs"),
            "true"
        );
        assert_eq!(
            Fixture::with("[Bananas]\nWithDocs=1\n").json("WithDocs"),
            "true"
        );
        assert_eq!(Fixture::with("[Content]\nWithDocs=1\n").warnings(), [""; 0]);
    }

    #[test]
    fn older_names_are_known() {
        for (settings, setting, value) in [
            ("[Output]\nOutputDir=out\n", "OutputDirectory", "\"$P/out\""),
            (
                "[Packages]\nPostinstallScript=x\n",
                "PostInstallationScript",
                "\"$P/x\"",
            ),
            ("[Validation]\nBmap=yes\n", "BMap", "true"),
            ("[Output]\nFormat=raw_gpt\n", "Format", "\"gpt_ext4\""),
            ("[Output]\nFormat=raw_btrfs\n", "Format", "\"gpt_btrfs\""),
            (
                "[Output]\nFormat=raw_squashfs\n",
                "Format",
                "\"gpt_squashfs\"",
            ),
            (
                "[Distribution]\nDistribution=archlinux\n",
                "Distribution",
                "\"arch\"",
            ),
            (
                "[Distribution]\nArchitecture=amd64\n",
                "Architecture",
                "\"x86_64\"",
            ),
        ] {
            let fixture = Fixture::with(settings);
            assert_eq!(fixture.json(setting), value, "{settings}");
        }
    }

    #[test]
    fn passwords_are_not_repeated_in_messages() {
        let fixture =
            Fixture::with("[Validation]\nPassword=hashed:se cret\n").arg("--password-is-hashed=qq");
        let text = fixture.errors().join("\n");
        assert!(!text.contains("cret"), "{text}");
    }
}
