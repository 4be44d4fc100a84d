//! Signals that ask this program to stop, turned into a [`Cancel`].

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::Cancel;

/// The exit status of an interrupted run: 128 + SIGINT, whichever signal it was.
pub const INTERRUPTED: u8 = 130;

/// Signals closer together than this are one request: Ctrl-C reaches this process both from the
/// terminal and, passed on, from the process that waits for it.
const ONE_REQUEST_MS: i64 = 300;

static CANCEL: OnceLock<Cancel> = OnceLock::new();
/// When the first request came, in milliseconds of the monotonic clock; 0 for never.
static FIRST: AtomicI64 = AtomicI64::new(0);
/// How many interactive commands have the terminal.
static LENT: AtomicUsize = AtomicUsize::new(0);
/// Whether this program was started with Ctrl-C ignored, as shells start background jobs.
static BACKGROUND: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGQUIT, SIGTERM and SIGHUP set `cancel`; a second one, a moment later, asks
/// for an immediate end, and so does SIGQUIT. To be called once; only the first `cancel` counts.
///
/// What the caller chose to ignore stays ignored: SIGHUP under `nohup`, and the terminal's Ctrl-C
/// in a background job (an explicit `kill -INT` does count).
///
/// # Errors
/// The system refuses a handler.
pub fn install(cancel: &Cancel) -> io::Result<()> {
    if CANCEL.set(cancel.clone()).is_err() {
        return Ok(());
    }
    let action = SigAction::new(
        SigHandler::SigAction(on_signal),
        SaFlags::SA_RESTART | SaFlags::SA_SIGINFO,
        SigSet::empty(),
    );
    for signal in [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ] {
        // SAFETY: the handler only reads and writes atomics that are initialised by now and asks for
        // the time, all of which is async-signal-safe.
        let before = unsafe { sigaction(signal, &action) }?;
        if !matches!(before.handler(), SigHandler::SigIgn) {
            continue;
        }
        match signal {
            Signal::SIGINT => BACKGROUND.store(true, Ordering::SeqCst),
            Signal::SIGHUP => {
                // SAFETY: puts back the action that was there.
                unsafe { sigaction(signal, &before) }?;
            }
            _ => {}
        }
    }
    Ok(())
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler installed with SA_SIGINFO.
    let code = unsafe { info.as_ref() }.map_or(libc::SI_USER, |info| info.si_code);
    let typed = code > 0 && matches!(signal, libc::SIGINT | libc::SIGQUIT);
    let deaf = LENT.load(Ordering::SeqCst) > 0 || BACKGROUND.load(Ordering::SeqCst);
    let Some(cancel) = CANCEL.get() else { return };
    if typed && deaf {
        return;
    }
    let now = monotonic_ms();
    let again = match FIRST.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => false,
        Err(first) => now - first > ONE_REQUEST_MS,
    };
    if again || signal == libc::SIGQUIT {
        cancel.cancel_at_once();
    } else {
        cancel.cancel();
    }
}

// Both fields are narrower on some 32-bit systems.
#[allow(clippy::useless_conversion)]
fn monotonic_ms() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to a value on this stack; async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    i64::from(time.tv_sec) * 1000 + i64::from(time.tv_nsec) / 1_000_000 + 1
}

/// While this value lives, what is typed on the terminal is a matter of the command that has it.
pub(super) struct TerminalLent(());

/// Stops listening to Ctrl-C and Ctrl-\ until the returned value goes.
pub(super) fn leave_terminal_to_command() -> TerminalLent {
    LENT.fetch_add(1, Ordering::SeqCst);
    TerminalLent(())
}

impl Drop for TerminalLent {
    fn drop(&mut self) {
        LENT.fetch_sub(1, Ordering::SeqCst);
    }
}
