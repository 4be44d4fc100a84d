//! What a build must know of a distribution.

use super::Repositories;
use crate::config::values::Architecture;

/// What is known of one distribution. Facts only: nothing here looks at the network or runs anything.
pub trait Facts: Sync {
    /// The release's name in the repositories, for any of its names.
    ///
    /// # Errors
    /// The releases that there are, for people.
    fn release(&self, name: &str) -> Result<String, String>;

    /// The distribution's own name of an architecture.
    ///
    /// # Errors
    /// The architectures that the release has, for people.
    fn architecture(
        &self,
        release: &str,
        architecture: Architecture,
    ) -> Result<&'static str, String>;

    /// Packages that make a minimal system boot to a login on the console.
    fn base_packages(&self, release: &str) -> Vec<String>;

    /// Packages that a machine needs to boot the image: kernel, what makes initrds, boot loaders.
    fn boot_packages(&self, release: &str, architecture: &str, boots: Boots) -> Vec<String>;

    /// Packages of an ssh server, and of systemd-networkd where that is a package of its own: it
    /// configures a virtual machine's link to `mkosi ssh`.
    fn ssh_packages(&self, _release: &str) -> Vec<String> {
        vec!["openssh-server".to_owned()]
    }

    /// Whether a package of this name is a kernel.
    fn is_kernel(&self, package: &str) -> bool;

    /// Refuses names of repositories that the distribution does not have.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn check_repositories(&self, _wanted: &Wanted<'_>) -> Result<(), String> {
        Ok(())
    }

    /// Where packages come from.
    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories;
}

/// What an image shall boot with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boots {
    /// Firmware starts it, through systemd-boot.
    pub uefi: bool,
    /// A BIOS starts it, through GRUB.
    pub bios: bool,
    /// A hash tree protects its root partition.
    pub verity: bool,
    /// Partitions are encrypted.
    pub encrypted: bool,
    /// A kernel was asked for by name.
    pub has_kernel: bool,
}

/// What of the configuration decides the repositories.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The release, as [`Facts::release`] names it.
    pub release: &'a str,
    /// The architecture, as [`Facts::architecture`] names it.
    pub architecture: &'a str,
    /// `Mirror=`; the default one stands for the archive where a release has moved there.
    pub mirror: Option<&'a str>,
    /// `LocalMirror=`, when set.
    pub local_mirror: Option<&'a str>,
    /// `Repositories=`: names that the distribution knows, and addresses.
    pub additional: &'a [String],
    /// `RepositoryKeyCheck=`.
    pub check_keys: bool,
}
