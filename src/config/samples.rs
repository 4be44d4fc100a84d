//! The settings in `mkosi.default.example`, which explains every one of them.

use super::Section;

/// The file, as it is shipped.
pub const EXAMPLE: &str = include_str!("../../mkosi.default.example");

/// One setting in the example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The section it is in.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// The line that sets it, and lines that continue it, without the `#` of those not in force.
    pub line: String,
    /// The comment above it, as one paragraph.
    pub comment: String,
}

/// The settings of the example, in its order.
#[must_use]
pub fn samples() -> Vec<Sample> {
    let mut section = None;
    let mut samples: Vec<Sample> = Vec::new();
    let mut comment = String::new();
    let mut continues = false;
    for line in EXAMPLE.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = Section::from_name(name);
        }
        if continues && line.starts_with(' ') {
            if let Some(sample) = samples.last_mut() {
                sample.line.push('\n');
                sample.line.push_str(line);
            }
            continue;
        }
        continues = false;
        let bare = line.strip_prefix('#').unwrap_or(line);
        match bare.split_once('=') {
            Some((name, _)) if is_name(name) => {
                let Some(section) = section else { continue };
                samples.push(Sample {
                    section,
                    name,
                    line: bare.to_owned(),
                    comment: std::mem::take(&mut comment),
                });
                continues = true;
            }
            _ if line.is_empty() => comment.clear(),
            _ => {
                if let Some(text) = line.strip_prefix("# ") {
                    if !comment.is_empty() {
                        comment.push(' ');
                    }
                    comment.push_str(text);
                }
            }
        }
    }
    samples
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}
