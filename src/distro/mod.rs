//! What is known of each distribution. One file each.

pub mod alpine;
pub mod arch;
pub mod centos;
pub mod clear;
pub mod debian;
pub mod fedora;
pub mod mageia;
pub mod opensuse;
pub mod ubuntu;

mod facts;
mod repository;
pub mod rpm;
mod rpm_boot;

pub use facts::{Boots, Facts, Wanted};
pub use repository::{AptRepositories, MergedUsr, Repositories, Source};
pub use rpm::RpmRepositories;

use crate::config::values::{Architecture, Distribution};

/// What is known of a distribution, where it is enough for a build.
#[must_use]
pub fn facts(distribution: Distribution) -> Option<&'static dyn Facts> {
    match distribution {
        Distribution::Debian => Some(&debian::Debian),
        Distribution::Fedora => Some(&fedora::Fedora),
        Distribution::Centos => Some(&centos::Centos { epel: false }),
        Distribution::CentosEpel => Some(&centos::Centos { epel: true }),
        Distribution::Mageia => Some(&mageia::Mageia),
        Distribution::Opensuse => Some(&opensuse::Opensuse),
        _ => None,
    }
}

/// The release that is installed when none is named and the host runs another distribution.
#[must_use]
pub const fn default_release(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Fedora => fedora::DEFAULT_RELEASE,
        Distribution::Debian => debian::DEFAULT_RELEASE,
        Distribution::Ubuntu => ubuntu::DEFAULT_RELEASE,
        Distribution::Arch => arch::DEFAULT_RELEASE,
        Distribution::Opensuse => opensuse::DEFAULT_RELEASE,
        Distribution::Mageia => mageia::DEFAULT_RELEASE,
        Distribution::Centos | Distribution::CentosEpel => centos::DEFAULT_RELEASE,
        Distribution::Clear => clear::DEFAULT_RELEASE,
        Distribution::Alpine => alpine::DEFAULT_RELEASE,
    }
}

/// Where packages come from when no mirror is named; none where the distribution's own list of
/// mirrors is asked.
#[must_use]
pub const fn default_mirror(
    distribution: Distribution,
    architecture: Architecture,
) -> Option<&'static str> {
    match distribution {
        Distribution::Debian => Some(debian::DEFAULT_MIRROR),
        Distribution::Ubuntu => Some(ubuntu::default_mirror(architecture)),
        Distribution::Arch => Some(arch::default_mirror(architecture)),
        Distribution::Opensuse => Some(opensuse::DEFAULT_MIRROR),
        Distribution::Alpine => Some(alpine::DEFAULT_MIRROR),
        Distribution::Fedora
        | Distribution::Mageia
        | Distribution::Centos
        | Distribution::CentosEpel
        | Distribution::Clear => None,
    }
}
