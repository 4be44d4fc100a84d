//! Fedora Linux. Mirrors come from the project's list.

/// A release that is supported and has had its first round of fixes.
pub const DEFAULT_RELEASE: &str = "44";
