//! The live display, drawn on a terminal on paper.

use super::*;
use crate::engine::events::{Artifact, Progress};
use crate::host::Report as _;
use indicatif::TermLike;
use std::io;
use std::sync::Arc;

/// Keeps what is written and ignores where the cursor goes.
#[derive(Clone, Debug, Default)]
pub(in crate::engine::events) struct Paper(Arc<Mutex<String>>);

impl Paper {
    pub(in crate::engine::events) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl TermLike for Paper {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\n")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn drawn(colour: bool, unicode: bool) -> String {
    let paper = Paper::default();
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
    let paint = Paint { colour, unicode };
    let sink = Arc::new(Terminal::new(target, paint, Shown::default()));
    let progress = Progress::new(sink, "image.raw");
    progress.build_begun(12);
    let step = progress.begin("Installing packages");
    progress.line("Unpacking bash");
    progress.transient("50%");
    std::thread::sleep(Duration::from_millis(250));
    progress.progress(30, 120);
    std::thread::sleep(Duration::from_millis(250));
    step.finish("12 packages");
    drop(progress.begin("Making the disk"));
    progress.warn("careful");
    assert_eq!(progress.suspend(|| 7), Some(7));
    progress.build_finished(vec![Artifact {
        path: "/out/image.raw".into(),
        size: 5,
        allocated: 4096,
    }]);
    drop(progress);
    Arc::try_unwrap(paper.0).map_or_else(
        |paper| paper.lock().unwrap().clone(),
        |paper| paper.into_inner().unwrap(),
    )
}

#[test]
fn finished_steps_are_aligned_lines() {
    let text = drawn(false, false);
    // Sign, number, title and duration, then the note: each in its column whatever came before.
    let expected = [
        ("Building image.raw", 0, ""),
        ("+ [ 1/12] Installing packages ", 56, " s  12 packages "),
        ("x [ 2/12] Making the disk ", 56, " s "),
        ("Warning: careful", 0, ""),
        ("image.raw built in ", 0, ""),
        ("  /out/image.raw  5 B", 0, ""),
    ];
    let mut rest = text.as_str();
    for (start, column, end) in expected {
        let at = rest.find(start);
        assert!(at.is_some(), "{start} in {text}");
        rest = &rest[at.unwrap()..];
        assert!(
            rest[column..].starts_with(end),
            "{end} at {column} in {text}"
        );
    }
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn the_running_step_shows_its_last_line_and_how_far_it_is() {
    let text = drawn(false, false);
    assert!(text.contains("Installing packages"), "{text}");
    assert!(text.contains(" s  50% "), "{text}");
    assert!(text.contains(" ==>         25%"), "{text}");
}

#[test]
fn signs_and_colours_where_wanted() {
    let text = drawn(true, true);
    assert!(
        text.contains("\x1b[32m✓\x1b[0m \x1b[2m[ 1/12]\x1b[0m Installing"),
        "{text}"
    );
    assert!(text.contains("\x1b[31m✗\x1b[0m"), "{text}");
}
