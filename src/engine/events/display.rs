//! Which display a run gets, and what all displays for people have in common.

use std::io::{IsTerminal as _, stderr, stdout};
use std::sync::Arc;
use std::time::Duration;

use super::paint::Paint;
use super::{Artifact, Board, Json, Plain, Sink, Terminal, human_size};
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
    /// Makes the display. It may start a thread: not to be called before
    /// [`crate::host::namespace::isolate`].
    #[must_use]
    pub fn sink(self, shown: Shown) -> Arc<dyn Sink> {
        match self {
            Self::Json => Arc::new(Json::new(Box::new(stdout()))),
            Self::Auto if capable() => Arc::new(Terminal::on_stderr(shown)),
            Self::Auto | Self::Plain => Arc::new(Plain::new(Box::new(stderr()), shown)),
        }
    }

    /// Makes the display of these images, which are built side by side.
    #[must_use]
    pub fn sink_of_several(self, images: &[String], shown: Shown) -> Arc<dyn Sink> {
        match self {
            Self::Json => Arc::new(Json::new(Box::new(stdout()))),
            Self::Auto if capable() => Arc::new(Board::on_stderr(images, shown)),
            Self::Auto | Self::Plain => Arc::new(Plain::of_several(Box::new(stderr()), shown)),
        }
    }
}

/// Whether standard error is a terminal that can draw over what it shows.
fn capable() -> bool {
    stderr().is_terminal()
        && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
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

/// The lines that end a build.
pub(super) fn summary(
    paint: Paint,
    image: &str,
    seconds: f64,
    artifacts: &[Artifact],
) -> Vec<String> {
    let took = human_duration(Duration::from_secs_f64(seconds));
    let mut lines = vec![format!("{} built in {took}", paint.bold(image))];
    let paths: Vec<String> = artifacts.iter().map(|a| printable_path(&a.path)).collect();
    let width = paths
        .iter()
        .map(|path| path.chars().count())
        .max()
        .unwrap_or(0);
    for (path, artifact) in paths.iter().zip(artifacts) {
        let mut size = human_size(artifact.size);
        // A sparse file takes less than its length: what a copy costs is worth knowing.
        if artifact.allocated < artifact.size - artifact.size / 8 {
            size.push_str(&format!(" ({} on disk)", human_size(artifact.allocated)));
        }
        let size = paint.dim(&size);
        lines.push(format!("  {path:width$}  {size}"));
    }
    lines
}
