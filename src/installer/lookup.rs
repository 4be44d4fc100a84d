//! Which requested packages a package manager's lists do not have.

use std::collections::BTreeSet;

use super::{InstallError, Unknown};
use crate::config::suggest;
use crate::host::{Command, CommandError, Host, Stdout};

/// The names that are not among `names` and that `is_there` does not know: what else a word may stand for
/// (what packages provide, groups, patterns) only the package manager can say.
///
/// # Errors
/// Those of `is_there`.
pub(super) fn unknown(
    wanted: &[String],
    names: &str,
    mut is_there: impl FnMut(&str) -> Result<bool, InstallError>,
) -> Result<Vec<Unknown>, InstallError> {
    let names: BTreeSet<&str> = names.lines().map(str::trim).collect();
    let mut unknown = Vec::new();
    for word in wanted {
        if !names.contains(word.as_str()) && !is_there(word)? {
            let nearest = suggest::nearest(word, names.iter().copied());
            unknown.push(Unknown {
                name: word.clone(),
                nearest: nearest.map(str::to_owned),
            });
        }
    }
    Ok(unknown)
}

/// What a command prints; nothing where it ends with one of the statuses that say so.
///
/// # Errors
/// When it fails in another way.
pub(super) fn answer(
    command: Command,
    nothing: &[i32],
    host: &Host,
) -> Result<String, CommandError> {
    match host.run(command.stdout(Stdout::Capture)) {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(CommandError::Failed {
            code: Some(code), ..
        }) if nothing.contains(&code) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_nobody_knows_are_named_with_what_is_near() {
        let wanted = ["vim", "vimm", "@core", "/bin/sh"].map(str::to_owned);
        let mut asked = Vec::new();
        let found = unknown(&wanted, "vifm\nvim\n", |word| {
            asked.push(word.to_owned());
            Ok(word.starts_with('@'))
        });
        let found = found.unwrap();
        assert_eq!(asked, ["vimm", "@core", "/bin/sh"]);
        let expected = [("vimm", Some("vim")), ("/bin/sh", None)];
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.nearest.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }
}
