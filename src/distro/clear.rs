//! Clear Linux. `swupd` knows where the content is.

use std::path::PathBuf;

use super::{Boots, Facts, Repositories, SwupdContent, Wanted, location};
use crate::config::values::Architecture;

/// The newest build there is.
pub const DEFAULT_RELEASE: &str = "latest";
/// The certificate that the content is signed with, on hosts with swupd.
const CERTIFICATE: &str = "/usr/share/clear/update-ca/Swupd_Root.pem";

/// Clear Linux.
#[derive(Clone, Copy, Debug)]
pub struct Clear;

impl Facts for Clear {
    fn release(&self, name: &str) -> Result<String, String> {
        let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        if name == DEFAULT_RELEASE || (is_number && name.len() <= 9) {
            return Ok(name.to_owned());
        }
        Err(format!(
            "{DEFAULT_RELEASE} and numbers of builds such as 43760"
        ))
    }

    fn releases(&self) -> Vec<String> {
        vec![DEFAULT_RELEASE.to_owned()]
    }

    fn architectures(&self, _release: &str) -> Vec<&'static str> {
        vec!["x86_64"]
    }

    fn architecture_name(&self, _release: &str, architecture: Architecture) -> &'static str {
        architecture.as_str()
    }

    fn base_packages(&self, _release: &str) -> Vec<String> {
        // Bundles: systemd with a login, and swupd.
        ["os-core", "os-core-update"].map(str::to_owned).to_vec()
    }

    fn boot_packages(&self, _release: &str, _architecture: &str, _boots: Boots) -> Vec<String> {
        // See `unbootable`.
        Vec::new()
    }

    fn is_kernel(&self, package: &str) -> bool {
        package.starts_with("kernel-")
    }

    fn repositories(&self, wanted: &Wanted<'_>) -> Repositories {
        let mirror = wanted.mirror.map(location::url);
        let local = wanted.local_mirror.map(location::url);
        Repositories::Swupd(SwupdContent {
            url: local.or_else(|| mirror.clone()),
            image_url: mirror.filter(|url| location::path(url).is_none()),
            certificates: if wanted.check_keys {
                vec![PathBuf::from(CERTIFICATE)]
            } else {
                Vec::new()
            },
            check_keys: wanted.check_keys,
        })
    }

    fn check_repository(&self, _entry: &str) -> Result<(), String> {
        Err("nothing: Clear Linux has one source of content, which Mirror= sets".to_owned())
    }

    fn unbootable(
        &self,
        _release: &str,
        _architecture: &str,
        _boots: Boots,
    ) -> Option<&'static str> {
        Some(
            "initrds are made with dracut, which Clear Linux does not have: its kernels, command lines \
             and loader entries are put together by its own clr-boot-manager, in a running system; \
             Format=directory, tar and disk images without Bootable work",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_builds() {
        for (name, good) in [
            ("latest", true),
            ("43760", true),
            ("", false),
            ("-1", false),
            ("39", true),
            ("rolling", false),
        ] {
            assert_eq!(Clear.release(name).is_ok(), good, "{name}");
        }
        assert!(Clear.architecture("latest", Architecture::Aarch64).is_err());
        assert!(Clear.check_repository("extra").is_err());
    }

    #[test]
    fn content_is_in_one_place() {
        let mut wanted = Wanted {
            release: "latest",
            architecture: "x86_64",
            mirror: None,
            local_mirror: None,
            additional: &[],
            check_keys: true,
        };
        let content = |wanted: &Wanted<'_>| {
            let Repositories::Swupd(content) = Clear.repositories(wanted) else {
                unreachable!()
            };
            content
        };
        assert_eq!(content(&wanted).url, None);
        wanted.mirror = Some("https://m/update/");
        assert_eq!(content(&wanted).url.as_deref(), Some("https://m/update"));
        wanted.local_mirror = Some("/srv/update");
        let found = content(&wanted);
        assert_eq!(found.url.as_deref(), Some("file:///srv/update"));
        assert_eq!(found.image_url.as_deref(), Some("https://m/update"));
    }
}
