//! The steps of an image along a line of time.

use std::time::Duration;

use super::data::{Image, Outcome, Step, Task};
use super::html::Html;
use crate::host::human_duration;

/// At least this many steps between marks are round: 1, 2 or 5 of a power of ten.
const MARKS: f64 = 6.0;

/// A duration for people.
pub fn time(seconds: f64) -> String {
    human_duration(Duration::from_secs_f64(seconds.max(0.0)))
}

/// The time line of `image`.
pub fn steps(image: &Image, to: &mut Html) {
    let scale = Scale {
        begun: image.begun,
        seconds: image.seconds,
    };
    axis(&scale, to);
    let mut phase = None;
    for step in &image.steps {
        if phase != Some(step.phase.as_str()) {
            if phase.is_some() {
                to.raw("</ol>\n");
            }
            phase = Some(&step.phase);
            if let Some(title) = phase_title(&step.phase) {
                to.raw("<h3>").raw(title).raw("</h3>\n");
            }
            to.raw("<ol class=\"steps\">\n");
        }
        one(step, &scale, to);
    }
    if phase.is_some() {
        to.raw("</ol>\n");
    }
}

/// The images of a run along a line of time: those beside each other were built at the same time.
pub fn images(images: &[Image], seconds: f64, to: &mut Html) {
    let scale = Scale {
        begun: 0.0,
        seconds,
    };
    axis(&scale, to);
    to.raw("<ol class=\"steps\">\n");
    for (number, image) in images.iter().enumerate() {
        to.raw("<li class=\"step\"><div class=\"name\"><a href=\"#image-");
        to.number(number as u64)
            .raw("\">")
            .text(&image.name)
            .raw("</a>");
        outcome(image.outcome, to);
        to.raw("</div>");
        let part = (image.begun, image.seconds);
        track(part, class(image.outcome, None), &scale, to);
        to.raw("</li>\n");
    }
    to.raw("</ol>\n");
}

fn phase_title(phase: &str) -> Option<&'static str> {
    match phase {
        "base" => Some("Packages"),
        "development" => Some("Development image"),
        "final" => Some("Image"),
        _ => None,
    }
}

/// Seconds on the screen.
struct Scale {
    begun: f64,
    seconds: f64,
}

impl Scale {
    fn share(&self, seconds: f64) -> f64 {
        if self.seconds > 0.0 {
            (seconds / self.seconds).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    fn bar(&self, begun: f64, seconds: f64, class: &'static str, title: &str, to: &mut Html) {
        to.raw("<div class=\"bar ")
            .raw(class)
            .raw("\" style=\"left:");
        to.percent(self.share(begun - self.begun)).raw(";width:");
        to.percent(self.share(seconds));
        if !title.is_empty() {
            to.raw("\" title=\"").text(title);
        }
        to.raw("\"></div>");
    }
}

/// The distance of marks: a round number of seconds.
fn distance(seconds: f64) -> f64 {
    let rough = (seconds / MARKS).max(0.001);
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0];
    let round = times.into_iter().map(|times| times * power);
    round
        .into_iter()
        .find(|mark| *mark >= rough)
        .unwrap_or(power * 10.0)
}

fn axis(scale: &Scale, to: &mut Html) {
    to.raw("<div class=\"step axis\" aria-hidden=\"true\"><div class=\"name\"></div><div class=\"track\">");
    let distance = distance(scale.seconds);
    let mut mark = 0.0;
    // The last one would stand beyond the edge.
    while mark < scale.seconds * 0.93 {
        to.raw("<span class=\"mark\" style=\"left:")
            .percent(scale.share(mark));
        to.raw("\">").text(&time(mark)).raw("</span>");
        mark += distance;
    }
    to.raw("</div><div class=\"seconds\"></div></div>\n");
}

fn class(outcome: Outcome, note: Option<&str>) -> &'static str {
    match outcome {
        Outcome::Failed => "failed",
        _ if note.is_some_and(|note| note.starts_with("cache hit")) => "cached",
        _ => "",
    }
}

fn outcome(outcome: Outcome, to: &mut Html) {
    match outcome {
        Outcome::Done => {}
        Outcome::Failed => {
            to.raw(" <strong class=\"failed\">failed</strong>");
        }
        Outcome::Unfinished => {
            to.raw(" <strong class=\"failed\">did not end</strong>");
        }
    }
}

fn track((begun, seconds): (f64, f64), class: &'static str, scale: &Scale, to: &mut Html) {
    to.raw("<div class=\"track\" aria-hidden=\"true\">");
    scale.bar(begun, seconds, class, "", to);
    to.raw("</div><div class=\"seconds\">")
        .text(&time(seconds))
        .raw("</div>");
}

fn one(step: &Step, scale: &Scale, to: &mut Html) {
    to.raw("<li class=\"step\"><div class=\"name\">")
        .text(&step.title);
    outcome(step.outcome, to);
    if let Some(note) = &step.note {
        to.raw(" <span class=\"dim\">").text(note).raw("</span>");
    }
    to.raw("</div>");
    let class = class(step.outcome, step.note.as_deref());
    track((step.begun, step.seconds), class, scale, to);
    if !step.tasks.is_empty() {
        lanes(step, to);
    }
    if !step.commands.is_empty() {
        commands(step, to);
    }
    to.raw("</li>\n");
}

/// What ran side by side within a step, on the step's own time.
fn lanes(step: &Step, to: &mut Html) {
    let first = step
        .tasks
        .iter()
        .map(|task| task.begun)
        .fold(f64::INFINITY, f64::min);
    let ends = step.tasks.iter().map(|task| task.begun + task.seconds);
    let last = ends.fold(first, f64::max);
    let scale = Scale {
        begun: first,
        seconds: last - first,
    };
    let count = step
        .tasks
        .iter()
        .map(|task| task.lane + 1)
        .max()
        .unwrap_or(0);
    let text = format!(
        "{} parts, up to {count} at a time, in {}",
        step.tasks.len(),
        time(last - first)
    );
    to.raw("<details class=\"more\"><summary>")
        .text(&text)
        .raw("</summary>");
    for lane in 0..count {
        to.raw("<div class=\"lane\" aria-hidden=\"true\">");
        for task in step.tasks.iter().filter(|task| task.lane == lane) {
            let title = format!("{}: {}", task.name, time(task.seconds));
            scale.bar(task.begun, task.seconds, "", &title, to);
        }
        to.raw("</div>");
    }
    let mut longest: Vec<&Task> = step.tasks.iter().collect();
    longest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.name.cmp(&b.name)));
    to.raw("<div class=\"scroll\" tabindex=\"0\"><table><caption>Longest first</caption>");
    to.raw("<thead><tr><th scope=\"col\">Part</th><th scope=\"col\" class=\"n\">Time</th></tr></thead><tbody>\n");
    for task in longest {
        to.raw("<tr><td>")
            .text(&task.name)
            .raw("</td><td class=\"n\">");
        to.text(&time(task.seconds)).raw("</td></tr>\n");
    }
    to.raw("</tbody></table></div></details>");
}

fn commands(step: &Step, to: &mut Html) {
    let text = match step.commands.len() {
        1 => "1 command".to_owned(),
        count => format!("{count} commands"),
    };
    to.raw("<details class=\"more\"><summary>")
        .text(&text)
        .raw("</summary>");
    for command in &step.commands {
        let at = time(command.begun - step.begun);
        to.raw("<pre><span class=\"dim\">")
            .text(&at)
            .raw(":</span> ");
        to.text(&command.line).raw("</pre>");
    }
    to.raw("</details>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        for (seconds, expected) in [
            (0.0, 0.001),
            (0.9, 0.2),
            (6.0, 1.0),
            (7.0, 2.0),
            (42.0, 10.0),
            (100.0, 20.0),
            (3600.0, 1000.0),
        ] {
            let found = distance(seconds);
            assert!(
                (found - expected).abs() < expected / 1e6,
                "{seconds}: {found}"
            );
        }
    }
}
