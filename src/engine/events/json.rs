//! Events for programs: one JSON object per line.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use super::{Event, Sink};

/// Writes each event as a line of JSON: its own members and `image` and `at`, the seconds since the
/// image's build began. Meant for standard output; standard error stays for people.
pub struct Json {
    to: Mutex<Box<dyn Write + Send>>,
}

#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    at: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Json {
    /// Writes to `to`.
    #[must_use]
    pub fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to: Mutex::new(to) }
    }
}

impl Sink for Json {
    fn event(&self, image: &str, at: Duration, event: &Event) {
        let at = (at.as_secs_f64() * 1000.0).round() / 1000.0;
        let Ok(mut line) = serde_json::to_vec(&Line { image, at, event }) else {
            return;
        };
        line.push(b'\n');
        if let Ok(mut to) = self.to.lock() {
            // A reader that went away does not stop the build.
            let _ = to.write_all(&line).and_then(|()| to.flush());
        }
    }
}
