//! Builds several images at once, each in a process of its own, and shows how they come along.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::super::build::{self, Prepared};
use super::super::{VerbError, exit, terminal};
use super::schedule::{Base, Schedule};
use super::table::{Outcome, Row};
use super::targets::Target;
use crate::engine::events::{Message, Wire};
use crate::engine::{Event, Progress, Sink};
use crate::host::{Cancel, Crew, HostError, namespace};

/// How often somebody who presses Ctrl-C is listened to.
const TICK: Duration = Duration::from_millis(100);

/// One image and everything that its build takes.
pub struct Job<'a> {
    /// Its settings.
    pub target: &'a Target,
    /// Its build, checked.
    pub prepared: &'a Prepared,
    /// What it may share with others, in the order in which it is made.
    pub bases: Vec<Base>,
}

/// What became of an image.
#[derive(Debug, Default)]
pub struct Report {
    /// Its line in the table.
    pub row: Row,
    /// Why it is not there; each entry is the cause of the one before.
    pub errors: Vec<String>,
}

/// Worker processes that wait to begin, one for each image.
pub struct Workers {
    crew: Crew,
    says: Vec<File>,
}

impl Workers {
    /// Makes the workers. To be called while this process has one thread, and before it handles
    /// signals.
    ///
    /// # Errors
    /// When the system has no room for so many processes.
    pub fn hire(jobs: &[Job<'_>]) -> Result<Self, HostError> {
        let mut crew = Crew::default();
        let mut says = Vec::new();
        for job in jobs {
            says.push(crew.hire(|there| work(job, there))?);
        }
        Ok(Self { crew, says })
    }

    /// Builds all images, at most `limit` at a time, until the last one has ended or `cancel` is
    /// set.
    #[must_use]
    pub fn run(
        self,
        jobs: &[Job<'_>],
        limit: usize,
        sink: Arc<dyn Sink>,
        cancel: &Cancel,
    ) -> Vec<Report> {
        let bases = jobs.iter().map(|job| job.bases.clone()).collect();
        let (to_here, news) = channel();
        for (number, says) in self.says.into_iter().enumerate() {
            listen(number, says, to_here.clone());
        }
        drop(to_here);
        let reports = jobs.iter().map(|job| Report {
            row: Row {
                image: job.target.name.clone(),
                ..Row::default()
            },
            errors: Vec::new(),
        });
        let run = Run {
            crew: self.crew,
            schedule: Schedule::new(limit, bases),
            begun: vec![None; jobs.len()],
            reports: reports.collect(),
            held_up: Vec::new(),
            sink,
        };
        run.finish(&news, cancel)
    }
}

/// The worker's side.
fn work(job: &Job<'_>, there: File) -> u8 {
    let wire = Arc::new(Wire::new(there));
    let progress = Progress::new(wire.clone(), &job.target.name);
    let isolated =
        namespace::isolate(
            || match build::build(&job.target.config, job.prepared, &progress) {
                Ok(()) => exit::DONE,
                Err(error) if error.is_interruption() => exit::INTERRUPTED,
                Err(_) => exit::FAILED,
            },
        );
    isolated.unwrap_or_else(|error| {
        wire.resume();
        progress.failed(&VerbError::Host(error));
        exit::FAILED
    })
}

/// What a worker's listener has heard; none when the worker has ended.
type News = (usize, Option<Message>);

fn listen(number: usize, says: File, to: Sender<News>) {
    thread::spawn(move || {
        for line in BufReader::new(says).split(b'\n') {
            let Ok(line) = line else { break };
            let Some(message) = Message::from_line(&String::from_utf8_lossy(&line)) else {
                continue;
            };
            if to.send((number, Some(message))).is_err() {
                return;
            }
        }
        // Nobody listens any more when this fails.
        let _ = to.send((number, None));
    });
}

struct Run {
    crew: Crew,
    schedule: Schedule,
    begun: Vec<Option<Instant>>,
    reports: Vec<Report>,
    /// Who was said to wait for whom.
    held_up: Vec<(usize, usize)>,
    sink: Arc<dyn Sink>,
}

impl Run {
    fn finish(mut self, news: &Receiver<News>, cancel: &Cancel) -> Vec<Report> {
        let (mut asked, mut asked_urgently) = (false, false);
        let mut left = self.reports.len();
        while left > 0 {
            let urgent = cancel.is_urgent();
            if cancel.is_cancelled() && (!asked || (urgent && !asked_urgently)) {
                self.crew.ask_to_stop(urgent);
                (asked, asked_urgently) = (true, urgent);
            }
            if !asked {
                self.begin_what_can();
            }
            match news.recv_timeout(TICK) {
                Ok((number, Some(message))) => self.hear(number, &message),
                Ok((number, None)) => {
                    self.end(number);
                    left -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.reports
    }

    fn begin_what_can(&mut self) {
        while let Some(number) = self.schedule.next() {
            if let Some(begun) = self.begun.get_mut(number) {
                *begun = Some(Instant::now());
            }
            self.crew.begin(number);
        }
        let held_up = self.schedule.held_up();
        for (number, builder) in held_up.iter().filter(|pair| !self.held_up.contains(pair)) {
            let builder = self.name(*builder);
            let event = Event::Waiting { builder };
            self.sink.event(&self.name(*number), Duration::ZERO, &event);
        }
        self.held_up = held_up;
    }

    fn name(&self, number: usize) -> String {
        let report = self.reports.get(number);
        report.map_or_else(String::new, |report| report.row.image.clone())
    }

    fn hear(&mut self, number: usize, message: &Message) {
        let name = self.name(number);
        message.show(&name, &*self.sink);
        let (Message::Event(_, event), Some(report)) = (message, self.reports.get_mut(number))
        else {
            return;
        };
        match event {
            Event::BuildFinished { artifacts, .. } => {
                report.row.size = artifacts.first().map(|image| image.size);
            }
            Event::Failed { errors } => report.errors.clone_from(errors),
            _ => {}
        }
    }

    fn end(&mut self, number: usize) {
        let ended = self.crew.wait(number);
        self.schedule.ended(number);
        let name = self.name(number);
        let begun = self.begun.get(number).copied().flatten();
        let Some(report) = self.reports.get_mut(number) else {
            return;
        };
        let Some(begun) = begun else {
            // It was dismissed, unless it came to grief while it waited.
            if let Err(error) = ended {
                report.row.outcome = Outcome::Failed;
                report.errors = vec![error.to_string()];
            }
            return;
        };
        let took = begun.elapsed();
        report.row.time = Some(took);
        let unheard = match ended {
            Ok(exit::DONE) => {
                report.row.outcome = Outcome::Built;
                return;
            }
            Ok(exit::INTERRUPTED) => {
                report.row.outcome = Outcome::Interrupted;
                "interrupted".to_owned()
            }
            Ok(status) => {
                report.row.outcome = Outcome::Failed;
                format!("the build process ended with status {status}")
            }
            Err(error) => {
                report.row.outcome = Outcome::Failed;
                terminal::chain(&error)
            }
        };
        if report.errors.is_empty() {
            report.errors = vec![unheard];
            let event = Event::Failed {
                errors: report.errors.clone(),
            };
            self.sink.event(&name, took, &event);
        }
    }
}
