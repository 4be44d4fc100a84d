//! Ubuntu.

use crate::config::values::Architecture;

/// The newest release with long-term support, 26.04.
pub const DEFAULT_RELEASE: &str = "resolute";

/// PC architectures are on the main archive, all others on the ports archive.
#[must_use]
pub const fn default_mirror(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 | Architecture::I686 => "http://archive.ubuntu.com/ubuntu",
        _ => "http://ports.ubuntu.com/ubuntu-ports",
    }
}
