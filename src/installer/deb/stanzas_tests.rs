//! What is read, and which lists are left to apt.

use proptest::prelude::*;

use super::*;

const A: &str = "Package: a\nVersion: 1\nArchitecture: amd64\n";

fn all(list: &str) -> Option<Vec<Stanza<'_>>> {
    read(list.as_bytes(), "amd64")
}

fn mentioned(stanza: &Stanza) -> Vec<String> {
    let mut found = Vec::new();
    stanza.mentions(|(name, any)| {
        let name = String::from_utf8_lossy(name).into_owned();
        found.push(if any { name + ":any" } else { name });
    });
    found
}

fn needed(stanza: &Stanza, followed: Followed) -> Vec<String> {
    let mut found = Vec::new();
    stanza.needs(followed, |name| {
        found.push(String::from_utf8_lossy(name).into_owned())
    });
    found
}

#[test]
fn reads_relations_of_all_kinds() {
    let list = format!(
        "\n{A}DEPENDS: b (>= 1:2-3) | c:any,\n d:i386(= 4)\nRecommends: e\nSuggests: f\n\
         Breaks: g (<< 2)\nMulti-Arch: allowed\nProvides: h (= 1), i,\nDescription: x: y\n\n\n\
         Package: z\nVersion: 2\nArchitecture: all\nEssential: yes\n"
    );
    let stanzas = all(&list).unwrap();
    let [first, second] = stanzas.as_slice() else {
        panic!("{stanzas:?}");
    };
    assert_eq!([first.name, second.name], [b"a", b"z"]);
    assert_eq!(
        mentioned(first),
        [
            "a", "a:any", "b", "c:any", "e", "f", "g", "h", "h:any", "i", "i:any"
        ]
    );
    assert_eq!(needed(first, Followed::default()), ["b", "c", "d"]);
    let followed = Followed { recommends: true };
    assert_eq!(needed(first, followed), ["b", "c", "d", "e"]);
    assert!(first.names_architecture && !first.is_base);
    assert!(second.is_base && !second.names_architecture);
    assert_eq!(
        list.trim_matches('\n')
            .split_once("\n\n")
            .unwrap()
            .0
            .as_bytes(),
        first.text.trim_ascii_end()
    );
}

#[test]
fn what_every_system_has_is_told() {
    for (field, expected) in [
        ("Essential: yes", true),
        ("essential: true", true),
        ("Essential: no", false),
        ("Important: yes", true),
        ("Protected: yes", true),
        ("Priority: required", true),
        ("Priority: Required", true),
        ("Priority: important", false),
    ] {
        let list = format!("{A}{field}\n");
        assert_eq!(all(&list).unwrap()[0].is_base, expected, "{field}");
    }
}

#[test]
fn lists_that_apt_may_read_in_another_way_are_left_to_it() {
    for fields in [
        "Depends: b\nDepends: c\n",
        "Depends: b\ndepends: c\n",
        "Depends: b\r\n",
        "Depends: b\0\n",
        "Depends: b\n\tc\n",
        "Depends : b\n",
        "Depends b\n",
        "# Depends: b\n",
        "Depends: b [amd64]\n",
        "Depends: b <!nocheck>\n",
        "Depends: b,, c\n",
        "Depends: , b\n",
        "Depends: b (1)\n",
        "Depends: b (>= )\n",
        "Depends: b (=1)\n",
        "Depends: b (>= 1\n",
        "Depends: b (=> 1)\n",
        "Depends: b c\n",
        "Depends: b:\n",
        "Depends: b\u{b}\n",
        "Provides: b (>= 1)\n",
        "Provides: b:any\n",
        "Depends: b",
        "\n continued: x\n",
        "\nPackage: b\n",
        "\nPackage: b\nVersion: 1\nArchitecture: i386\n",
        "\nPackage: B\nVersion: 1\nArchitecture: all\n",
        "\nPackage: b c\nVersion: 1\nArchitecture: all\n",
        "\nPackage: b\nVersion: 1 2\nArchitecture: all\n",
        "\nPackage: b\nVersion:\nArchitecture: all\n",
    ] {
        assert!(all(&format!("{A}{fields}")).is_none(), "{fields:?}");
    }
    let large = format!("{A}Description: {}\n", "x".repeat(LARGEST));
    assert!(all(&large).is_none());
}

#[test]
fn pieces_are_cut_between_stanzas() {
    let description = "x".repeat(LARGEST / 4);
    let number = 2 * PIECE / description.len() + 5;
    let list: String = (0..number)
        .map(|n| {
            format!("Package: a{n}\nVersion: 1\nArchitecture: all\nDescription: {description}\n\n")
        })
        .collect();
    assert_eq!(pieces(list.as_bytes()).len(), 3);
    let stanzas = all(&list).unwrap();
    assert_eq!(stanzas.len(), number);
    for (number, stanza) in stanzas.iter().enumerate() {
        assert_eq!(stanza.name, format!("a{number}").as_bytes());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(list in "[aPV:\n ,|()<=>\\[\r\0-]{0,60}") {
        let _ = all(&list);
        let _ = all(&format!("{A}Depends: {list}\n"));
    }
}
