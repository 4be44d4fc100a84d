//! Names packages to dnf, and asks it which there are.

use crate::distro::provenance::Archive;

/// A package as dnf's arguments and settings name no other one.
pub(super) fn exactly(one: &Archive) -> String {
    let version = match one.version.contains(':') {
        true => one.version.clone(),
        false => format!("0:{}", one.version),
    };
    format!("{}-{version}.{}", one.name, one.architecture)
}

/// Lists names of packages, one on a line.
pub(super) const QUERY: [&str; 3] = ["repoquery", "--available", "--queryformat=%{name}\\n"];

/// As [`exactly`].
pub(super) const EXACTLY: &str = "--queryformat=%{name}-%{epoch}:%{version}-%{release}.%{arch}\\n";

/// What to ask about a word that is no name of a package: something is printed by the one that knows it.
pub(super) fn questions(word: &str) -> Vec<Vec<&str>> {
    match word.strip_prefix('@') {
        Some(module) if module.contains(':') => vec![vec!["module", "info", module]],
        Some(group) => vec![vec!["group", "info", group.trim_start_matches('^')]],
        None => {
            let query = |last: &[&'static str]| {
                let mut words = QUERY.to_vec();
                words.extend(last);
                words
            };
            let mut by_name: Vec<&str> = query(&[]);
            by_name.push(word);
            let mut by_what: Vec<&str> = query(&["--whatprovides"]);
            by_what.push(word);
            vec![by_name, by_what]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_asked_about_by_what_they_are() {
        let lines = |word| -> Vec<String> {
            let questions = questions(word);
            questions.iter().map(|words| words.join(" ")).collect()
        };
        assert_eq!(lines("@core"), ["group info core"]);
        assert_eq!(lines("@^server"), ["group info server"]);
        assert_eq!(lines("@nodejs:18/common"), ["module info nodejs:18/common"]);
        let query = QUERY.join(" ");
        assert_eq!(
            lines("/usr/bin/vi"),
            [
                format!("{query} /usr/bin/vi"),
                format!("{query} --whatprovides /usr/bin/vi")
            ]
        );
    }
}
