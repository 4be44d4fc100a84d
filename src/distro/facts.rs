//! What a build must know of a distribution.

use super::{Repositories, rpm_names};
use crate::config::values::Architecture;

/// What is known of one distribution. Facts only: nothing here looks at the network or runs anything.
pub trait Facts: Sync {
    /// The release's name in the repositories, for any of its names.
    ///
    /// # Errors
    /// The releases that there are, for people.
    fn release(&self, name: &str) -> Result<String, String>;

    /// Every release that there is, by the name that [`Facts::release`] gives it.
    fn releases(&self) -> Vec<String>;

    /// The architectures that a release has, by the distribution's own names.
    fn architectures(&self, release: &str) -> Vec<&'static str>;

    /// The distribution's own name of an architecture, whether it has it or not.
    fn architecture_name(&self, release: &str, architecture: Architecture) -> &'static str;

    /// The distribution's own name of an architecture.
    ///
    /// # Errors
    /// The architectures that the release has, for people.
    fn architecture(
        &self,
        release: &str,
        architecture: Architecture,
    ) -> Result<&'static str, String> {
        let known = self.architectures(release);
        let name = self.architecture_name(release, architecture);
        if known.contains(&name) {
            return Ok(name);
        }
        Err(known.join(", "))
    }

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

    /// Where packages come from.
    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories;

    /// Whether an entry of `Repositories=` is one that the package manager can be told.
    ///
    /// # Errors
    /// What is expected, for people.
    fn check_repository(&self, _entry: &str) -> Result<(), String> {
        Ok(())
    }

    /// Refuses entries of `Repositories=` that the distribution or its package manager cannot use.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn check_repositories(&self, wanted: &Wanted<'_>) -> Result<(), String> {
        for entry in wanted.additional {
            self.check_repository(entry)
                .map_err(|expected| format!("\"{}\": expected {expected}", entry.escape_debug()))?;
        }
        Ok(())
    }

    /// Whether packages are rpm's: repositories stand in `*.repo` files, and packages can be named in
    /// more ways.
    fn has_rpm(&self) -> bool {
        false
    }

    /// Whether something that can be installed may have this name: it is handed to a package manager
    /// that runs as root, so nothing may pass for an option, a file of this host or several names.
    ///
    /// # Errors
    /// What is expected, for people.
    fn check_package(&self, name: &str) -> Result<(), String> {
        if self.has_rpm() {
            rpm_names::installed(name)
        } else {
            plain_name(name, "")
        }
    }

    /// Whether a word among the packages is an option of the package manager that says what holds anyway.
    fn is_in_force(&self, word: &str, with_docs: bool) -> bool {
        self.has_rpm() && rpm_names::is_in_force(word, with_docs)
    }

    /// As [`Facts::check_package`], for packages to remove or to leave out.
    ///
    /// # Errors
    /// What is expected, for people.
    fn check_removed(&self, name: &str) -> Result<(), String> {
        if self.has_rpm() {
            rpm_names::removed(name)
        } else {
            self.check_package(name)
        }
    }

    /// Whether systemd starts the system: it finds the root partition by its type, and opens those
    /// that are protected.
    fn has_systemd(&self) -> bool {
        true
    }

    /// Why an image cannot boot like this, if it cannot.
    fn unbootable(
        &self,
        _release: &str,
        _architecture: &str,
        _boots: Boots,
    ) -> Option<&'static str> {
        None
    }
}

/// Whether a name begins with a letter or digit and goes on with those, `+ - . _ : = ~` and `further`
/// characters.
pub(super) fn plain_name(name: &str, further: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-._:=~".contains(c) || further.contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.chars().all(fits) && name.len() <= 256 {
        return Ok(());
    }
    let further: String = further.chars().flat_map(|c| [' ', c]).collect();
    Err(format!(
        "letters, digits and + - . _ : = ~{further} are allowed"
    ))
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
