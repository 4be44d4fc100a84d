//! What distributions with rpm call packages and architectures.

use crate::config::values::Architecture;

/// The longest name that is one.
const LONGEST: usize = 256;

/// Names, and what packages provide (`/usr/bin/x`, `pkgconfig(x)`), groups (`@x`, `pattern:x`) and
/// patterns of names (`x-*`).
///
/// # Errors
/// What is expected, for people.
pub(super) fn installed(name: &str) -> Result<(), String> {
    check(name, "@/*_", "*?^@/()[],")
}

/// Names and patterns of names.
///
/// # Errors
/// What is expected, for people.
pub(super) fn removed(name: &str) -> Result<(), String> {
    check(name, "*_", "*?^")
}

/// Whether a word that projects give dnf among the packages is an option that says what holds anyway.
/// Without documentation is how packages are installed unless `WithDocs=` says otherwise.
pub(super) fn is_in_force(word: &str, with_docs: bool) -> bool {
    match word {
        "--setopt=tsflags=nodocs" | "--nodocs" => !with_docs,
        "--assumeyes" | "--best" | "--setopt=install_weak_deps=False" => true,
        _ => false,
    }
}

fn check(name: &str, first: &str, more: &str) -> Result<(), String> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric() || first.contains(c));
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-._:=~".contains(c) || more.contains(c);
    if starts_well && name.chars().all(fits) && name.len() <= LONGEST && !is_file(name) {
        return Ok(());
    }
    let more: String = more.chars().flat_map(|c| [' ', c]).collect();
    Err(format!(
        "letters, digits and + - . _ : = ~{more} are allowed, and no files"
    ))
}

/// rpm's name of an architecture.
pub(super) const fn architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Armv7 => "armv7hl",
        other => other.as_str(),
    }
}

/// What repositories of Fedora and CentOS call an architecture.
pub(super) const fn red_hat_architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Armv7 => "armhfp",
        Architecture::I686 => "i386",
        other => other.as_str(),
    }
}

/// Whether package managers would install this file of the host, or of the network, itself.
fn is_file(name: &str) -> bool {
    name.contains("://") || name.to_ascii_lowercase().ends_with(".rpm") || name.contains("/../")
}
