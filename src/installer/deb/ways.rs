//! Which way each package takes into a tree.

use std::collections::BTreeSet;

use super::control::Package;
use super::relations::Relations;

/// The packages of a tree by their ways, as numbers in apt's order.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Essential packages and what they need. They need each other before any of them can be
    /// configured, so their files come first, and their scripts after that.
    pub first: BTreeSet<usize>,
    /// What must be configured before scripts of others run that come before these are unpacked.
    pub early: BTreeSet<usize>,
    /// All others.
    pub rest: BTreeSet<usize>,
    /// Of all these, the packages that dpkg unpacks.
    pub left: BTreeSet<usize>,
}

impl Ways {
    /// Sorts packages of an empty tree.
    pub fn of(packages: &[Package], relations: &Relations) -> Self {
        let essential = (0..packages.len()).filter(|number| packages[*number].is_essential());
        Self::after(relations.closure(essential), packages, relations)
    }

    /// Sorts packages of a tree that works already: none has to come first.
    pub fn on_top(packages: &[Package], relations: &Relations) -> Self {
        Self::after(BTreeSet::new(), packages, relations)
    }

    fn after(first: BTreeSet<usize>, packages: &[Package], relations: &Relations) -> Self {
        let all = || 0..packages.len();
        let mut left: BTreeSet<usize> = all()
            .filter(|number| is_for_dpkg(&packages[*number]))
            .collect();
        let scripted = |number: &usize| has_preinst(&packages[*number]);
        let mut early = BTreeSet::new();
        for number in all().filter(|number| !first.contains(number) && scripted(number)) {
            let needed = relations.closure(relations.pre_depends(number).iter().copied());
            let needed: BTreeSet<usize> = needed.difference(&first).copied().collect();
            // What waits for what waits itself is left to dpkg, too.
            if needed.iter().any(|n| scripted(n) || left.contains(n)) {
                left.insert(number);
            } else {
                early.extend(needed);
            }
        }
        let rest = all().filter(|n| !first.contains(n) && !early.contains(n));
        Self {
            rest: rest.collect(),
            first,
            early,
            left,
        }
    }
}

/// Whether a package has a script that runs before it is unpacked.
pub(super) fn has_preinst(package: &Package) -> bool {
    package.file("preinst").is_some()
}

/// Whether dpkg has to unpack a package: because of a script that could change where its files go, or
/// of lists that only dpkg makes.
fn is_for_dpkg(package: &Package) -> bool {
    let diverts = package.file("preinst").is_some_and(|script| {
        let mut words = script.content.windows(6);
        words.any(|word| word == b"divert")
    });
    diverts || package.odd_conffiles || package.file("md5sums").is_none()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deb, tar};
    use super::*;

    fn package(fields: &str, preinst: Option<&str>) -> Package {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        let control = format!("Version: 1\nArchitecture: all\n{fields}");
        let mut files = vec![("./control", control.as_str()), ("./md5sums", "")];
        files.extend(preinst.map(|script| ("./preinst", script)));
        std::fs::write(&path, deb(&tar(&files), &tar(&[]))).unwrap();
        Package::read(path).unwrap()
    }

    #[test]
    fn packages_are_sorted_by_what_they_need() {
        let packages = [
            package("Package: libc\n", None),
            package(
                "Package: sh\nEssential: yes\nPre-Depends: libc\n",
                Some("true"),
            ),
            package("Package: ssl\nDepends: libc\n", None),
            package("Package: init\nPre-Depends: ssl | tls\n", Some("true")),
            package("Package: py-min\n", Some("rm -rf /old")),
            package("Package: py\nPre-Depends: py-min\n", Some("true")),
            package("Package: guard\n", Some("dpkg-divert --add /x")),
            package("Package: doc\nPre-Depends: py\n", None),
        ];
        let ways = Ways::of(&packages, &Relations::of(&packages));
        let names = |numbers: &BTreeSet<usize>| -> Vec<&str> {
            numbers.iter().map(|n| packages[*n].name.as_str()).collect()
        };
        assert_eq!(names(&ways.first), ["libc", "sh"]);
        assert_eq!(names(&ways.early), ["ssl"]);
        assert_eq!(names(&ways.rest), ["init", "py-min", "py", "guard", "doc"]);
        assert_eq!(names(&ways.left), ["py", "guard"]);
    }
}
