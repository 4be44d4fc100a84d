//! Builds operating-system images from a declarative description.
//!
//! The road of a build: [`cli`] and [`config`] make one typed [`config::Config`], [`plan`] turns it
//! into steps, [`engine`] runs them in a workspace, and each step calls into [`installer`],
//! [`tree`], [`scripts`], [`disk`] or [`output`], which reach the operating system through [`host`].

pub mod boot;
pub mod cli;
pub mod config;
pub mod disk;
pub mod distro;
pub mod engine;
pub mod frontend;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
// System calls that no crate makes safe.
#[allow(unsafe_code)]
pub mod host;
pub mod installer;
pub mod output;
pub mod plan;
pub mod scripts;
pub mod tree;
pub mod verbs;
