//! The one flag that says a build shall stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const STOP: u8 = 1;
const STOP_AT_ONCE: u8 = 2;

/// Shared by everything that can take long; set by a signal, never cleared.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// Asks everything that looks at this flag to stop.
    pub fn cancel(&self) {
        self.0.fetch_max(STOP, Ordering::SeqCst);
    }

    /// Asks everything to stop, and commands to be given no time to do so.
    pub fn cancel_at_once(&self) {
        self.0.fetch_max(STOP_AT_ONCE, Ordering::SeqCst);
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= STOP
    }

    /// Whether running commands shall be killed instead of being asked to end.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= STOP_AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_is_never_taken_back() {
        let cancel = Cancel::default();
        assert!(!cancel.is_cancelled());
        cancel.cancel();
        assert!(cancel.is_cancelled() && !cancel.is_urgent());
        cancel.clone().cancel_at_once();
        cancel.cancel();
        assert!(cancel.is_urgent() && cancel.is_cancelled());
    }
}
