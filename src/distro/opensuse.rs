//! openSUSE Leap and Tumbleweed.

/// The rolling release.
pub const DEFAULT_RELEASE: &str = "tumbleweed";
/// The project's redirector to mirrors.
pub const DEFAULT_MIRROR: &str = "https://download.opensuse.org";
