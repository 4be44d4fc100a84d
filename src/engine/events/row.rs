//! The lines of a live display, each made to fit the terminal as wide as it is when it is drawn.

use std::time::Duration;

use super::display::shortened;
use super::paint::Paint;
use crate::host::human_duration;

/// Columns of a title: the least where there is room, and the most.
const TITLE: (usize, usize) = (36, 44);
/// Columns of a duration (`59 min 59 s`).
pub(super) const TOOK: usize = 11;
/// Columns behind a duration that titles leave, in a wide terminal.
const NOTE: usize = 24;
/// Fewer columns say nothing.
const LEAST: usize = 8;
/// Columns of a bar, with what stands before and behind it: ` ━━━━━       50%`.
const BAR: usize = 10;
const COUNTED: usize = BAR + 6;

/// A step: `[3/9] Making the disk     12 s  more about it`, without the sign before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// `[3/9]`
    pub(super) number: String,
    pub(super) title: String,
    /// What a command said last, or what came of the step.
    pub(super) note: String,
}

impl Row {
    /// The line after a sign of one column, in a terminal of `width` columns; `done` of `total` draws a bar.
    pub(super) fn text(
        &self,
        paint: Paint,
        width: usize,
        took: Duration,
        share: Option<(u64, u64)>,
    ) -> String {
        // The sign and blanks between the parts.
        let fixed = 1 + 1 + self.number.chars().count() + 1 + 1 + TOOK;
        let free = width.saturating_sub(fixed);
        let columns = free.saturating_sub(NOTE).clamp(TITLE.0, TITLE.1).min(free);
        let title = shortened(&self.title, columns);
        let took = human_duration(took);
        let mut text = format!("{} {title:columns$} {took:>TOOK$}", paint.dim(&self.number));
        let mut rest = free - columns;
        if let Some((done, total)) = share.filter(|_| rest >= COUNTED) {
            text.push_str(&bar(paint, done, total));
            rest -= COUNTED;
        }
        text.push_str(&behind(paint, &self.note, rest));
        text
    }
}

/// `  note`, in so many columns.
fn behind(paint: Paint, note: &str, columns: usize) -> String {
    match columns.saturating_sub(2) {
        room if note.is_empty() || room < LEAST => String::new(),
        room => format!("  {}", paint.dim(&shortened(note, room))),
    }
}

/// ` ━━━━╸      45%`
fn bar(paint: Paint, done: u64, total: u64) -> String {
    let share = |of: u64| u128::from(done.min(total)) * u128::from(of) / u128::from(total.max(1));
    let [full, edge, empty] = paint.bar();
    let filled = usize::try_from(share(BAR as u64)).unwrap_or(BAR);
    let mut drawn = full.repeat(filled);
    if filled < BAR {
        drawn.push_str(edge);
        drawn.push_str(&empty.repeat(BAR - filled - 1));
    }
    format!(" {drawn} {:>3}%", share(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(note: &str) -> Row {
        Row {
            number: "[ 1/12]".into(),
            title: "Running a script whose name is far too long for it".into(),
            note: note.into(),
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 24..200 {
            for share in [None, Some((0, 7)), Some((3, 7)), Some((7, 7)), Some((9, 7))] {
                for note in ["", "12 packages", &"much ".repeat(99)] {
                    let text =
                        row(note).text(Paint::PLAIN, width, Duration::from_secs(3599), share);
                    assert!(text.chars().count() + 2 <= width, "{width}: {text}");
                    assert!(text.contains("59 min 59 s"), "{width}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_or_left_out() {
        let at = |width, share| row("12 packages").text(Paint::PLAIN, width, Duration::ZERO, share);
        assert_eq!(at(40, None), "[ 1/12] Running a script …       0.0 s");
        assert_eq!(
            at(80, None),
            "[ 1/12] Running a script whose name is far …       0.0 s  12 packages"
        );
        assert_eq!(
            at(80, Some((45, 100))),
            "[ 1/12] Running a script whose name is far …       0.0 s ====>       45%"
        );
        assert_eq!(
            at(120, Some((1, 1))),
            "[ 1/12] Running a script whose name is far too long…       0.0 s ========== 100%  12 packages"
        );
    }
}
