//! dnf.conf, for all generations of dnf and for yum.

use std::fmt::Write as _;

use super::CACHE;
use crate::distro::RpmRepositories;
use crate::host::printable_path;
use crate::installer::apt::make_directory;
use crate::installer::rpm::{self, Dialect, Prepared};
use crate::installer::{InstallError, Request};

/// How long a list of packages is not asked for again: as long as Fedora wants it for its updates.
const LIST_EXPIRES: &str = "6h";

/// Writes dnf.conf and the repository files.
pub(super) fn write_settings(
    installed: Option<(&Request, &RpmRepositories)>,
    prepared: &Prepared,
) -> Result<(), InstallError> {
    let work = &prepared.work;
    // dnf takes it for a list of directories.
    let directory = work.repositories.to_string_lossy();
    if directory.contains(|c: char| c.is_whitespace() || c == ',') {
        return Err(InstallError::Split {
            path: printable_path(&work.repositories),
        });
    }
    make_directory(&work.settings.join("vars"))?;
    // A proxy's password may be in it; only this build's user can look into its directories.
    rpm::write(
        &work.settings.join("dnf.conf"),
        main_section(installed) + &rpm::host_proxy(),
    )?;
    prepared.write_repositories(Dialect::Dnf)
}

pub(super) fn main_section(installed: Option<(&Request, &RpmRepositories)>) -> String {
    let mut text = String::from(
        "[main]\n\
         plugins=0\n\
         gpgcheck=1\n\
         localpkg_gpgcheck=1\n\
         install_weak_deps=0\n\
         best=1\n\
         obsoletes=1\n\
         skip_broken=0\n\
         skip_if_unavailable=0\n\
         keepcache=1\n\
         check_config_file_age=0\n\
         clean_requirements_on_remove=1\n\
         protected_packages=\n\
         color=never\n\
         logdir=/var/log\n",
    );
    let _ = writeln!(text, "cachedir=/{CACHE}\nmetadata_expire={LIST_EXPIRES}");
    let Some((request, rpm)) = installed else {
        return text;
    };
    if !request.with_docs {
        text.push_str("tsflags=nodocs\n");
    }
    if !request.excluded.is_empty() {
        // yum knows the short name only, dnf 5 the long one only.
        let names = request.excluded.join(",");
        let _ = writeln!(text, "exclude={names}\nexcludepkgs={names}");
    }
    if let Some(platform) = &rpm.module_platform {
        let _ = writeln!(text, "module_platform_id={platform}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installer::tests::rpm_request;

    #[test]
    fn the_settings_are_complete() {
        let mut request = rpm_request();
        request.excluded = vec!["a".into(), "b*".into()];
        let text = main_section(Some((&request, request.rpm().unwrap())));
        for line in [
            "gpgcheck=1",
            "install_weak_deps=0",
            "tsflags=nodocs",
            "excludepkgs=a,b*",
            "module_platform_id=platform:f44",
            "cachedir=/var/cache/dnf",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        request.with_docs = true;
        request.excluded.clear();
        let text = main_section(Some((&request, request.rpm().unwrap())));
        assert!(
            !text.contains("nodocs") && !text.contains("exclude"),
            "{text}"
        );
    }
}
