//! Which display a run gets, and what all displays for people have in common.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::paint::{Paint, is_capable};
use super::{Artifact, Board, Json, Plain, Sink, Terminal};
use crate::host::human_size;
use crate::host::{human_duration, printable_path};

/// How events are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// A live display where standard error is a terminal that can do it, otherwise plain lines.
    #[default]
    Auto,
    /// Plain lines on standard error.
    Plain,
    /// JSON lines on standard output.
    Json,
}

/// What is shown beyond steps and warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Every command, before it runs (`--debug=run`).
    pub commands: bool,
    /// Every line that commands print (`--verbose`).
    pub lines: bool,
}

impl Display {
    /// Whether lines are drawn over: the terminal should not add what is typed to them.
    #[must_use]
    pub fn is_live(self) -> bool {
        self == Self::Auto && capable()
    }

    /// Makes the display. It may start a thread: not to be called before
    /// [`crate::host::namespace::isolate`].
    #[must_use]
    pub fn sink(self, shown: Shown) -> Arc<dyn Sink> {
        match self {
            Self::Json => Arc::new(Json::new(Box::new(stdout()))),
            Self::Auto if self.is_live() => Arc::new(Terminal::on_stderr(shown)),
            Self::Auto | Self::Plain => Arc::new(Plain::new(Box::new(stderr()), shown)),
        }
    }

    /// Makes the display of these images, which are built side by side.
    #[must_use]
    pub fn sink_of_several(self, images: &[String], shown: Shown) -> Arc<dyn Sink> {
        match self {
            Self::Json => Arc::new(Json::new(Box::new(stdout()))),
            Self::Auto if self.is_live() => Arc::new(Board::on_stderr(images, shown)),
            Self::Auto | Self::Plain => Arc::new(Plain::of_several(Box::new(stderr()), shown)),
        }
    }
}

/// Whether standard error is a terminal that can draw over what it shows.
fn capable() -> bool {
    stderr().is_terminal() && is_capable()
}

/// `text` in at most `width` columns, with `…` where something is left out.
#[must_use]
pub fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.extend(Some('…').filter(|_| width > 0));
    short
}

/// `[3/9]`, as wide for every step.
pub(super) fn numbered(step: usize, steps: usize) -> String {
    match steps {
        0 => format!("[{step}]"),
        steps => format!("[{step:>width$}/{steps}]", width = steps.to_string().len()),
    }
}

/// What stands above the steps of the two images of a build that has two.
#[derive(Debug, Default)]
pub(super) struct Headings {
    development: bool,
}

impl Headings {
    /// The heading where a phase begins, if it has one. What comes before a development image needs none,
    /// nor does the image of a build that makes no other.
    pub(super) fn of(&mut self, phase: &str) -> Option<&'static str> {
        match phase {
            "development" => {
                self.development = true;
                Some("Development image")
            }
            "final" if self.development => Some("Final image"),
            _ => None,
        }
    }
}

/// A path as the user would write it: from the working directory, where that is the shell's.
fn near(path: &Path) -> String {
    let here = std::env::var_os("PWD").map(PathBuf::from);
    let here = here.filter(|here| std::env::current_dir().is_ok_and(|cwd| cwd == *here));
    let inside = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    printable_path(inside.as_deref().unwrap_or(path))
}

/// The lines that end a build: what was made, the image first, where, and how large it is.
pub(super) fn summary(
    paint: Paint,
    image: &str,
    seconds: f64,
    artifacts: &[Artifact],
) -> Vec<String> {
    let took = human_duration(Duration::from_secs_f64(seconds));
    let mut lines = vec![format!("{} built in {took}", paint.bold(image))];
    let mut artifacts: Vec<&Artifact> = artifacts.iter().collect();
    artifacts.sort_by_key(|artifact| artifact.path.file_name() != Some(OsStr::new(image)));
    let paths: Vec<String> = artifacts.iter().map(|a| near(&a.path)).collect();
    let sizes: Vec<String> = artifacts.iter().map(|a| human_size(a.size)).collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max();
    let (path_width, size_width) = (widest(&paths).unwrap_or(0), widest(&sizes).unwrap_or(0));
    for ((path, size), artifact) in paths.iter().zip(&sizes).zip(&artifacts) {
        let mut line = format!("  {path:path_width$}  {size:>size_width$}");
        // A sparse file takes less than its length: what a copy costs is worth knowing.
        if artifact.allocated < artifact.size - artifact.size / 8 {
            let allocated = format!(" ({} on disk)", human_size(artifact.allocated));
            line.push_str(&paint.dim(&allocated));
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_builds_with_two_images_have_headings() {
        let mut one = Headings::default();
        assert_eq!((one.of("base"), one.of("final")), (None, None));
        let mut two = Headings::default();
        assert_eq!(two.of("base"), None);
        assert_eq!(two.of("development"), Some("Development image"));
        assert_eq!(two.of("final"), Some("Final image"));
    }

    #[test]
    fn sizes_are_in_a_column() {
        let artifact = |path: &str, size, allocated| Artifact {
            path: path.into(),
            size,
            allocated,
        };
        let plain = Paint {
            colour: false,
            unicode: false,
        };
        let made = [
            artifact("/out/a-list", 100, 4096),
            artifact("/out/image.raw", 3 << 30, 1 << 30),
            artifact("/out/sums", 100, 4096),
        ];
        assert_eq!(
            summary(plain, "image.raw", 61.0, &made),
            [
                "image.raw built in 1 min 01 s",
                "  /out/image.raw  3.0 GiB (1.0 GiB on disk)",
                "  /out/a-list       100 B",
                "  /out/sums         100 B",
            ]
        );
    }
}
