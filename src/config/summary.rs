//! Shows a configuration, to machines and to people.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::message::Escaped;
use super::values::Shape;
use super::{Auto, Config, Origin, Row, SETTINGS, Section, ShellProject};

/// The whole configuration: an object for each section, and `Origins`. Sizes are numbers of bytes,
/// what is not set is null, passwords are not shown.
#[must_use]
pub fn to_json(config: &Config) -> Json {
    let mut all = Map::new();
    for section in Section::ALL {
        let settings = rows(section).map(|row| (row.spec.name.to_owned(), (row.json)(config)));
        all.insert(
            section.name().to_owned(),
            settings.collect::<Map<_, _>>().into(),
        );
    }
    let origins = SETTINGS
        .iter()
        .map(|row| (row.spec.name.to_owned(), origins(row, config)));
    all.insert("Origins".to_owned(), origins.collect::<Map<_, _>>().into());
    if let Some(shell) = &config.project.shell {
        let shell = serde_json::to_value(shell).unwrap_or_default();
        all.insert("ShellFile".to_owned(), shell);
    }
    all.into()
}

/// Where a value came from: one place, or for a list every place that added to it.
fn origins(row: &Row, config: &Config) -> Json {
    let mut places = config
        .origins
        .of(row.spec.name)
        .iter()
        .map(ToString::to_string);
    if row.shape == Shape::List {
        places.collect()
    } else {
        places.next().into()
    }
}

fn rows(section: Section) -> impl Iterator<Item = &'static Row> {
    SETTINGS
        .iter()
        .filter(move |row| row.spec.section == section)
}

/// The whole configuration in aligned columns, with `verbose` also where each value came from.
#[must_use]
pub fn to_text(config: &Config, verbose: bool) -> String {
    let width = SETTINGS
        .iter()
        .map(|row| row.spec.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    if let Some(shell) = &config.project.shell {
        let _ = writeln!(text, "{}", shell_file(shell));
    }
    for section in Section::ALL {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", section.name());
        for row in rows(section) {
            let mut lines: Vec<String> = (row.lines)(config)
                .iter()
                .map(|line| Escaped(line).to_string())
                .collect();
            if let Some(words) = default_in_words(row, config) {
                lines = vec![words];
            }
            if verbose {
                let origins: Vec<_> = config
                    .origins
                    .of(row.spec.name)
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                if let Some(first) = lines.first_mut() {
                    let _ = write!(first, "  [{}]", origins.join(", "));
                }
            }
            let mut name = row.spec.name;
            for line in lines {
                let _ = writeln!(text, "  {name:width$}  {line}");
                name = "";
            }
        }
    }
    text
}

/// What a shell file says besides settings.
fn shell_file(shell: &ShellProject) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:12}  {}", Escaped(value));
    };
    let (title, file) = match shell {
        ShellProject::Imgbuild(imgbuild) => {
            line("format", &imgbuild.format);
            if imgbuild.provision {
                line("provision", "runs inside the image");
            }
            for password in &imgbuild.passwords {
                let value = format!("{} has the secret {}", password.user, password.secret);
                line("password", &value);
            }
            ("IMGBUILD", &imgbuild.file)
        }
        ShellProject::ImageSh(image) => {
            for (stage, files) in [
                ("preinstall", &image.preinstall),
                ("postinstall", &image.postinstall),
            ] {
                for (from, to) in files {
                    let value = format!("{} to {}", from.display(), to.display());
                    line(stage, &value);
                }
            }
            if image.functions.is_some() {
                line("do_postinstall", "runs inside the image");
            }
            ("image.sh", &image.file)
        }
    };
    line("file", &file.to_string_lossy());
    format!("{title}\n{text}")
}

/// What happens where nothing is set, for settings whose absence means more than nothing.
fn default_in_words(row: &Row, config: &Config) -> Option<String> {
    let unset =
        matches!((row.json)(config), Json::Null) || (row.json)(config) == Json::Array(Vec::new());
    let words = row.spec.default_text;
    let default = config.origins.of(row.spec.name) == [Origin::Default];
    (unset && default && !words.is_empty() && row.spec.auto == Auto::Nothing)
        .then(|| format!("({words})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    #[test]
    fn json_has_every_setting_in_its_section() {
        let config =
            Fixture::with("[Validation]\nPassword=secret\n[Partitions]\nRootSize=2G\n").config();
        let json = to_json(&config);
        for row in SETTINGS {
            assert!(
                json[row.spec.section.name()].get(row.spec.name).is_some(),
                "{}",
                row.spec.name
            );
            assert!(
                json["Origins"].get(row.spec.name).is_some(),
                "{}",
                row.spec.name
            );
        }
        assert_eq!(json["Validation"]["Password"], "(set)");
        assert_eq!(json["Partitions"]["RootSize"], 2u64 << 30);
        assert_eq!(json["Partitions"]["SwapSize"], Json::Null);
        assert_eq!(json["Output"]["ReadOnly"], false);
        assert_eq!(json["Origins"]["RootSize"], "mkosi.default:4");
        assert_eq!(json["Origins"]["Packages"], serde_json::json!(["default"]));
        assert!(!json.to_string().contains("secret"));
    }

    #[test]
    fn text_is_for_people() {
        let config =
            Fixture::with("[Partitions]\nESPSize=1536M\n[Packages]\nPackages=a b\n").config();
        let text = to_text(&config, true);
        for part in [
            "\nPartitions\n",
            "1.5G  [mkosi.default:2]",
            "a  [mkosi.default:4]\n",
            "(what the files need",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!to_text(&config, false).contains("[mkosi.default"));
        let config = Fixture::new()
            .arg("--kernel-command-line=\u{1b}[2J")
            .config();
        assert!(!to_text(&config, true).contains('\u{1b}'));
    }
}
