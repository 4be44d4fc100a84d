//! `mkosi genkey`: makes a key for `SecureBoot`, and its certificate.

use std::fs;
use std::path::{Path, PathBuf};

use super::{VerbError, exit, terminal};
use crate::boot::SigningKey;
use crate::boot::keys::{self, NewKey};
use crate::config::{Config, Context};
use crate::host::{calling_user, printable_path};

/// What the files are called where no setting names them.
const KEY: &str = "mkosi.secure-boot.key";
const CERTIFICATE: &str = "mkosi.secure-boot.crt";

/// Makes them; with `-f` in place of those that are there.
pub fn run(config: &Config, context: &Context) -> u8 {
    match make(config, context) {
        Ok(pair) => {
            for path in [&pair.key, &pair.certificate] {
                terminal::tell(&format!("wrote {}\n", printable_path(path)));
            }
            exit::DONE
        }
        Err(error) => {
            terminal::complain_about(&error);
            match error {
                VerbError::Exists { .. } | VerbError::Host(_) => exit::USAGE,
                _ => exit::FAILED,
            }
        }
    }
}

fn make(config: &Config, context: &Context) -> Result<SigningKey, VerbError> {
    let place = |set: &Option<PathBuf>, name: &str| {
        set.clone()
            .unwrap_or_else(|| context.absolute(Path::new(name)))
    };
    let pair = SigningKey {
        key: place(&config.secure_boot_key, KEY),
        certificate: place(&config.secure_boot_certificate, CERTIFICATE),
    };
    if !config.force.replaces_output() {
        for path in [&pair.key, &pair.certificate] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(VerbError::Exists { path: path.clone() });
            }
        }
    }
    let host = super::host(config);
    host.require(&[keys::TOOL]).map_err(VerbError::Host)?;
    let caller = calling_user().filter(|_| !config.no_chown);
    let name = caller
        .as_ref()
        .and_then(|user| user.name.clone())
        .or_else(|| context.variable("USER"))
        .unwrap_or_else(|| "root".to_owned());
    let new = NewKey {
        pair: &pair,
        common_name: &config.secure_boot_common_name.replace("%u", &name),
        days: config.secure_boot_valid_days,
        owner: caller.map(|user| (user.uid, user.gid)),
    };
    keys::generate(&new, &host).map_err(VerbError::Boot)?;
    Ok(pair)
}
