//! Values that their type alone does not keep within bounds.

use super::error::{ConfigError, Findings};
use super::{Config, SETTINGS};

/// The longest host name that Linux keeps, in bytes.
const LONGEST_HOSTNAME: usize = 64;
/// Protective MBR, header and 128 partition entries fill the sectors before this one.
const FIRST_LBA: u64 = 34;

/// Reports values that cannot be used.
pub(super) fn values(config: &mut Config, found: &mut Findings) {
    let mut wrong = Wrong { config, found };
    wrong.check("Hostname", config.hostname.as_deref(), hostname);
    wrong.check("Release", Some(&config.release), file_name_part);
    wrong.check("ImageId", config.image_id.as_deref(), file_name_part);
    wrong.check(
        "ImageVersion",
        config.image_version.as_deref(),
        file_name_part,
    );
    wrong.check("MachineID", config.machine_id.as_deref(), |id| {
        machine_id(id)
            .map(drop)
            .ok_or("expected 32 hexadecimal digits, not all zero")
    });
    if config.gpt_first_lba < FIRST_LBA {
        wrong.add("GPTFirstLBA", "sectors below 34 hold the partition table");
    }
    if config.gpt_first_lba > u64::from(u32::MAX) {
        wrong.add("GPTFirstLBA", "expected at most 4294967295");
    }
    if config.qemu_smp == 0 {
        wrong.add("QemuSmp", "expected at least 1");
    }
    if config.secure_boot_valid_days == 0 {
        wrong.add("SecureBootValidDays", "expected at least 1");
    }
    if let Some(password) = config
        .password
        .as_ref()
        .filter(|_| config.password_is_hashed)
    {
        let text = password.reveal();
        if !password.is_unreadable() && (text.is_empty() || text.contains([':', ' ', '\t'])) {
            wrong.add("Password", "expected a crypt(3) hash");
        }
    }
    for pattern in &config.remove_files {
        let parts = || {
            pattern
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
        };
        if parts().any(|part| part == "..") {
            wrong.add("RemoveFiles", "a path in the image has no ..");
        } else if parts().next().is_none() {
            wrong.add("RemoveFiles", "this would remove the whole image");
        }
    }
    if let Some(id) = config.machine_id.as_deref().and_then(machine_id) {
        config.machine_id = Some(id);
    }
    for pattern in &mut config.remove_files {
        if !pattern.starts_with('/') {
            pattern.insert(0, '/');
        }
    }
}

struct Wrong<'a> {
    config: &'a Config,
    found: &'a mut Findings,
}

impl Wrong<'_> {
    fn check(
        &mut self,
        setting: &'static str,
        value: Option<&str>,
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) {
        if let Some(Err(why)) = value.map(check) {
            self.add(setting, why);
        }
    }

    fn add(&mut self, setting: &'static str, why: &str) {
        let origin = self.config.origins.of(setting)[0].clone();
        let row = SETTINGS.iter().find(|row| row.spec.name == setting);
        let text = row
            .filter(|row| !row.secret)
            .map(|row| (row.lines)(self.config).join(" "));
        self.found
            .error(ConfigError::value(origin, setting, text.as_deref(), why));
    }
}

fn hostname(name: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if name.len() > LONGEST_HOSTNAME {
        return Err("a host name has at most 64 characters");
    }
    if !name.split('.').all(label) {
        return Err("expected letters, digits, - and ., such as web1.example");
    }
    Ok(())
}

/// Something that becomes part of a file's name.
fn file_name_part(text: &str) -> Result<(), &'static str> {
    if text.starts_with('.') || text.contains(|c: char| c == '/' || c.is_whitespace()) {
        return Err("a name has no white space and no slash, and does not begin with a dot");
    }
    Ok(())
}

/// The 32 lower-case digits of a machine id, which may be written with dashes.
fn machine_id(text: &str) -> Option<String> {
    let id: String = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let valid = id.len() == 32
        && id.bytes().all(|b| b.is_ascii_hexdigit())
        && id.bytes().any(|b| b != b'0');
    valid.then_some(id)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::Fixture;

    #[test]
    fn values_out_of_bounds_are_refused() {
        for arg in [
            "--hostname=a b",
            "--hostname=-a",
            "--hostname=a..b",
            "--hostname=ä",
            "--release=../x",
            "--image-id=a/b",
            "--image-version=.1",
            "--machine-id=xyz",
            "--machine-id=00000000000000000000000000000000",
            "--gpt-first-lba=33",
            "--gpt-first-lba=4294967296",
            "--qemu-smp=0",
            "--remove-files=/usr/../etc",
            "--remove-files=/",
            "--password=hashed:a:b",
            "--password=hashed:",
        ] {
            let errors = Fixture::new().arg(arg).errors();
            let text = arg.strip_prefix("--password=").unwrap_or("nothing secret");
            assert!(
                errors.len() == 1 && !errors[0].contains(text),
                "{arg}: {errors:?}"
            );
        }
        let long = format!("--hostname={}", "a".repeat(65));
        assert_eq!(Fixture::new().arg(&long).errors().len(), 1);
    }

    #[test]
    fn values_are_put_into_one_form() {
        for (arg, setting, value) in [
            (
                "--machine-id=0123ABCD-0123-0123-0123-0123456789ab",
                "MachineID",
                "\"0123abcd0123012301230123456789ab\"",
            ),
            (
                "--remove-files=usr/share/doc/*,/tmp",
                "RemoveFiles",
                "[\"/usr/share/doc/*\",\"/tmp\"]",
            ),
            ("--hostname=web-1.example", "Hostname", "\"web-1.example\""),
            ("--password=hashed:$6$a$b", "PasswordIsHashed", "true"),
        ] {
            assert_eq!(Fixture::new().arg(arg).json(setting), value, "{arg}");
        }
        let config = Fixture::new().arg("--password=hashed:$6$a$b").config();
        assert_eq!(config.password.unwrap().reveal(), "$6$a$b");
    }
}
