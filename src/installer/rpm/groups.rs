//! Lists of groups and modules, which dnf is asked for as `@name`: no package has them, so that they come
//! from the repository's lists as those were fetched last.

use std::fs;
use std::path::{Path, PathBuf};

use super::Dialect;
use super::provenance::{INDEX, lists};
use crate::distro::rpm::RpmSource;
use crate::installer::Request;

/// What a repository's index calls them, however they are compressed.
const KINDS: [&str; 2] = ["group", "modules"];

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupList {
    /// What the index calls it.
    pub kind: String,
    pub path: PathBuf,
}

/// Whether the request names groups or modules.
pub(super) fn are_wanted(request: &Request, dialect: Dialect) -> bool {
    let names = request.packages.iter().chain(&request.excluded);
    dialect == Dialect::Dnf && names.into_iter().any(|name| name.starts_with('@'))
}

/// The lists of a repository that are on this host; nothing where none of its lists is.
pub(super) fn find(source: &RpmSource, cache: &Path, dialect: Dialect) -> Option<Vec<GroupList>> {
    let of_disk = source.location.directory().map(Path::to_owned);
    let directory = of_disk.or_else(|| lists(source, cache, dialect))?;
    let index = fs::read_to_string(directory.join(INDEX)).ok()?;
    let entries = index.split("<data ").skip(1).filter_map(|entry| {
        let kind = attribute(entry, "type")?;
        let plain = kind.split('_').next().unwrap_or_default();
        let (_, location) = entry.split_once("<location ")?;
        let file = Path::new(attribute(location, "href")?).file_name()?;
        let path = directory.join("repodata").join(file);
        let wanted = KINDS.contains(&plain) && path.is_file();
        wanted.then(|| GroupList {
            kind: kind.to_owned(),
            path,
        })
    });
    Some(entries.collect())
}

/// The value of an attribute of the element that `text` begins in.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (element, _) = text.split_once('>')?;
    let (_, rest) = element.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distro::rpm::Location;
    use crate::installer::tests::rpm_request;

    #[test]
    fn lists_of_groups_are_those_of_the_index() {
        let place = tempfile::tempdir().unwrap();
        let source = RpmSource {
            id: "x".into(),
            name: "x".into(),
            location: Location::BaseUrl(format!("file://{}", place.path().display())),
            keys: Vec::new(),
            check_packages: true,
            check_metadata: false,
            added: false,
        };
        let found = || find(&source, place.path(), Dialect::Dnf);
        assert_eq!(found(), None);
        let lists = place.path().join("repodata");
        fs::create_dir(&lists).unwrap();
        let entry = |kind: &str, href: &str| {
            format!("<data type=\"{kind}\">\n<location href=\"{href}\"/>\n</data>\n")
        };
        let text = [
            entry("primary", "repodata/primary.xml"),
            entry("group_gz", "../../repodata/comps.xml.gz"),
            entry("modules", "repodata/nosuch.yaml"),
        ];
        fs::write(lists.join("repomd.xml"), text.concat()).unwrap();
        for name in ["primary.xml", "comps.xml.gz"] {
            fs::write(lists.join(name), "").unwrap();
        }
        let expected = GroupList {
            kind: "group_gz".into(),
            path: lists.join("comps.xml.gz"),
        };
        assert_eq!(found(), Some(vec![expected]));
    }

    #[test]
    fn dnf_alone_knows_groups() {
        let mut request = rpm_request();
        assert!(!are_wanted(&request, Dialect::Dnf));
        request.packages.push("@core".into());
        assert!(are_wanted(&request, Dialect::Dnf));
        assert!(!are_wanted(&request, Dialect::Zypper));
    }
}
