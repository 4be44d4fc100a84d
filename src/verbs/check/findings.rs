//! What was found, for people and for programs.

use std::error::Error;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::{exit, terminal, wrapped::wrapped};
use crate::engine::events::Paint;
use crate::host::{printable, printable_path};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// A build would fail.
    Error,
    /// It is probably not what is meant.
    Warning,
    /// Something that could not be checked.
    Note,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Area {
    Settings,
    Files,
    Scripts,
    Packages,
    Host,
}

impl Area {
    const ALL: [Self; 5] = [
        Self::Settings,
        Self::Files,
        Self::Scripts,
        Self::Packages,
        Self::Host,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Files => "Files",
            Self::Scripts => "Scripts",
            Self::Packages => "Packages",
            Self::Host => "This host",
        }
    }
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) area: Area,
    /// The settings file whose image it is about, with `--all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<String>,
    pub(super) text: String,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, level: Level, area: Area, text: String) {
        let finding = Finding {
            level,
            area,
            image: None,
            text,
        };
        // One thing may be wrong for several reasons to look at it.
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    pub(super) fn add_error(&mut self, area: Area, error: &dyn Error) {
        self.add(Level::Error, area, terminal::chain(error));
    }

    /// Takes what was found about one of several images.
    pub(super) fn add_all(&mut self, file: &Path, found: Self) {
        for finding in found.0 {
            let text = finding.text.clone();
            let known = |old: &Finding| old.area == Area::Host && old.text == text;
            // What the host lacks, it lacks for all.
            if finding.area == Area::Host && self.0.iter().any(known) {
                continue;
            }
            let is_of_host = finding.area == Area::Host;
            self.0.push(Finding {
                image: (!is_of_host).then(|| printable_path(file)),
                ..finding
            });
        }
    }

    fn count(&self, level: Level) -> usize {
        let of_level = self.0.iter().filter(|finding| finding.level == level);
        of_level.count()
    }

    /// The exit status: whether the project is wrong, or only this host lacks something.
    pub(super) fn status(&self) -> u8 {
        let errors = || self.0.iter().filter(|found| found.level == Level::Error);
        if errors().any(|found| found.area != Area::Host) {
            exit::USAGE
        } else if errors().next().is_some() {
            exit::FAILED
        } else {
            exit::DONE
        }
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning),
            "findings": self.0,
        })
    }

    pub(super) fn text(&self, width: usize) -> String {
        self.painted(width, Paint::on_stdout())
    }

    pub(super) fn painted(&self, width: usize, paint: Paint) -> String {
        let mut text = String::new();
        for area in Area::ALL {
            let found: Vec<&Finding> = self.0.iter().filter(|found| found.area == area).collect();
            if found.is_empty() {
                continue;
            }
            text.push_str(&format!("{}\n", paint.bold(area.title())));
            for finding in found {
                let sign = match finding.level {
                    Level::Error => paint.bad("error"),
                    Level::Warning => paint.warning("warning"),
                    Level::Note => paint.dim("note"),
                };
                let image = finding.image.as_deref();
                // Settings name their file themselves.
                let image = image.filter(|image| !finding.text.starts_with(image));
                let image = image.map(|image| format!("{image}: ")).unwrap_or_default();
                let lines = finding.text.lines().map(|line| printable(line.trim()));
                let said = image + &lines.collect::<Vec<_>>().join("; ");
                text.push_str(&format!("  {sign}:\n{}", wrapped(&said, 4, width)));
            }
            text.push('\n');
        }
        let counted = |count, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {one}s")),
        };
        let counts: Vec<String> = [
            counted(self.count(Level::Error), "error"),
            counted(self.count(Level::Warning), "warning"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if counts.is_empty() {
            text.push_str(&format!("{} Nothing is wrong.\n", paint.done()));
        } else {
            text.push_str(&format!("{}.\n", counts.join(", ")));
        }
        text
    }
}
