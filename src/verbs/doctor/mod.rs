//! `mkosi doctor`: what this host can build and run, what it lacks for the rest, and how to get that.

mod features;
mod machine;

use serde::Serialize;
use serde_json::json;

use super::{terminal, wrapped::wrapped};
use crate::cli::Invocation;
use crate::config::Context;
use crate::engine::events::Paint;
use crate::host::{Advice, Cancel, Host, HostRunner, Quiet, advice};

/// Something that a host can do or have, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Feature {
    /// What people call it.
    name: String,
    works: bool,
    /// Programs and other things that it takes and that are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

impl Feature {
    /// A feature that works if nothing is missing.
    fn needing(name: impl Into<String>, missing: Vec<String>) -> Self {
        Self {
            name: name.into(),
            works: missing.is_empty(),
            missing,
            note: String::new(),
        }
    }

    /// A fact about the host.
    fn fact(name: impl Into<String>, works: bool, note: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            works,
            missing: Vec::new(),
            note: note.into(),
        }
    }

    fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// Features of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Group {
    name: &'static str,
    features: Vec<Feature>,
}

/// Says all of it. Changes nothing.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    // First, while there is one thread only.
    let user_namespaces = machine::user_namespaces();
    let host = Host::new(
        std::sync::Arc::new(HostRunner),
        std::sync::Arc::new(Quiet),
        Cancel::default(),
    );
    let groups = vec![
        Group {
            name: "Distributions",
            features: features::distributions(context, &host),
        },
        Group {
            name: "Formats",
            features: features::formats(context, &host),
        },
        Group {
            name: "Protection and signatures",
            features: features::protection(context, &host),
        },
        Group {
            name: "Running images",
            features: features::running(&host),
        },
        Group {
            name: "Architectures",
            features: features::architectures(),
        },
        Group {
            name: "This host",
            features: machine::facts(user_namespaces, context),
        },
    ];
    let advice = advised(&groups);
    if invocation.globals.json {
        let answer = json!({
            "groups": groups,
            "install": advice.command,
            "unpackaged": advice.without,
        });
        return terminal::answer(&format!("{answer:#}\n"));
    }
    let width = terminal::width().min(80);
    terminal::answer(&text(&groups, &advice, width, Paint::on_stdout()))
}

/// How to get everything that is missing.
fn advised(groups: &[Group]) -> Advice {
    let features = groups.iter().flat_map(|group| &group.features);
    let mut missing: Vec<&str> = features
        .flat_map(|feature| feature.missing.iter().map(String::as_str))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    advice(&missing)
}

fn text(groups: &[Group], advice: &Advice, width: usize, paint: Paint) -> String {
    let names = groups.iter().flat_map(|group| &group.features);
    let column = names
        .map(|feature| feature.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for group in groups {
        text.push_str(&format!("{}\n", paint.bold(group.name)));
        for feature in &group.features {
            let sign = if feature.works {
                paint.done()
            } else {
                paint.failed()
            };
            let mut said = Vec::new();
            if !feature.missing.is_empty() {
                said.push(format!("missing: {}", feature.missing.join(", ")));
            }
            if !feature.note.is_empty() {
                said.push(feature.note.clone());
            }
            let indent = column + 6;
            let beside = wrapped(&said.join("; "), indent, width);
            let name = format!("{:column$}", feature.name);
            let line = match beside.get(indent..) {
                Some(rest) => format!("  {sign} {name}  {rest}"),
                None => format!("  {sign} {}\n", feature.name),
            };
            text.push_str(&line);
        }
        text.push('\n');
    }
    match &advice.command {
        Some(command) => {
            text.push_str("All that is missing and that this host has packages of:\n");
            // Whole, so that it can be copied.
            text.push_str(&format!("  {}\n", paint.bold(command)));
        }
        None if advice.without.is_empty() => text.push_str("Nothing is missing.\n"),
        None => {}
    }
    if !advice.without.is_empty() {
        let what = format!(
            "No package here is known to have: {}",
            advice.without.join(", ")
        );
        text.push_str(&wrapped(&what, 0, width));
    }
    text
}

#[cfg(test)]
mod tests;
