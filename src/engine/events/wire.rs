//! Events on their way from the process that builds an image to the one that shows them.

use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Event, Observation, Sink};

/// The least time between two looks at a line that a command is still rewriting.
const OFTEN: Duration = Duration::from_millis(100);

/// One line of what a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Something happened, this long after the build began.
    Event(Duration, Event),
    /// What stands on a line of the step that is still being rewritten.
    Transient(usize, String),
    /// Something to look at afterwards.
    Observed(Observation),
}

impl Message {
    /// The message in a line; none in what a worker that was killed began to say.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Shows it.
    pub fn show(&self, image: &str, sink: &dyn Sink) {
        match self {
            Self::Event(at, event) => sink.event(image, *at, event),
            Self::Transient(step, line) => sink.transient(image, *step, line),
            Self::Observed(observation) => sink.observed(image, observation),
        }
    }
}

/// Passes events on as lines, each a [`Message`].
pub struct Wire {
    state: Mutex<State>,
    /// Whether anybody looks at the build afterwards.
    observed: bool,
}

struct State {
    to: File,
    transient: Option<Instant>,
}

impl Wire {
    /// Writes to `to`; what was observed only where somebody wants it.
    #[must_use]
    pub fn new(to: File, observed: bool) -> Self {
        Self {
            observed,
            state: Mutex::new(State {
                to,
                transient: None,
            }),
        }
    }

    fn send(state: &mut State, message: &Message) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            // Whoever reads it ends this process when it ends.
            let _ = state.to.write_all(&line);
        }
    }

    /// Says something after the process that used this wire was killed, perhaps in the middle of a
    /// line.
    pub fn resume(&self) {
        if let Ok(mut state) = self.state.lock() {
            let _ = state.to.write_all(b"\n");
        }
    }
}

impl Sink for Wire {
    fn event(&self, _: &str, at: Duration, event: &Event) {
        if let Ok(mut state) = self.state.lock() {
            Self::send(&mut state, &Message::Event(at, event.clone()));
        }
    }

    fn transient(&self, _: &str, step: usize, line: &str) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let now = Instant::now();
        if state
            .transient
            .is_some_and(|before| now.duration_since(before) < OFTEN)
        {
            return;
        }
        state.transient = Some(now);
        Self::send(&mut state, &Message::Transient(step, line.to_owned()));
    }

    fn observed(&self, _: &str, observation: &Observation) {
        if let (true, Ok(mut state)) = (self.observed, self.state.lock()) {
            Self::send(&mut state, &Message::Observed(observation.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::sync::Arc;

    use super::*;
    use crate::engine::events::{Artifact, Progress};
    use crate::host::Report as _;

    fn pipe() -> (File, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        (File::from(reader), File::from(writer))
    }

    /// Keeps what it is shown.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, Event)>>);

    impl Sink for Kept {
        fn event(&self, image: &str, _: Duration, event: &Event) {
            self.0
                .lock()
                .unwrap()
                .push((image.to_owned(), event.clone()));
        }
    }

    fn says_everything(progress: &Progress) {
        progress.build_begun(2);
        progress.layer_ready("base", true);
        progress.phase("base");
        progress.phase("base");
        let step = progress.begin("Installing");
        progress.line("a \"line\"\nwith a newline");
        progress.command("true");
        progress.warn("beware");
        progress.progress(1, 2);
        step.finish("");
        progress.begin("Packing").finish("cache hit");
        drop(progress.begin("Failing"));
        progress.build_finished(vec![Artifact {
            path: "/out/image".into(),
            size: u64::MAX,
            allocated: 1,
        }]);
        progress.failed(&std::io::Error::other("no"));
    }

    fn without_times(kept: &Kept) -> Vec<(String, Event)> {
        let mut events = kept.0.lock().unwrap().clone();
        for (_, event) in &mut events {
            match event {
                Event::StepFinished { seconds, .. }
                | Event::StepFailed { seconds, .. }
                | Event::BuildFinished { seconds, .. } => *seconds = 0.0,
                _ => {}
            }
        }
        events
    }

    #[test]
    fn every_event_arrives_as_it_was() {
        let direct = Arc::new(Kept::default());
        says_everything(&Progress::new(direct.clone(), "web"));
        let (reader, writer) = pipe();
        let wire = Arc::new(Wire::new(writer, true));
        says_everything(&Progress::new(wire.clone(), "ignored"));
        drop(wire);
        let arrived = Kept::default();
        for line in BufReader::new(reader).lines() {
            Message::from_line(&line.unwrap())
                .unwrap()
                .show("web", &arrived);
        }
        assert_eq!(without_times(&arrived), without_times(&direct));
        assert_eq!(arrived.0.lock().unwrap().len(), 15);
    }

    #[test]
    fn half_a_line_is_no_message() {
        let (reader, mut file) = pipe();
        file.write_all(b"{\"Event\":[{\"secs\":0,").unwrap();
        let wire = Wire::new(file, false);
        wire.resume();
        wire.transient("", 1, "50 %");
        wire.transient("", 1, "51 %");
        drop(wire);
        let messages: Vec<_> = BufReader::new(reader)
            .lines()
            .map(|line| Message::from_line(&line.unwrap()))
            .collect();
        assert_eq!(
            messages,
            [None, Some(Message::Transient(1, "50 %".to_owned()))]
        );
    }
}
