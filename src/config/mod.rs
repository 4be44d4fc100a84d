//! From settings files, flags and project files to one typed [`Config`].
//!
//! [`SETTINGS`] describes every setting. [`load`] reads `mkosi.default` and its drop-ins, puts the
//! flags over them, adds the project's files that count because they are there, fills in defaults
//! and checks the whole. Every error of every file is reported at once.

pub mod ini;
pub mod message;
pub mod samples;
pub mod suggest;
pub mod summary;
pub mod values;

mod checks;
mod combinations;
mod compression;
mod context;
mod error;
#[cfg(test)]
mod example;
mod files;
mod git_tree;
mod installer_files;
mod layers;
mod load;
#[cfg(test)]
mod merging_tests;
mod origin;
mod output_name;
mod project;
mod resolve;
mod settings;
mod shell_project;
mod spec;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod unsupported;

pub use context::{Context, HostSystem};
pub use error::{ConfigError, Errors, Warning};
pub use files::all_settings_files;
pub use installer_files::{InstallerFiles, PacmanConf, PacmanSection};
pub use layers::FlagValue;
pub use load::{Loaded, Request, defaults, load, load_preset};
pub use origin::{Origin, Origins};
pub use project::{Project, missing_inputs};
pub use settings::{Config, SETTINGS};
pub use shell_project::{ImageSh, Imgbuild, Password, Preset, PresetValue, ShellProject};
pub use spec::{Auto, Condition, Section, Spec};
pub use table::Row;
pub use unsupported::{Unsupported, unsupported};
