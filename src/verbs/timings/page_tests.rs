//! The page with the worst names that packages, files and commands can have.

use super::*;
use crate::engine::layers::why::{Change, Outcome as Fate, Verdict};
use crate::output::{Contents, Large, Share};
use crate::plan::{Fingerprint, LayerKind};
use crate::verbs::timings::data::{Command, PackageCache, Step, Task};

/// Would end an attribute, a script, a style and a comment, and begin an element.
const HOSTILE: &str =
    "\"'--></script></style><script>alert(1)</script><img src=x onerror=alert(1)>&lt;";

fn share(name: &str, bytes: u64) -> Share {
    Share {
        name: name.to_owned(),
        bytes,
        files: 3,
    }
}

fn image(name: &str) -> Image {
    let fingerprint = Fingerprint::from_text(&"a".repeat(64)).unwrap();
    Image {
        name: name.to_owned(),
        seconds: 10.0,
        outcome: Outcome::Failed,
        errors: vec![name.to_owned()],
        warnings: vec![name.to_owned()],
        artifacts: vec![crate::engine::Artifact {
            path: name.into(),
            size: 1,
            allocated: 1,
        }],
        steps: vec![Step {
            number: 1,
            title: name.to_owned(),
            phase: name.to_owned(),
            begun: 1.0,
            seconds: 5.0,
            outcome: Outcome::Done,
            note: Some(name.to_owned()),
            commands: vec![Command {
                begun: 1.5,
                line: name.to_owned(),
            }],
            tasks: vec![Task {
                name: name.to_owned(),
                begun: 2.0,
                seconds: 1.0,
                lane: 0,
            }],
        }],
        layers: Some(vec![Verdict {
            layer: LayerKind::Base,
            fingerprint: fingerprint.clone(),
            outcome: Fate::Rebuilt {
                former: fingerprint,
                below: false,
                changes: vec![Change {
                    input: name.to_owned(),
                    file: Some(name.to_owned()),
                    old: Some(name.to_owned()),
                    new: None,
                }],
            },
        }]),
        contents: Some(Contents {
            bytes: 1000,
            files: 9,
            packages: vec![share(name, 600), share("bash", 300)],
            others: vec![share(name, 100)],
            largest: vec![Large {
                path: name.to_owned(),
                bytes: 600,
                package: Some(name.to_owned()),
            }],
        }),
        ..Image::default()
    }
}

fn timings(names: &[&str]) -> Timings {
    Timings {
        timings_version: 1,
        mkosi: "1",
        processors: 2,
        seconds: 12.0,
        package_caches: vec![PackageCache {
            directory: names[0].to_owned(),
            before: 1,
            after: 2,
        }],
        images: names.iter().map(|name| image(name)).collect(),
    }
}

/// The elements of a page, by name, in order.
fn elements(page: &str) -> Vec<&str> {
    let starts = page.split('<').skip(1);
    starts
        .map(|text| text.split([' ', '>', '\n']).next().unwrap_or_default())
        .collect()
}

#[test]
fn names_are_never_markup() {
    for count in [1, 3] {
        let hostile = page(&timings(&vec![HOSTILE; count])).unwrap();
        let harmless = page(&timings(&vec!["harmless"; count])).unwrap();
        assert_eq!(elements(&hostile), elements(&harmless));
        assert!(!hostile.contains("<script>"), "{hostile}");
        assert_eq!(hostile.matches("</script>").count(), 1);
        // As many attributes, too.
        let quotes = |page: &str| {
            let (markup, _) = page.split_once("id=\"timings\">").unwrap();
            let (_, body) = markup.split_once("</style>").unwrap();
            body.matches('"').count()
        };
        assert_eq!(quotes(&hostile), quotes(&harmless));
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page(&timings(&["image"])).unwrap();
    for word in ["http:", "https:", "src=", "@import", "url(", "onclick"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_data_are_those_of_the_run() {
    let timings = timings(&[HOSTILE]);
    let page = page(&timings).unwrap();
    let (_, rest) = page.split_once("id=\"timings\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    let read: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(read, serde_json::to_value(&timings).unwrap());
    assert_eq!(read["images"][0]["name"], HOSTILE);
}

#[test]
fn the_same_run_gives_the_same_page() {
    let once = page(&timings(&["a", "b"])).unwrap();
    assert_eq!(once, page(&timings(&["a", "b"])).unwrap());
}

#[test]
fn a_build_that_failed_at_once_has_a_page() {
    let timings = Timings {
        images: vec![Image {
            name: "none".into(),
            outcome: Outcome::Failed,
            ..Image::default()
        }],
        ..Timings::default()
    };
    let page = page(&timings).unwrap();
    assert!(page.contains("failed after") && page.contains("could be measured"));
    assert!(page.contains("takes <code>Incremental=yes"));
}
