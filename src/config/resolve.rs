//! What follows from the settings together: values that others imply, names of files, and
//! combinations that cannot work.

use std::path::Path;

use super::error::{Findings, Warning};
use super::message::Excerpt;
use super::origin::Origin;
use super::settings::SETTINGS;
use super::values::Secret;
use super::{Config, Context, checks, combinations, compression, output_name};

/// Completes and checks a configuration whose defaults are filled in.
pub(super) fn resolve(config: &mut Config, context: &Context, found: &mut Findings) {
    if config
        .origins
        .trace("Distribution")
        .is_some_and(|trace| trace.origins.is_empty())
        && context.host_distribution().is_none()
        // It installs no distribution that this program would have to know.
        && config.project.image_sh().is_none()
    {
        found.conflict(format!(
            "this host's distribution ({}) is not one that can be built; set Distribution",
            match context.host_id() {
                "" => "unknown".into(),
                id => Excerpt(id).to_string(),
            }
        ));
    }
    compression::of_output(config, found);
    compression::within(config, found);
    implied(config, found);
    package_cache(config);
    lock_file(config, context);
    password(config);
    locations(config, context, found);
    output_name::settle(config, context, found);
    combinations::check(config, found);
    checks::values(config, found);
    no_effect(config, found);
}

fn implied(config: &mut Config, found: &mut Findings) {
    let by = if config.format.is_squashfs() {
        Some(format!("Format={}", config.format))
    } else if config.verity {
        Some("Verity".to_owned())
    } else {
        None
    };
    if let Some(by) = by.filter(|_| !config.read_only) {
        if config.origins.is_explicit("ReadOnly") {
            let asked = config.origins.quoted("ReadOnly");
            found.warn(Warning(format!(
                "{asked} does not count: {by} makes the root file system read-only"
            )));
        }
        config.read_only = true;
        config.origins.imply("ReadOnly", &by);
    }
    if config.sign && !config.checksum {
        if config.origins.is_explicit("CheckSum") {
            let asked = config.origins.quoted("CheckSum");
            found.warn(Warning(format!(
                "{asked} does not count: Sign signs the check sums"
            )));
        }
        config.checksum = true;
        config.origins.imply("CheckSum", "Sign");
    }
}

/// `mkosi.cache/` is shared between the distributions that are built here.
fn package_cache(config: &mut Config) {
    let detected = matches!(config.origins.of("Cache").first(), Some(Origin::Project(_)));
    let name = format!("{}~{}", config.distribution, config.release);
    if let Some(cache) = config.cache.as_mut().filter(|_| detected) {
        cache.push(name);
    }
}

/// The lock is beside the settings file.
fn lock_file(config: &mut Config, context: &Context) {
    use std::ffi::OsString;
    let path = config.lock_file.take().unwrap_or_else(|| {
        let files = &config.project.settings_files;
        let name = files.first().map(|file| match file.parent() {
            // A drop-in of a file that is not there.
            Some(above) if above.extension().is_some_and(|e| e == "d") => above.with_extension(""),
            _ => file.clone(),
        });
        match name {
            Some(name) if name.file_name().is_some_and(|name| name != "mkosi.default") => {
                let mut name = OsString::from(name);
                name.push(".lock");
                name.into()
            }
            name => name.unwrap_or_default().with_file_name("mkosi.lock"),
        }
    });
    config.lock_file = Some(context.absolute(&path));
}

/// `hashed:` is another way to say PasswordIsHashed.
fn password(config: &mut Config) {
    let hash = config
        .password
        .as_ref()
        .and_then(|secret| secret.reveal().strip_prefix("hashed:"));
    if let Some(hash) = hash.map(Secret::new) {
        config.password = Some(hash);
        if !config.password_is_hashed {
            config.password_is_hashed = true;
            config.origins.imply("PasswordIsHashed", "Password");
        }
    }
}

/// Makes paths of repositories absolute.
fn locations(config: &mut Config, context: &Context, found: &mut Findings) {
    for setting in ["Mirror", "LocalMirror"] {
        let explicit = config.origins.is_explicit(setting);
        let asked = config.origins.quoted(setting);
        let location = if setting == "Mirror" {
            &mut config.mirror
        } else {
            &mut config.local_mirror
        };
        let Some(text) = location.as_mut().filter(|_| explicit) else {
            continue;
        };
        if text.contains("://") || text.starts_with("file:/") {
            if text.contains(char::is_whitespace) {
                found.conflict(format!("{asked}: a URL has no white space"));
            }
            continue;
        }
        let path = context.absolute(Path::new(text.as_str()));
        if text.starts_with(['/', '.']) || path.is_dir() {
            *text = path.to_string_lossy().into_owned();
        } else {
            found.conflict(format!(
                "{asked}: expected a URL such as http://…, or a path that begins with / or ./"
            ));
        }
    }
}

/// Says which settings somebody made in vain.
fn no_effect(config: &Config, found: &mut Findings) {
    for row in SETTINGS {
        let Some((condition, what)) = row.spec.needs else {
            continue;
        };
        let asked = config
            .origins
            .trace(row.spec.name)
            .is_some_and(|trace| trace.differs)
            && config.origins.is_explicit(row.spec.name);
        if asked && !what.is_empty() && !condition(config) {
            let origin = &config.origins.of(row.spec.name)[0];
            found.warn(Warning::at(
                origin,
                format_args!("{} has no effect without {what}", row.spec.name),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn settings_imply_others() {
        for (args, setting, value) in [
            ("-t gpt_squashfs", "ReadOnly", "true"),
            ("--verity", "ReadOnly", "true"),
            ("--verity --read-only=no", "ReadOnly", "true"),
            ("--sign", "CheckSum", "true"),
            ("-r sid", "Release", "\"sid\""),
            ("", "Release", "\"bookworm\""),
            ("-d ubuntu", "Release", "\"resolute\""),
            (
                "-d ubuntu --architecture=arm64",
                "Mirror",
                "\"http://ports.ubuntu.com/ubuntu-ports\"",
            ),
            ("-d fedora", "Mirror", "null"),
            ("-m ./repo", "Mirror", "\"$P/repo\""),
            ("-m file:///repo", "Mirror", "\"file:///repo\""),
        ] {
            assert_eq!(Fixture::new().args(args).json(setting), value, "{args}");
        }
        let warnings = Fixture::new().args("--verity --read-only=no").warnings();
        assert!(
            warnings[0].contains("does not count: Verity makes"),
            "{warnings:?}"
        );
        let errors = Fixture::new().args("-m deb.debian.org/debian").errors();
        assert!(errors[0].contains("expected a URL"), "{errors:?}");
    }

    #[test]
    fn the_host_decides_what_is_not_set() {
        for (os_release, distribution, release) in [
            ("ID=fedora\nVERSION_ID=43\n", "fedora", "43"),
            ("ID=ubuntu\nVERSION_CODENAME=noble\n", "ubuntu", "noble"),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=zena\n",
                "ubuntu",
                "resolute",
            ),
            (
                "ID=rocky\nID_LIKE='rhel centos fedora'\nVERSION_ID=9.4\n",
                "centos",
                "10",
            ),
            (
                "ID=opensuse-tumbleweed\nVERSION_ID=20261101\n",
                "opensuse",
                "tumbleweed",
            ),
            ("ID=opensuse-leap\nVERSION_ID=16.0\n", "opensuse", "16.0"),
            ("ID=alpine\nVERSION_ID=3.22.1\n", "alpine", "3.22"),
            ("ID=arch\nVERSION_ID=TEMPLATE\n", "arch", "rolling"),
        ] {
            let fixture = Fixture::new().file("host/etc/os-release", os_release);
            assert_eq!(
                fixture.json("Distribution"),
                format!("{distribution:?}"),
                "{os_release}"
            );
            assert_eq!(
                fixture.json("Release"),
                format!("{release:?}"),
                "{os_release}"
            );
        }
        let unknown = Fixture::new().file("host/etc/os-release", "ID=plan9\n");
        let expected =
            "this host's distribution (plan9) is not one that can be built; set Distribution";
        assert_eq!(unknown.errors(), [expected]);
        assert_eq!(unknown.args("-d debian").json("Release"), "\"trixie\"");
    }

    #[test]
    fn settings_without_effect_are_pointed_out() {
        let fixture = Fixture::with("[Partitions]\nESPSize=1G\nSwapSize=1G\n").args("-t tar");
        let expected = [
            "mkosi.default:3: SwapSize has no effect without a disk image (Format=gpt_…)",
            "mkosi.default:2: ESPSize has no effect without Bootable and BootProtocols=uefi",
        ];
        let mut warnings = fixture.warnings();
        warnings.reverse();
        assert_eq!(warnings, expected);
        assert_eq!(
            Fixture::with("[Partitions]\nESPSize=256M\n").warnings(),
            [""; 0]
        );
        let fixture = Fixture::with("[Partitions]\nESPSize=1G\nXBootldrSize=1G\n");
        assert_eq!(fixture.warnings().len(), 2);
        let fixture = fixture.args("-b --boot-protocols=bios");
        assert_eq!(fixture.warnings(), expected[1..]);
        let fixture = Fixture::with("[Partitions]\nESPSize=1G\nXBootldrSize=1G\n");
        assert_eq!(fixture.args("-b").warnings(), [""; 0]);
    }

    #[test]
    fn search_paths_know_the_home_of_the_caller() {
        let fixture = Fixture::new()
            .arg("--extra-search-paths=$SUDO_HOME/bin")
            .variable("SUDO_USER", "ann");
        assert_eq!(fixture.json("ExtraSearchPaths"), "[\"/home/ann/bin\"]");
        let fixture = Fixture::new().arg("--extra-search-paths=$SUDO_HOME/bin:/b");
        assert_eq!(fixture.json("ExtraSearchPaths"), "[\"/b\"]");
    }
}
