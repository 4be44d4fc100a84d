//! Keeps `mkosi.default.example` true.

use super::testing::Fixture;
use super::{SETTINGS, Section};

const EXAMPLE: &str = include_str!("../../mkosi.default.example");

/// The lines that set something, in force or not, with their sections.
fn samples() -> Vec<(Section, &'static str)> {
    let mut section = None;
    let mut samples = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = Section::from_name(name);
        }
        let line = line.strip_prefix('#').unwrap_or(line);
        let is_setting = line.starts_with(|c: char| c.is_ascii_uppercase()) && line.contains('=');
        if let Some(section) = section.filter(|_| is_setting) {
            samples.push((section, line));
        }
    }
    samples
}

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
        let place = samples
            .iter()
            .find(|(_, line)| line.split('=').next() == Some(row.spec.name));
        assert_eq!(
            place.map(|(section, _)| *section),
            Some(row.spec.section),
            "{}",
            row.spec.name
        );
    }
    assert_eq!(samples.len(), SETTINGS.len());
}

#[test]
fn every_value_in_the_example_is_one() {
    for (section, line) in samples() {
        let settings = format!("[{}]\n{line}\n", section.name());
        let warnings = Fixture::with(&settings).warnings();
        assert!(
            warnings
                .iter()
                .all(|warning| warning.contains("has no effect without")),
            "{line}: {warnings:?}"
        );
    }
}
