//! The table at the end: what became of each image.

use std::time::Duration;

use crate::engine::events::shortened;
use crate::host::human_size;
use crate::host::{human_duration, printable};

/// What became of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It was not begun.
    #[default]
    NotBegun,
    /// It is there.
    Built,
    /// It could not be built.
    Failed,
    /// Somebody asked to stop.
    Interrupted,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::NotBegun => "not begun",
            Self::Built => "built",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The image.
    pub image: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long that took; none where it was not begun.
    pub time: Option<Duration>,
    /// The length of the image in bytes, where there is one.
    pub size: Option<u64>,
    /// What did not have to be made again.
    pub reused: Vec<String>,
}

const HEAD: [&str; 5] = ["IMAGE", "RESULT", "TIME", "SIZE", "REUSED"];
/// Names and what was reused are not cut below this.
const LEAST: usize = 8;
const GAP: usize = 2;

/// The table, with a line for each row, in lines of at most `width` columns where that is possible.
#[must_use]
pub fn table(rows: &[Row], width: usize) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let needed = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (HEAD.len() - 1);
    // What was reused is cut first, then names: the other columns are short.
    for column in [4, 0] {
        let excess = needed(&widths).saturating_sub(width);
        if let Some(cut) = widths.get_mut(column) {
            *cut = cut.saturating_sub(excess).max(LEAST.min(*cut));
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut columns = Vec::new();
        for (index, (cell, width)) in line.iter().zip(widths).enumerate() {
            let cell = shortened(cell, width);
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            // Numbers stand beneath each other.
            columns.push(match index {
                2 | 3 => padding + &cell,
                _ => cell + &padding,
            });
        }
        text.push_str(columns.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 5] {
    [
        printable(&row.image),
        row.outcome.word().to_owned(),
        row.time.map_or_else(String::new, human_duration),
        row.size.map_or_else(String::new, human_size),
        printable(&row.reused.join(", ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row {
                image: "api".into(),
                outcome: Outcome::Built,
                time: Some(Duration::from_secs(41)),
                size: Some(312 << 20),
                reused: vec!["packages (installed by web)".into()],
            },
            Row {
                image: "a-rather-long-name\x1b".into(),
                outcome: Outcome::Failed,
                time: Some(Duration::from_secs(75)),
                ..Row::default()
            },
            Row {
                image: "web".into(),
                ..Row::default()
            },
        ]
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\
IMAGE                   RESULT           TIME       SIZE  REUSED
api                     built            41 s  312.0 MiB  packages (installed by web)
a-rather-long-name\\x1b  failed     1 min 15 s
web                     not begun
";
        assert_eq!(table(&rows(), 100), expected);
    }

    #[test]
    fn the_width_is_kept_where_possible() {
        for (width, longest) in [(100, 85), (80, 80), (66, 66), (60, 60), (20, 52)] {
            let text = table(&rows(), width);
            let found = text.lines().map(|line| line.chars().count()).max();
            assert_eq!(found, Some(longest), "{text}");
        }
        let text = table(&rows(), 60);
        assert!(text.contains("\na-rather-long-n…  failed "), "{text}");
        assert!(text.contains("  package…\n"), "{text}");
    }
}
