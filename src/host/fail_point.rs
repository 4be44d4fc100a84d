//! Named places where a test makes a build fail, be interrupted or die.
//!
//! They are there only where assertions are (`debug_assertions`): a release build has neither the names
//! nor the variable. `MKOSI_FAIL_POINT` says what happens:
//!
//! - `NAME:FAULT` or `NAME#COUNT:FAULT`: the fault, when the place is reached for the first time, or the
//!   COUNTth;
//! - `record:FILE`: each place that is reached is noted in the file, a line for each, with what it is about
//!   after a tab.
//!
//! Faults: `error`; `ENOSPC`, as a full disk; `INT`, `TERM`, `KILL`, a signal to the process that got
//! there; `pause=FILE`, which makes the file and waits until it is gone.

use std::fmt::Display;
use std::io;

/// All places, in the order in which a build comes by.
pub const POINTS: &[&str] = &[
    "directories-made",
    "isolated",
    "locked",
    "scratch-unlocked",
    "workspace-made",
    "staging-made",
    "layer-locked",
    "layer-begun",
    "step-begun",
    "command-running",
    "mount-made",
    "loop-attached",
    "file-created",
    "member-extracted",
    "step-done",
    "layer-filled",
    "layer-recorded",
    "layer-replaced",
    "layer-placed",
    "note-written",
    "overlay-mounted",
    "kernel-copied",
    "initrd-made",
    "initrd-begun",
    "unified-begun",
    "program-signed",
    "boot-files-staged",
    "image-created",
    "part-made",
    "part-encrypted",
    "partition-filled",
    "hash-tree-begun",
    "root-sealed",
    "table-unwritten",
    "table-written",
    "image-converted",
    "image-reading",
    "artifact-created",
    "steps-done",
    "artifact-completed",
    "publication-noted",
    "artifact-placed",
    "artifact-retired",
    "artifacts-placed",
    "publication-decided",
    "published",
    "layer-set-aside",
];

/// Says that the place `name`, one of [`POINTS`], is reached; `about` tells which of several things it is
/// reached for.
///
/// # Errors
/// Whatever was asked for.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_name: &'static str, _about: impl Display) -> io::Result<()> {
    Ok(())
}

/// Says that the place `name`, one of [`POINTS`], is reached; `about` tells which of several things it is
/// reached for.
///
/// # Errors
/// Whatever was asked for.
#[cfg(debug_assertions)]
pub fn reach(name: &'static str, about: impl Display) -> io::Result<()> {
    active::reach(name, &about)
}

/// As [`reach`], where nothing can fail any more: only signals make a difference.
pub fn pass(name: &'static str) {
    let _ = reach(name, "");
}

#[cfg(debug_assertions)]
mod active {
    use std::fmt::Display;
    use std::fs::{self, File};
    use std::io::{self, Write as _};
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};
    use rustix::io::Errno;

    const VARIABLE: &str = "MKOSI_FAIL_POINT";
    /// How often a paused process looks whether it may go on.
    const TICK: Duration = Duration::from_millis(5);

    /// What was asked for.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum Wish {
        Nothing,
        Record(PathBuf),
        Fault {
            name: String,
            count: usize,
            fault: Fault,
        },
    }

    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum Fault {
        Error,
        Full,
        Raise(Signal),
        Pause(PathBuf),
    }

    static WISH: OnceLock<Wish> = OnceLock::new();
    static REACHED: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn reach(name: &'static str, about: &dyn Display) -> io::Result<()> {
        debug_assert!(super::POINTS.contains(&name), "{name} is not listed");
        let wish = WISH.get_or_init(|| {
            std::env::var(VARIABLE)
                .ok()
                .and_then(|text| wish(&text))
                .unwrap_or(Wish::Nothing)
        });
        match wish {
            Wish::Nothing => Ok(()),
            Wish::Record(file) => {
                let line = format!("{name}\t{}\n", about.to_string().escape_debug());
                let file = File::options().append(true).create(true).open(file);
                // One call: processes that note at once do not mix their lines.
                file.and_then(|mut file| file.write_all(line.as_bytes()))
            }
            Wish::Fault {
                name: wanted,
                count,
                fault,
            } => {
                if wanted != name || REACHED.fetch_add(1, Ordering::SeqCst) + 1 != *count {
                    return Ok(());
                }
                happen(name, fault)
            }
        }
    }

    fn happen(name: &str, fault: &Fault) -> io::Result<()> {
        match fault {
            Fault::Error => Err(io::Error::other(format!("fail point {name}"))),
            Fault::Full => Err(Errno::NOSPC.into()),
            Fault::Raise(signal) => Ok(raise(*signal)?),
            Fault::Pause(file) => pause(file),
        }
    }

    fn pause(file: &Path) -> io::Result<()> {
        fs::write(file, "")?;
        while file.exists() {
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// What a value of the variable asks for.
    pub(super) fn wish(text: &str) -> Option<Wish> {
        let (place, fault) = text.split_once(':')?;
        if place == "record" {
            return Some(Wish::Record(fault.into()));
        }
        let (name, count) = match place.split_once('#') {
            Some((name, count)) => (name, count.parse().ok()?),
            None => (place, 1),
        };
        let fault = match fault {
            "error" => Fault::Error,
            "ENOSPC" => Fault::Full,
            "INT" => Fault::Raise(Signal::SIGINT),
            "TERM" => Fault::Raise(Signal::SIGTERM),
            "KILL" => Fault::Raise(Signal::SIGKILL),
            _ => Fault::Pause(fault.strip_prefix("pause=")?.into()),
        };
        Some(Wish::Fault {
            name: name.to_owned(),
            count,
            fault,
        })
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::active::{Fault, Wish, wish};

    #[test]
    fn wishes() {
        let fault = |name: &str, count, fault| {
            Some(Wish::Fault {
                name: name.to_owned(),
                count,
                fault,
            })
        };
        for (text, expected) in [
            ("record:/a:b", Some(Wish::Record("/a:b".into()))),
            ("locked:error", fault("locked", 1, Fault::Error)),
            ("step-done#3:ENOSPC", fault("step-done", 3, Fault::Full)),
            (
                "locked:pause=/x",
                fault("locked", 1, Fault::Pause("/x".into())),
            ),
            ("locked", None),
            ("locked:HUP", None),
            ("locked#x:error", None),
        ] {
            assert_eq!(wish(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_happens_unasked() {
        super::reach("locked", "").unwrap();
    }
}
