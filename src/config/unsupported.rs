//! Settings that are understood and that a build cannot honour.

use super::Config;
use super::error::ConfigError;
use super::message::Excerpt;
use super::origin::Origin;
use super::settings::SETTINGS;

/// A setting that a build cannot honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The setting.
    pub setting: &'static str,
    /// Its value, for people.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
    /// What would have to be there, as a plural noun or name.
    pub what: &'static str,
}

impl From<Unsupported> for ConfigError {
    fn from(unsupported: Unsupported) -> Self {
        let Unsupported {
            setting,
            value,
            origin,
            what,
        } = unsupported;
        let value = Excerpt(&value).to_string();
        Self::Conflict(format!(
            "{origin}: {setting}={value}: this version does not support {what}"
        ))
    }
}

/// The settings that a build cannot honour, in the order of the table. A build must not begin
/// unless there are none.
#[must_use]
pub fn unsupported(config: &Config) -> Vec<Unsupported> {
    let refused = SETTINGS.iter().filter_map(|row| {
        let what = row.spec.later?;
        let origin = config.origins.of(row.spec.name)[0].clone();
        let trace = config.origins.trace(row.spec.name);
        let unfit = trace.is_some_and(|trace| trace.differs);
        (unfit && row.spec.matters(config)).then(|| Unsupported {
            setting: row.spec.name,
            value: (row.lines)(config).join(" "),
            origin,
            what,
        })
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;
    use crate::config::unsupported;

    fn refused(fixture: &Fixture) -> Vec<&'static str> {
        unsupported(&fixture.config())
            .iter()
            .map(|unsupported| unsupported.setting)
            .collect()
    }

    #[test]
    fn only_what_has_an_effect_is_refused() {
        for (args, settings) in [
            ("", vec![]),
            ("-t tar", vec![]),
            ("-t directory", vec![]),
            (
                "-t gpt_btrfs --compress --minimize --swap-size=1G --home-size=1G",
                vec![],
            ),
            ("-t plain_squashfs --compress=lz4", vec![]),
            ("-d fedora", vec![]),
            ("-d clear", vec![]),
            ("-d arch", vec![]),
            ("--architecture=s390x", vec![]),
            (
                "--esp-size=1G --kernel-command-line=x --boot-protocols=bios --secure-boot",
                vec![],
            ),
            ("-b --esp-size=1G --secure-boot", vec![]),
            ("-b --sign-expected-pcr", vec!["SignExpectedPCR"]),
            (
                "--build-packages=a --build-sources=b --source-file-transfer=mount -T",
                vec![],
            ),
            (
                "--qemu-smp=4 --qemu-mem=2G --qemu-headless --network-veth",
                vec![],
            ),
            (
                "--manifest-format=json,changelog --qcow2 --xz --sign --key=a --bmap",
                vec![],
            ),
            ("--bootable=no --verity=no --netdev=no", vec![]),
            ("--ssh --base-image=a", vec![]),
            ("--netdev", vec!["Netdev"]),
            (
                "--read-only --hostname=a --root-size=2G --gpt-first-lba=64 -ff",
                vec![],
            ),
        ] {
            let found = refused(&Fixture::new().args(args));
            assert_eq!(found, settings, "{args}");
        }
    }
}
