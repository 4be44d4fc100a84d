//! Decompresses packages into memory while scripts of others run, which keep one processor busy at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::nice;

use super::control::Package;
use super::recompressed::{Recompressed, Wanted};
use super::reserve::Reserve;

/// Bytes that may wait in memory, decompressed. As much as one processor makes in the two seconds that
/// the scripts of a system's first packages take.
const MOST: u64 = 128 << 20;

/// A thread that decompresses, until this is dropped.
#[derive(Debug)]
pub(super) struct Ahead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Copies to be made in a package cache, in this order.
pub(super) struct Copies {
    pub cache: Arc<Recompressed>,
    pub wanted: Vec<Wanted>,
}

impl Ahead {
    /// Begins with these packages, in this order, and makes copies after that. Where there is one processor,
    /// scripts get all of it.
    pub fn begin<'a>(packages: impl Iterator<Item = &'a Package>, copies: Option<Copies>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work: Vec<(u64, Reserve)> = packages
            .map(|package| (package.installed_size(), package.archive.reserve()))
            .collect();
        let is_alone = thread::available_parallelism().is_ok_and(|n| n.get() == 1);
        let is_wanted = !work.is_empty() || copies.is_some();
        let is_last_time = work.is_empty();
        let thread = (!is_alone && is_wanted).then(|| {
            thread::spawn(move || {
                fill(work, &stopped);
                if let Some(copies) = copies {
                    // Of this thread alone; scripts come first where they want both processors.
                    let _ = nice(19);
                    copies.cache.make(&copies.wanted, is_last_time, &stopped);
                }
            })
        });
        Self { stop, thread }
    }
}

/// Decompresses as much as may wait in memory.
fn fill(work: Vec<(u64, Reserve)>, stop: &AtomicBool) {
    let mut left = MOST;
    for (size, reserve) in work {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // What a package says of its size only spares the work on one that is too large.
        if size <= left {
            left -= reserve.fill(left, stop);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A package that was not decompressed is decompressed when its turn comes.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{deb, tar};
    use super::*;

    #[test]
    fn what_was_decompressed_ahead_is_what_is_in_the_package() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.deb");
        let control = "Package: x\nVersion: 1\nArchitecture: all\nInstalled-Size: 1\n";
        let whole = deb(
            &tar(&[("./control", control)]),
            &tar(&[("./etc/x", "data")]),
        );
        fs::write(&path, &whole).unwrap();
        let package = Package::read(path.clone()).unwrap();
        let mut ahead = Ahead::begin(std::iter::once(&package), None);
        if let Some(thread) = ahead.thread.take() {
            thread.join().unwrap();
            // From here on the file is of no use: what follows comes from memory.
            fs::write(&path, vec![0; whole.len()]).unwrap();
        }
        let mut data = package.archive.data().unwrap();
        assert_eq!(data.next().unwrap().unwrap().name, b"./etc/x");
    }
}
