//! What is reached, on lists of a few lines.

use super::super::stanzas::read;
use super::*;

/// A list of packages: name, and further fields.
fn list(packages: &[(&str, &str)]) -> String {
    let stanza = |(name, fields): &(&str, &str)| {
        let fields = fields.replace("; ", "\n");
        format!("Package: {name}\nVersion: 1\nArchitecture: all\n{fields}\n").replace("\n\n", "\n")
            + "\n"
    };
    packages.iter().map(stanza).collect()
}

/// The names of what each list keeps.
fn kept(
    lists: &[String],
    asked: &[&str],
    there: &[&str],
    followed: Followed,
) -> Option<Vec<String>> {
    let stanzas: Vec<Vec<Stanza>> = lists
        .iter()
        .map(|list| read(list.as_bytes(), "amd64").unwrap())
        .collect();
    let parts = reach(&stanzas, asked, there, followed)?;
    let names = |(stanzas, part): (&Vec<Stanza>, Vec<usize>)| {
        let name = |number: &usize| String::from_utf8_lossy(stanzas[*number].name).into_owned();
        part.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    Some(stanzas.iter().zip(parts).map(names).collect())
}

fn of_one(packages: &[(&str, &str)], asked: &[&str]) -> String {
    kept(&[list(packages)], asked, &[], Followed::default())
        .unwrap()
        .remove(0)
}

#[test]
fn everything_that_may_come_in_is_kept() {
    let packages = [
        ("a", "Pre-Depends: b; Depends: c (>= 2) | d, e:any"),
        ("b", ""),
        ("c", "Conflicts: x"),
        ("d", "Recommends: r; Suggests: s"),
        ("f", "Provides: e (= 3)"),
        ("g", "Depends: z"),
        ("h", "Essential: yes"),
        ("a", "Depends: i"),
        ("i", ""),
        ("r", ""),
        ("s", ""),
    ];
    assert_eq!(of_one(&packages, &["a"]), "a b c d f h a i");
    let followed = Followed { recommends: true };
    let found = kept(&[list(&packages)], &["a"], &[], followed).unwrap();
    assert_eq!(found, ["a b c d f h a i r"]);
    assert_eq!(of_one(&packages, &["e"]), "f h");
    let found = kept(
        &[list(&packages)],
        &["b"],
        &["g", "gone"],
        Followed::default(),
    )
    .unwrap();
    assert_eq!(found, ["a b g h"]);
}

#[test]
fn the_first_to_name_something_is_kept() {
    // apt would get to know d before c.
    let packages = [
        ("early", "Suggests: d"),
        ("later", "Breaks: d, c"),
        ("last", "Enhances: c"),
        ("a", "Depends: v"),
        ("c", "Provides: v"),
        ("d", "Provides: v"),
    ];
    assert_eq!(of_one(&packages, &["a"]), "early later a c d");
    // In each list: which comes first, apt knows.
    let lists = [
        list(&packages),
        list(&[("x", "Replaces: d"), ("y", "Depends: d")]),
    ];
    let found = kept(&lists, &["a"], &[], Followed::default()).unwrap();
    assert_eq!(found, ["early later a c d", "x"]);
}

#[test]
fn names_with_any_are_names_of_their_own() {
    let packages = [
        ("one", "Suggests: p:any"),
        ("two", "Suggests: p:any, p"),
        ("three", "Suggests: p"),
        ("a", "Depends: p"),
        ("p", "Multi-Arch: allowed"),
    ];
    assert_eq!(of_one(&packages, &["a"]), "one two a p");
}

#[test]
fn what_names_an_architecture_is_always_kept() {
    let packages = [("x", "Depends: y:i386"), ("y", ""), ("a", "")];
    assert_eq!(of_one(&packages, &["a"]), "x a");
    assert_eq!(of_one(&packages, &["x"]), "x y");
}

#[test]
fn a_name_that_no_list_has_is_for_all_lists() {
    let lists = [list(&[("a", "Depends: virtual")])];
    for name in ["b", "virtual"] {
        assert_eq!(
            kept(&lists, &[name], &[], Followed::default()),
            None,
            "{name}"
        );
    }
}
