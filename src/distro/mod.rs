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

mod apk_repositories;
mod archive;
mod facts;
pub(crate) mod location;
mod pacman_repositories;
pub mod provenance;
mod repository;
pub mod rpm;
mod rpm_boot;
pub mod rpm_files;
mod rpm_names;
mod swupd_content;

pub use apk_repositories::ApkRepositories;
pub use facts::{Boots, Facts, Wanted};
pub use pacman_repositories::{PacmanRepositories, PacmanRepository};
pub use repository::{AptRepositories, MergedUsr, Repositories, Source};
pub use rpm::RpmRepositories;
pub use swupd_content::SwupdContent;

use crate::config::values::{Architecture, Distribution};

/// What is known of a distribution.
#[must_use]
pub fn facts(distribution: Distribution) -> &'static dyn Facts {
    match distribution {
        Distribution::Debian => &debian::Debian,
        Distribution::Fedora => &fedora::Fedora,
        Distribution::Centos => &centos::Centos { epel: false },
        Distribution::CentosEpel => &centos::Centos { epel: true },
        Distribution::Mageia => &mageia::Mageia,
        Distribution::Opensuse => &opensuse::Opensuse,
        Distribution::Ubuntu => &ubuntu::Ubuntu,
        Distribution::Arch => &arch::Arch,
        Distribution::Alpine => &alpine::Alpine,
        Distribution::Clear => &clear::Clear,
    }
}

/// The releases of all distributions that can be built, by the names that [`Facts::release`] gives them.
#[must_use]
pub fn releases() -> Vec<String> {
    let all = Distribution::ALL.iter().map(|name| facts(*name));
    all.flat_map(Facts::releases).collect()
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
