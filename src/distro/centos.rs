//! CentOS and CentOS Stream. Mirrors come from the project's list.

/// CentOS Stream 10.
pub const DEFAULT_RELEASE: &str = "10";
