//! A package's data archive in memory, decompressed by another thread than the one that needs it.

use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::Data;
use super::frames::FRAME;

/// The data archive's bytes, if they were decompressed before they were asked for.
#[derive(Debug, Default)]
pub(super) enum Plain {
    #[default]
    Nothing,
    Whole(Arc<Vec<u8>>),
    /// They were asked for: nobody needs them now.
    Taken,
}

/// Bytes of several owners, to be read.
#[derive(Debug)]
pub(super) struct Shared(pub Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Decompresses a package's data archive.
#[derive(Debug)]
pub(super) struct Reserve {
    data: Data,
    ahead: Arc<Mutex<Plain>>,
}

impl Reserve {
    /// To decompress this archive, to be found in `ahead`.
    pub const fn new(data: Data, ahead: Arc<Mutex<Plain>>) -> Self {
        Self { data, ahead }
    }

    /// Decompresses it into memory; returns how many bytes are kept there. Nothing is if there are more
    /// than `most`, if somebody has asked for them, if `stop` is set, or if the archive is damaged: who
    /// asks for it is told then.
    pub fn fill(&self, most: u64, stop: &AtomicBool) -> u64 {
        let is_wanted = || !stop.load(Ordering::Relaxed) && matches!(*self.plain(), Plain::Nothing);
        let Ok(mut reader) = self.data.read() else {
            return 0;
        };
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            let got = (&mut reader).take(FRAME as u64).read_to_end(&mut bytes);
            if got.is_err() || bytes.len() as u64 > most || !is_wanted() {
                return 0;
            }
            if bytes.len() == before {
                break;
            }
        }
        let mut plain = self.plain();
        if !matches!(*plain, Plain::Nothing) {
            return 0;
        }
        let kept = bytes.len() as u64;
        *plain = Plain::Whole(Arc::new(bytes));
        kept
    }

    /// Hands over all bytes in pieces of at most [`FRAME`], from memory where they are there.
    ///
    /// # Errors
    /// When the archive is damaged, or `take` fails.
    pub fn each_piece(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let kept = match &*self.plain() {
            Plain::Whole(bytes) => Some(Arc::clone(bytes)),
            Plain::Nothing | Plain::Taken => None,
        };
        if let Some(bytes) = kept {
            return bytes.chunks(FRAME).try_for_each(take);
        }
        let mut reader = self
            .data
            .read()
            .map_err(|fault| io::Error::other(fault.problem))?;
        let mut piece = Vec::with_capacity(FRAME);
        loop {
            piece.clear();
            (&mut reader).take(FRAME as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            take(&piece)?;
        }
    }

    /// Whether there is no copy of it, and decompressing it takes long.
    pub fn is_slow(&self) -> bool {
        self.data.is_slow()
    }

    fn plain(&self) -> MutexGuard<'_, Plain> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
