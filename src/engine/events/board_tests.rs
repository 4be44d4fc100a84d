//! The live display of several images, drawn on a terminal on paper.

use std::sync::Arc;

use super::super::terminal::tests::Paper;
use super::*;
use crate::engine::events::{Artifact, Progress};
use crate::host::Report as _;

fn board(paper: &Paper, names: &[&str]) -> Arc<Board> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
    let paint = Paint {
        colour: false,
        unicode: false,
    };
    Arc::new(Board::new(target, paint, &names, Shown::default()))
}

fn wait() {
    std::thread::sleep(Duration::from_millis(250));
}

#[test]
fn each_image_has_a_line_while_it_is_built_and_leaves_one() {
    let paper = Paper::default();
    let board = board(&paper, &["api", "mail-server"]);
    let (api, mail) = (
        Progress::new(board.clone(), "api"),
        Progress::new(board.clone(), "mail-server"),
    );
    api.build_begun(12);
    mail.build_begun(3);
    let step = api.begin("Installing packages");
    api.line("Unpacking bash");
    api.progress(30, 120);
    let other = mail.begin("Making the disk");
    wait();
    step.finish("cache hit");
    api.build_finished(vec![Artifact {
        path: "/out/api.raw".into(),
        size: 5,
        allocated: 4096,
    }]);
    mail.warn("careful");
    drop(other);
    mail.failed(&std::io::Error::other("no \x1bspace"));
    let text = paper.text();
    for line in [
        "api               0.",
        "[ 1/12] Installing packages 25 %  Unpacking bash",
        "[1/3] Making the disk",
        "mail-server: Warning: careful",
        "+ api               0.",
        "s  built, 5 B ",
        "x mail-server       0.",
        "s  no \\x1bspace",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(board.state.lock().unwrap().running.is_empty());
}

#[test]
fn who_waits_is_said_once_for_each_base() {
    let paper = Paper::default();
    let names = ["a", "b", "c", "d", "e"];
    let board = board(&paper, &names);
    let builder = || "a".to_owned();
    for name in names.iter().skip(1) {
        let event = Event::Waiting { builder: builder() };
        board.event(name, Duration::ZERO, &event);
    }
    wait();
    let text = paper.text();
    let line = "b, c, d and 1 more: waiting for the base that a builds";
    assert!(text.contains(line), "{text}");
    for name in names.iter().skip(1) {
        assert!(!board.state.lock().unwrap().waiting.is_empty());
        board.event(name, Duration::ZERO, &Event::BuildBegun { steps: 1 });
    }
    assert!(board.state.lock().unwrap().waiting.is_empty());
}

#[test]
fn long_names_are_cut() {
    let board = board(&Paper::default(), &["n", &"long".repeat(9)]);
    assert_eq!(board.name("n"), format!("n{}", " ".repeat(19)));
    assert_eq!(board.name(&"long".repeat(9)), "longlonglonglonglon…");
}
