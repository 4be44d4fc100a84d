//! The operating system: commands, mounts, loop devices, locks, signals.

mod ask;
mod cancel;
mod child;
mod command;
mod confinement;
mod container;
mod crew;
mod duration;
mod environment;
mod error;
pub mod fail_point;
mod foreign;
mod full_disk;
mod hex;
mod lines;
mod lock;
mod loopdev;
mod mount;
pub mod namespace;
mod no_sync;
mod process;
mod quote;
mod read_only;
mod recorder;
mod remove;
mod report;
mod runner;
mod search;
pub mod signals;
mod size;
mod streams;
mod subvolume;
mod tool_packages;
mod tools;
mod user;
mod user_namespace;

pub use ask::{AskError, HiddenInput};
pub use cancel::Cancel;
pub use command::{Command, CommandError, Output, Stdin, Stdout};
pub use confinement::Confinement;
pub use container::Container;
pub use crew::Crew;
pub use duration::human_duration;
pub use error::HostError;
pub use foreign::{adopt_architecture, check_runs};
pub use full_disk::FullDisk;
pub use hex::hex;
pub use lock::Lock;
pub use loopdev::{LoopDevice, LoopOptions};
pub use mount::{Mount, Overlay, detach_below, mount_point_inside};
pub use process::HostRunner;
pub(crate) use quote::is_hidden;
pub use quote::{printable, printable_bytes, printable_path, shell_quote};
pub use read_only::read_only;
pub use recorder::{Call, Recorder};
pub use remove::{remove, remove_contents};
pub use report::{Quiet, Report};
pub use runner::{Host, Runner};
pub use search::SearchPath;
pub use size::human_size;
pub use subvolume::{
    BtrfsUsage, clear_subvolume_read_only, create_subvolume, is_btrfs, is_read_only_subvolume,
    set_subvolume_read_only,
};
pub use tools::{Advice, advice};
pub use user::{CallingUser, calling_user, is_root, set_umask};
