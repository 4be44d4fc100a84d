use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::output::manifest::PackageType;
use crate::output::{Package, Source};

fn package(name: &str, version: &str) -> Package {
    Package {
        sha256: None,
        kind: PackageType::Deb,
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        size: None,
        source: Source::default(),
    }
}

fn names(packages: &[Package]) -> Vec<String> {
    let name = |package: &Package| format!("{} {}", package.name, package.version);
    packages.iter().map(name).collect()
}

#[test]
fn packages_are_added_removed_and_changed() {
    let before = [
        package("bash", "5.1"),
        package("linux", "6.1"),
        package("linux", "6.2"),
        package("vim", "9"),
    ];
    let after = [
        package("bash", "5.2"),
        package("linux", "6.2"),
        package("linux", "6.3"),
        package("nano", "7"),
    ];
    let changes = PackageChanges::between(&before, &after);
    assert_eq!(names(&changes.added), ["nano 7"]);
    assert_eq!(names(&changes.removed), ["vim 9"]);
    let changed: Vec<String> = changes
        .changed
        .iter()
        .map(|(old, new)| format!("{} {} {}", new.name, old.version, new.version))
        .collect();
    assert_eq!(changed, ["bash 5.1 5.2", "linux 6.1 6.3"]);
    assert!(PackageChanges::between(&before, &before).is_empty());
    let without = PackageChanges::between(&before, &[]);
    assert!(without.is_empty() && without.incomparable());
}

/// Two trees with what the closure makes of each.
fn findings(fill: impl Fn(&Path, &Path)) -> Findings {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for tree in [&a, &b] {
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::create_dir_all(tree.join("usr/share/doc")).unwrap();
    }
    fill(&a, &b);
    let scope = Scope {
        labels: true,
        top: true,
    };
    let files = compare::compare(&a, &b, scope, &Cancel::default()).unwrap();
    Findings {
        images: [
            ("a.raw".into(), Some("debian bookworm".into())),
            ("b.raw".into(), None),
        ],
        packages: PackageChanges::between(
            &[package("bash", "1"), package("vim", "2")],
            &[package("bash", "1.1")],
        ),
        files,
    }
}

fn shown(findings: &Findings, all: bool) -> String {
    text::of(findings, all, 80, Paint::PLAIN)
}

#[test]
fn people_read_what_differs() {
    let findings = findings(|a, b| {
        fs::write(a.join("etc/passwd"), "one").unwrap();
        fs::write(b.join("etc/passwd"), "two!").unwrap();
        for tree in [a, b] {
            fs::write(tree.join("etc/mode"), "x").unwrap();
            let mode = if tree == a { 0o644 } else { 0o4755 };
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(tree.join("etc/mode"), permissions).unwrap();
        }
        fs::create_dir_all(b.join("usr/lib/new/deep")).unwrap();
        fs::write(b.join("usr/lib/new/deep/file"), vec![0; 2048]).unwrap();
        fs::write(a.join("etc/o\u{1b}dd"), "").unwrap();
        std::os::unix::fs::symlink("passwd", b.join("etc/link")).unwrap();
    });
    let expected = "\
--- a.raw
    debian bookworm, 2 packages, 7 entries, 4 B
+++ b.raw
    1 package, 11 entries, 2.0 KiB

Packages: 1 removed, 1 changed
  ~ bash  1 -> 1.1
  - vim   2

Files: 5 added, 1 removed, 2 changed; +2.0 KiB
  + etc/link       -> passwd
  ~ etc/mode       mode 0644 -> 4755
  - etc/o\\u{1b}dd  0 B
  ~ etc/passwd     content, 3 B -> 4 B
  + usr/lib/       3 entries, 2.0 KiB
";
    assert_eq!(shown(&findings, false), expected);
    let all = shown(&findings, true);
    assert!(
        all.contains("  + usr/lib/new/deep/file  2.0 KiB\n"),
        "{all}"
    );
}

#[test]
fn large_directories_are_folded() {
    let findings = findings(|_, b| {
        for number in 0..50 {
            fs::write(b.join(format!("usr/share/doc/{number}")), "x").unwrap();
            fs::write(b.join(format!("etc/{number}")), "x").unwrap();
        }
    });
    let text = shown(&findings, false);
    assert!(text.contains("  + usr/share/doc/*  50 added\n"), "{text}");
    assert!(text.contains("  + etc/49 "), "{text}");
    assert!(
        text.ends_with("are folded; --verbose names all.\n"),
        "{text}"
    );
    let all = shown(&findings, true);
    assert!(all.contains("  + usr/share/doc/49  1 B\n"), "{all}");
}

#[test]
fn programs_read_everything() {
    let findings = findings(|a, b| {
        fs::write(a.join("etc/x"), "one").unwrap();
        fs::write(b.join("etc/x"), "two").unwrap();
        std::os::unix::fs::symlink("x", b.join("etc/y")).unwrap();
    });
    let json = json::of(&findings);
    assert_eq!(json["same"], false);
    assert_eq!(json["packages"]["changed"][0]["after"], "1.1");
    assert_eq!(json["packages"]["removed"][0]["name"], "vim");
    assert_eq!(json["files"][0]["path"], "etc/x");
    assert_eq!(json["files"][0]["aspects"][0], "content");
    assert_eq!(json["files"][0]["before"]["size"], 3);
    assert_eq!(json["files"][1]["change"], "added");
    assert_eq!(json["files"][1]["after"]["target"], "x");
    assert!(json["files"][1]["before"].is_null());
}

#[test]
fn equal_trees_are_said_to_be_equal() {
    let mut findings = findings(|_, _| {});
    findings.packages = PackageChanges::default();
    assert!(findings.same());
    assert!(shown(&findings, false).ends_with("\nNo differences.\n"));
}

#[test]
fn two_images_are_wanted() {
    for args in ["diff", "diff a b c"] {
        let words = args.split_whitespace().map(Into::into);
        let invocation = crate::cli::parse(words).unwrap();
        let context = Context::new("/nowhere", Default::default(), "/");
        let error = subject::two(&invocation, &context).unwrap_err();
        assert_eq!(error.to_string(), subject::USAGE);
    }
}
