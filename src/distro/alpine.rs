//! Alpine Linux.

/// A stable branch; its packages get fixes for two years after the release.
pub const DEFAULT_RELEASE: &str = "3.23";
/// The project's content delivery network.
pub const DEFAULT_MIRROR: &str = "https://dl-cdn.alpinelinux.org/alpine";
