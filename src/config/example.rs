//! Keeps `mkosi.default.example` true.

use super::SETTINGS;
use super::samples::{EXAMPLE, samples};
use super::testing::Fixture;

#[test]
fn the_example_is_understood_without_warnings() {
    let fixture = Fixture::with(EXAMPLE);
    assert_eq!(fixture.warnings(), [""; 0]);
    assert_eq!(super::unsupported(&fixture.config()), []);
    assert_eq!(fixture.json("Packages"), r#"["iproute2","less"]"#);
}

#[test]
fn every_setting_is_in_the_example_in_its_section() {
    let samples = samples();
    for row in SETTINGS {
        let place = samples.iter().find(|sample| sample.name == row.spec.name);
        let place = place.map(|sample| sample.section);
        assert_eq!(place, Some(row.spec.section), "{}", row.spec.name);
    }
    assert_eq!(samples.len(), SETTINGS.len());
}

#[test]
fn every_value_in_the_example_is_one() {
    for sample in samples() {
        let line = &sample.line;
        assert!(!sample.comment.is_empty(), "{line}");
        let settings = format!("[{}]\n{line}\n", sample.section.name());
        let warnings = Fixture::with(&settings).warnings();
        assert!(
            warnings
                .iter()
                .all(|warning| warning.contains("has no effect without")),
            "{line}: {warnings:?}"
        );
    }
}
