//! Builds in which something goes wrong at a named place: what each scenario is, and what must hold.

#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod boot;
pub mod cell;
pub mod scenario;
pub mod state;
