//! Builds several images at once, each in a process of its own, and shows how they come along.

use std::collections::{BTreeMap, HashMap};
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
use crate::engine::{Artifact, Event, Progress, Sink};
use crate::host::{Cancel, Crew, HostError, namespace, printable};

/// How often somebody who presses Ctrl-C is listened to.
const TICK: Duration = Duration::from_millis(100);

/// One image and everything that its build takes.
pub struct Job<'a> {
    /// Its settings.
    pub target: &'a Target,
    /// Its build, checked.
    pub prepared: &'a Prepared,
    /// What it may share with others, by the layer's kind.
    pub bases: BTreeMap<String, Base>,
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
        let bases: Vec<_> = jobs.iter().map(|job| job.bases.clone()).collect();
        let needed = bases.iter().map(|bases| bases.values().cloned().collect());
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
            schedule: Schedule::new(limit, needed.collect()),
            bases,
            progress: vec![Stage::default(); jobs.len()],
            makers: HashMap::new(),
            reports: reports.collect(),
            held_up: Vec::new(),
            sink,
        };
        run.finish(&news, cancel)
    }
}

/// The worker's side.
fn work(job: &Job<'_>, there: File) -> u8 {
    let wire = Arc::new(Wire::new(there, job.prepared.timings.is_some()));
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

/// How far an image is.
#[derive(Clone, Debug, Default)]
struct Stage {
    begun: Option<Instant>,
    /// A step could not do its work.
    step_failed: bool,
}

struct Run {
    crew: Crew,
    schedule: Schedule,
    /// Of each image, by the layer's kind.
    bases: Vec<BTreeMap<String, Base>>,
    progress: Vec<Stage>,
    /// Who made a base in this run.
    makers: HashMap<Base, String>,
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
            if let Some(stage) = self.progress.get_mut(number) {
                stage.begun = Some(Instant::now());
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
        let (Message::Event(_, event), Some(report), Some(stage)) = (
            message,
            self.reports.get_mut(number),
            self.progress.get_mut(number),
        ) else {
            return;
        };
        match event {
            Event::BuildFinished { artifacts, .. } => {
                report.row.size = largest(artifacts);
            }
            Event::Failed { errors } => report.errors.clone_from(errors),
            Event::StepFailed { .. } => stage.step_failed = true,
            Event::LayerReady { layer, reused } => self.layer_ready(number, layer, *reused),
            _ => {}
        }
    }

    fn layer_ready(&mut self, number: usize, layer: &str, reused: bool) {
        let bases = self.bases.get(number);
        let Some(base) = bases.and_then(|bases| bases.get(layer)).cloned() else {
            return;
        };
        self.schedule.base_ready(&base);
        if !reused {
            let name = self.name(number);
            self.makers.insert(base, name);
        } else if let Some(report) = self.reports.get_mut(number) {
            report.row.reused.push(match self.makers.get(&base) {
                Some(maker) => format!("{layer} of {maker}"),
                None => layer.to_owned(),
            });
        }
    }

    /// Images that wait for a base that an image could not make: they would come as far as that.
    fn fail_with(&mut self, maker: usize) {
        let waiting = self.schedule.held_up();
        for (number, _) in waiting.iter().filter(|(_, builder)| *builder == maker) {
            self.crew.dismiss(*number);
            self.schedule.ended(*number);
            let maker = printable(&self.name(maker));
            let errors = vec![format!("the base that {maker} builds could not be made")];
            let name = self.name(*number);
            if let Some(report) = self.reports.get_mut(*number) {
                report.row.outcome = Outcome::Failed;
                report.errors.clone_from(&errors);
            }
            self.sink
                .event(&name, Duration::ZERO, &Event::Failed { errors });
        }
    }

    fn end(&mut self, number: usize) {
        let ended = self.crew.wait(number);
        let stage = self.progress.get(number).cloned().unwrap_or_default();
        if stage.step_failed && matches!(ended, Ok(exit::FAILED)) {
            self.fail_with(number);
        }
        self.schedule.ended(number);
        let name = self.name(number);
        let Some(report) = self.reports.get_mut(number) else {
            return;
        };
        let Some(begun) = stage.begun else {
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

/// The length of the image itself: everything beside it is small.
fn largest(artifacts: &[Artifact]) -> Option<u64> {
    artifacts.iter().map(|artifact| artifact.size).max()
}
