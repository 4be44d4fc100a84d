//! The operating system: commands, mounts, loop devices, locks, signals.

mod cancel;
mod command;
mod report;

pub use cancel::Cancel;
pub use command::{Command, CommandError, Host, HostRunner, Output, Recorder, Runner, Stdin, Stdout};
pub use report::{Quiet, Report};
