//! What a build says, as the sinks that write lines show it.

use super::*;
use crate::engine::events::{Json, Plain, Shown};
use std::io::Write;
use std::path::PathBuf;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    /// With every duration written as `T`.
    fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.replace("0.0 s", "T").replace("0.1 s", "T")
    }
}

fn build(sink: Arc<dyn Sink>) {
    let progress = Progress::new(sink, "image.raw");
    progress.build_begun(3);
    let step = progress.begin("Installing packages");
    progress.command("apt-get install bash");
    progress.line("Unpacking \x1b[1mbash\x1b[0m\x07");
    progress.progress(1, 2);
    progress.progress(1, 2);
    progress.progress(2, 2);
    step.finish("12 packages");
    progress.begin("Copying files").finish("");
    let failing = progress.begin("Making the disk");
    progress.warn("little space");
    drop(failing);
    progress.line("after all");
    let artifact = |name: &str, size, allocated| Artifact {
        path: PathBuf::from(name),
        size,
        allocated,
    };
    progress.build_finished(vec![
        artifact("/out/image.raw", 3 << 30, 1 << 30),
        artifact("/out/sums", 100, 4096),
    ]);
    progress.failed(&std::io::Error::other("disk full"));
}

#[test]
fn plain_lines() {
    let buffer = Buffer::default();
    build(Arc::new(Plain::new(
        Box::new(buffer.clone()),
        Shown::default(),
    )));
    let expected = "\
Building image.raw
[1/3] Installing packages: done in T, 12 packages
[2/3] Copying files: done in T
[3/3] Making the disk
Warning: little space
[3/3] Making the disk: failed after T
image.raw built in T
  /out/image.raw  3.0 GiB (1.0 GiB on disk)
  /out/sums         100 B
";
    assert_eq!(buffer.text(), expected);
}

#[test]
fn plain_lines_with_everything() {
    let buffer = Buffer::default();
    let shown = Shown {
        commands: true,
        lines: true,
    };
    build(Arc::new(Plain::new(Box::new(buffer.clone()), shown)));
    let text = buffer.text();
    assert!(
        text.contains("\n+ apt-get install bash\n    Unpacking bash\\x07\n"),
        "{text}"
    );
}

#[test]
fn plain_lines_of_a_long_step_tell_how_far_it_is() {
    let buffer = Buffer::default();
    let plain = Plain::new(Box::new(buffer.clone()), Shown::default());
    let at = Duration::from_secs;
    let far = |done| Event::Progress {
        step: 1,
        done,
        total: 200,
    };
    let title = "Copying".to_owned();
    let begun = Event::StepBegun {
        step: 1,
        steps: 0,
        title,
    };
    plain.event("a", at(0), &begun);
    for (second, done) in [(5, 10), (16, 50), (20, 60), (40, 400)] {
        plain.event("a", at(second), &far(done));
    }
    assert_eq!(
        buffer.text(),
        "[1] Copying\n[1] Copying: 25 %\n[1] Copying: 100 %\n"
    );
}

#[test]
fn images_built_side_by_side_are_told_apart() {
    let buffer = Buffer::default();
    let plain = Plain::of_several(Box::new(buffer.clone()), Shown::default());
    let sink: Arc<dyn Sink> = Arc::new(plain);
    let (one, two) = (
        Progress::new(sink.clone(), "one"),
        Progress::new(sink.clone(), "two"),
    );
    let (first, second) = (one.begin("Working"), two.begin("Working"));
    first.finish("");
    second.finish("");
    two.failed(&std::io::Error::other("no\x1bspace"));
    sink.event(
        "three",
        Duration::ZERO,
        &Event::Waiting {
            builder: "one".to_owned(),
        },
    );
    assert_eq!(
        buffer.text(),
        "[one] [1] Working: done in T\n\
         [two] [1] Working: done in T\n[two] Error: no\\x1bspace\n\
         [three] waiting for the base that one builds\n"
    );
}

#[test]
fn steps_that_run_side_by_side_keep_their_own_words() {
    let buffer = Buffer::default();
    let progress = Progress::new(Arc::new(Json::new(Box::new(buffer.clone()))), "image");
    let (one, two) = (progress.begin("one"), progress.begin("two"));
    one.report().line("of one");
    two.report().line("of two");
    progress.line("of the last");
    two.finish("");
    progress.line("of one again");
    let lines: Vec<(u64, String)> = buffer
        .text()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|value| value["event"] == "line")
        .map(|value| {
            (
                value["step"].as_u64().unwrap(),
                value["line"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        (1, "of one"),
        (2, "of two"),
        (2, "of the last"),
        (1, "of one again"),
    ];
    assert_eq!(lines, expected.map(|(step, line)| (step, line.to_owned())));
}

#[test]
fn json_lines() {
    let buffer = Buffer::default();
    build(Arc::new(Json::new(Box::new(buffer.clone()))));
    let text = buffer.text();
    let values: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<&str> = values
        .iter()
        .map(|v| v["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "build-begun",
            "step-begun",
            "command",
            "line",
            "progress",
            "progress",
            "step-finished",
            "step-begun",
            "step-finished",
            "step-begun",
            "warning",
            "step-failed",
            "line",
            "build-finished",
            "failed",
        ]
    );
    assert!(
        values
            .iter()
            .all(|v| v["image"] == "image.raw" && v["at"].is_f64())
    );
    assert_eq!(values[3]["line"], "Unpacking bash\\x07");
    assert_eq!(values[6]["note"], "12 packages");
    assert!(values[8].get("note").is_none());
    assert_eq!(values[12]["step"], 0);
    assert_eq!(values[13]["artifacts"][0]["size"], 3u64 << 30);
    assert_eq!(values[14]["errors"][0], "disk full");
}
