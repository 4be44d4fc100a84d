//! Clear Linux. `swupd` knows where the content is.

/// The newest build there is.
pub const DEFAULT_RELEASE: &str = "latest";
