//! Arch Linux.

use crate::config::values::Architecture;

/// Arch has no releases.
pub const DEFAULT_RELEASE: &str = "rolling";

/// The project's mirror near the caller; ARM has a project of its own.
#[must_use]
pub const fn default_mirror(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Aarch64 | Architecture::Armv7 => "http://mirror.archlinuxarm.org",
        _ => "https://geo.mirror.pkgbuild.com",
    }
}
