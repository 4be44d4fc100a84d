//! Locks as text, and what they admit.

use super::*;

fn archive(name: &str, sum: char) -> Archive {
    Archive {
        name: name.into(),
        version: "1:2.0~rc1-3+b1".into(),
        architecture: "amd64".into(),
        sha256: sum.to_string().repeat(64),
        required: name == "base",
        repository: None,
    }
}

fn system() -> System {
    System {
        distribution: "debian".into(),
        release: "trixie".into(),
        architecture: "amd64".into(),
    }
}

fn written(text: &str) -> Result<PackageLock, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mkosi.lock");
    std::fs::write(&path, text).unwrap();
    PackageLock::read(&path, &system()).map_err(|error| {
        let path = path.to_string_lossy().into_owned();
        error.to_string().replace(&path, "LOCK")
    })
}

fn provenance() -> Provenance {
    Provenance {
        repositories: vec![Snapshot {
            list: "deb.example/dists/trixie/InRelease".into(),
            date: Some("now".into()),
            sha256: "c".repeat(64),
        }],
        packages: vec![archive("zlib", 'b'), archive("base", 'a')],
    }
}

#[test]
fn a_line_for_each_package() {
    let text = text(&system(), &provenance());
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
    let of = "\"version\":\"1:2.0~rc1-3+b1\",\"architecture\":\"amd64\"";
    assert_eq!(
        text,
        format!(
            r#"{{
  "lock_version": 1,
  "distribution": "debian",
  "release": "trixie",
  "architecture": "amd64",
  "repositories": [
    {{"list":"deb.example/dists/trixie/InRelease","date":"now","sha256":"{c}"}}
  ],
  "packages": [
    {{"name":"base",{of},"sha256":"{a}","required":true}},
    {{"name":"zlib",{of},"sha256":"{b}"}}
  ]
}}
"#
        )
    );
    let lock = written(&text).unwrap();
    assert_eq!(lock.provenance.packages[0].name, "base");
    assert_eq!(lock.find(archive("zlib", 'x').key()).unwrap().name, "zlib");
    assert_eq!(lock.find(archive("none", 'x').key()), None);
}

#[test]
fn what_is_no_lock_of_this_system_is_refused() {
    let good = text(&system(), &provenance());
    for (from, to, expected) in [
        (
            "\"lock_version\": 1",
            "\"lock_version\": 2",
            "its version is 2, not 1",
        ),
        (
            "trixie\",",
            "sid\",",
            "is of debian sid amd64, and this image is",
        ),
        (
            "\"zlib\"",
            "\"base\"",
            "it has base 1:2.0~rc1-3+b1 amd64 twice",
        ),
        ("\"zlib\"", "\"z lib\"", "no valid entry of z lib"),
        ("\"zlib\"", "\"\"", "no valid entry"),
        (&"b".repeat(64), "b", "no valid entry of zlib"),
        ("{", "", "cannot read the lock LOCK: "),
    ] {
        let text = good.replacen(from, to, 1);
        let error = written(&text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_was_chosen_must_be_in_it_and_all_of_it_taken() {
    let lock = written(&text(&system(), &provenance())).unwrap();
    lock.admits(&provenance().packages).unwrap();
    lock.is_used_up(&provenance()).unwrap();
    let chosen = [archive("zlib", 'c'), archive("new", 'a')];
    let error = lock.admits(&chosen).unwrap_err().to_string();
    assert!(error.contains("\n  zlib 1:2.0~rc1-3+b1 amd64: with another content\n"));
    assert!(error.contains("\n  new 1:2.0~rc1-3+b1 amd64: not in the lock\n"));
    let error = lock.is_used_up(&Provenance::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("base 1:2.0~rc1-3+b1 amd64: not taken any more")
    );
    let many: Vec<Archive> = (0..30).map(|n| archive(&format!("p{n}"), 'a')).collect();
    let error = lock.admits(&many).unwrap_err().to_string();
    assert!(error.contains("\n  and 10 more\n"), "{error}");
}

#[test]
fn trees_of_two_days_make_no_lock() {
    let of = |packages: &[(&str, &str)]| Provenance {
        packages: packages
            .iter()
            .map(|(name, version)| Archive {
                version: (*version).to_owned(),
                ..archive(name, 'a')
            })
            .collect(),
        ..Provenance::default()
    };
    let base = of(&[("a", "1"), ("kernel", "1"), ("kernel", "2")]);
    fit_together(&[&base, &of(&[("b", "1"), ("a", "1")])]).unwrap();
    let error = fit_together(&[&base, &of(&[("a", "2")])]).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("a 2 amd64, and 1 below it"), "{said}");
}

#[test]
fn a_package_is_from_a_repository_that_is_asked_for() {
    let mut all = provenance();
    for one in &mut all.packages {
        one.repository = Some("core".into());
    }
    let lock = written(&text(&system(), &all)).unwrap();
    lock.is_from(&HashSet::from(["core", "extra"])).unwrap();
    let said = lock.is_from(&HashSet::from(["extra"])).unwrap_err();
    assert!(said.to_string().contains("the repository core"), "{said}");
    lock.has(vec!["base".into()]).unwrap();
    let said = lock.has(vec!["vim".into()]).unwrap_err();
    assert!(said.to_string().contains("vim: not in the lock"), "{said}");
    all.packages[0].repository = Some("core\nServer=x".into());
    let said = written(&text(&system(), &all)).unwrap_err();
    assert!(said.contains("no valid entry"), "{said}");
}
