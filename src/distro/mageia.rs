//! Mageia. Mirrors come from the project's list.

/// The stable release.
pub const DEFAULT_RELEASE: &str = "9";
