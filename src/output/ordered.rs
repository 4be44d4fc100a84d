//! Work done side by side whose results come back in the order in which it was handed out.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Says to running work that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Says so.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to give up.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A job and where its result goes.
type Task<J, R> = (J, Sender<io::Result<R>>);

/// How many jobs have been handed out and are not finished.
#[derive(Debug, Default)]
struct Unfinished(Mutex<usize>, Condvar);

/// Threads that turn jobs into results. Dropping ends them as soon as their work looks at its [`Stop`].
pub struct Ordered<J, R> {
    jobs: Option<Sender<Task<J, R>>>,
    waiting: VecDeque<Slot<R>>,
    unfinished: Arc<Unfinished>,
    most: usize,
    results: usize,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

enum Slot<R> {
    Ready(R),
    Awaited(Receiver<io::Result<R>>),
}

impl<J: Send + 'static, R: Send + 'static> Ordered<J, R> {
    /// `threads` threads that do `work`; no more than `most` jobs are unfinished at any time, and no
    /// more than `results` are unfinished or wait for an earlier one.
    pub fn new(
        threads: usize,
        most: usize,
        results: usize,
        work: impl Fn(J, &Stop) -> io::Result<R> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (jobs, taken) = channel::<Task<J, R>>();
        let (taken, work) = (Arc::new(Mutex::new(taken)), Arc::new(work));
        let mut pool = Self {
            jobs: Some(jobs),
            waiting: VecDeque::new(),
            unfinished: Arc::default(),
            most: most.max(1),
            results: results.max(1),
            stop: Stop::default(),
            threads: Vec::new(),
        };
        for _ in 0..threads.max(1) {
            let (taken, work, stop) = (taken.clone(), work.clone(), pool.stop.clone());
            let unfinished = pool.unfinished.clone();
            let thread = std::thread::Builder::new()
                .name("compress".to_owned())
                .spawn(move || {
                    // The lock is held while waiting, never while working.
                    let next = || taken.lock().ok().and_then(|taken| taken.recv().ok());
                    while let Some((job, to)) = next() {
                        let counted = Counted(&unfinished);
                        // Who does not listen has given up.
                        let _ = to.send((*work)(job, &stop));
                        drop(counted);
                    }
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Hands out a job, and waits until another one may follow: what it is made of need not be in
    /// memory before. Results whose turn it is go to `done`.
    pub fn submit(&mut self, job: J, mut done: impl FnMut(R) -> io::Result<()>) -> io::Result<()> {
        let counter = self.unfinished.clone();
        *counter.0.lock().map_err(|_| broken())? += 1;
        let (to, result) = channel();
        let jobs = self.jobs.as_ref().ok_or_else(broken)?;
        jobs.send((job, to)).map_err(|_| broken())?;
        self.waiting.push_back(Slot::Awaited(result));
        let mut unfinished = counter.0.lock().map_err(|_| broken())?;
        while *unfinished >= self.most {
            unfinished = counter.1.wait(unfinished).map_err(|_| broken())?;
        }
        drop(unfinished);
        self.take_ready(&mut done)?;
        while self.awaited() >= self.results {
            self.take_first(&mut done)?;
            self.take_ready(&mut done)?;
        }
        Ok(())
    }

    /// Results that take memory of their own.
    fn awaited(&self) -> usize {
        let awaited = |slot: &&Slot<R>| matches!(slot, Slot::Awaited(_));
        self.waiting.iter().filter(awaited).count()
    }

    /// Puts a result that is known already in its place behind all others.
    pub fn known(
        &mut self,
        result: R,
        mut done: impl FnMut(R) -> io::Result<()>,
    ) -> io::Result<()> {
        self.waiting.push_back(Slot::Ready(result));
        self.take_ready(&mut done)
    }

    /// Waits for all results.
    pub fn finish(mut self, mut done: impl FnMut(R) -> io::Result<()>) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.take_first(&mut done)?;
        }
        Ok(())
    }

    /// Waits for the first result.
    fn take_first(&mut self, done: &mut impl FnMut(R) -> io::Result<()>) -> io::Result<()> {
        match self.waiting.pop_front() {
            None => Ok(()),
            Some(Slot::Ready(result)) => done(result),
            Some(Slot::Awaited(result)) => done(result.recv().map_err(|_| broken())??),
        }
    }

    /// Takes the results whose turn it is.
    fn take_ready(&mut self, done: &mut impl FnMut(R) -> io::Result<()>) -> io::Result<()> {
        while let Some(first) = self.waiting.pop_front() {
            match first {
                Slot::Ready(result) => done(result)?,
                Slot::Awaited(result) => match result.try_recv() {
                    Ok(result) => done(result?)?,
                    Err(TryRecvError::Disconnected) => return Err(broken()),
                    Err(TryRecvError::Empty) => {
                        self.waiting.push_front(Slot::Awaited(result));
                        break;
                    }
                },
            }
        }
        Ok(())
    }
}

/// One unfinished job, until dropped, be it by a panic.
struct Counted<'a>(&'a Unfinished);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Ok(mut unfinished) = self.0.0.lock() {
            *unfinished = unfinished.saturating_sub(1);
        }
        self.0.1.notify_all();
    }
}

impl<J, R> Drop for Ordered<J, R> {
    fn drop(&mut self) {
        self.stop.set();
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that broke down has been noticed: its result is missing.
            let _ = thread.join();
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("a thread broke down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_jobs_their_number() {
        let at_once = Arc::new(Mutex::new((0_usize, 0_usize)));
        let counted = at_once.clone();
        let mut pool = Ordered::new(4, 3, 6, move |job: u64, _: &Stop| {
            {
                let mut counted = counted.lock().unwrap();
                counted.0 += 1;
                counted.1 = counted.1.max(counted.0);
            }
            std::thread::sleep(std::time::Duration::from_millis(job % 5));
            counted.lock().unwrap().0 -= 1;
            Ok(job)
        })
        .unwrap();
        let mut seen = Vec::new();
        for job in 0..60 {
            let keep = |result| {
                seen.push(result);
                Ok(())
            };
            if job % 3 == 0 {
                pool.known(job, keep).unwrap();
            } else {
                pool.submit(job, keep).unwrap();
            }
        }
        pool.finish(|result| {
            seen.push(result);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..60).collect::<Vec<u64>>());
        assert!(at_once.lock().unwrap().1 <= 3);
    }

    #[test]
    fn failures_and_panics_reach_who_waits() {
        // Either when the job is handed out, if it has failed by then, or at the end.
        let outcome = |work: fn(u32) -> io::Result<u32>| {
            let mut pool = Ordered::new(1, 2, 2, move |job, _: &Stop| work(job)).unwrap();
            pool.submit(0, |_| Ok(()))
                .and_then(|()| pool.finish(|_| Ok(())))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(outcome(|_| Err(io::Error::other("no zero"))), "no zero");
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let panicked = outcome(|job| Ok(7 / job));
        std::panic::set_hook(quiet);
        assert_eq!(panicked, "a thread broke down");
    }

    #[test]
    fn dropping_stops_what_runs() {
        let mut pool = Ordered::new(2, 3, 4, |(): (), stop: &Stop| {
            while !stop.is_set() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .unwrap();
        pool.submit((), |()| Ok(())).unwrap();
        pool.submit((), |()| Ok(())).unwrap();
        drop(pool);
    }
}
