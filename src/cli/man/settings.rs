//! Every setting: what it is for, its flag, its default, when it counts, and an example.

use std::fmt::Write as _;

use super::roff::{escape, flag};
use crate::config::samples::{Sample, samples};
use crate::config::{Auto, Config, Row, SETTINGS, Section, defaults};

/// Sections with their settings.
pub(super) fn all() -> String {
    let (samples, defaults) = (samples(), defaults());
    let mut text = String::new();
    for section in Section::ALL {
        let _ = writeln!(text, ".SS [{}]", section.name());
        for row in SETTINGS.iter().filter(|row| row.spec.section == section) {
            let sample = samples.iter().find(|sample| sample.name == row.spec.name);
            setting(&mut text, row, sample, &defaults);
        }
    }
    text.trim_end().to_owned()
}

fn setting(text: &mut String, row: &Row, sample: Option<&Sample>, defaults: &Config) {
    let spec = &row.spec;
    let metavar = (row.metavar)();
    let shown = if metavar.contains('|') {
        "VALUE"
    } else {
        &metavar
    };
    let flag = flag(spec.short, spec.flag, row.shape, shown);
    let comment = sample.map_or(row.help.trim(), |sample| &sample.comment);
    let _ = writeln!(
        text,
        ".TP\n\\fB{}=\\fR, {flag}\n{}",
        spec.name,
        escape(comment)
    );
    let facts = facts(row, &metavar, defaults);
    let _ = writeln!(text, ".br\n{}", facts.join("\n"));
    if let Some(sample) = sample {
        let _ = writeln!(text, ".IP\n.EX\n{}\n.EE", escape(&sample.line));
    }
}

/// What the table knows of a setting, as sentences.
fn facts(row: &Row, metavar: &str, defaults: &Config) -> Vec<String> {
    let spec = &row.spec;
    let mut facts = Vec::new();
    if metavar.contains('|') {
        let words = metavar.replace("BOOL", "yes, no").replace('|', ", ");
        facts.push(format!("Values: {}.", escape(&words)));
    }
    let default = match spec.default_text {
        "" => (row.lines)(defaults).join(" "),
        text => text.to_owned(),
    };
    facts.push(format!("Default: {}.", escape(&default)));
    if let Some(files) = files(spec.auto) {
        facts.push(format!("Set by the project's {files}, if there."));
    }
    match spec.needs {
        Some((_, "")) => facts.push("Changes nothing of what is built.".to_owned()),
        Some((_, what)) => facts.push(format!("Has an effect with {}.", escape(what))),
        None => {}
    }
    if spec.negated {
        facts.push("The flag says no.".to_owned());
    }
    if !spec.aliases.is_empty() {
        facts.push(format!("Also written {}.", spec.aliases.join(", ")));
    }
    if let Some(what) = spec.later {
        facts.push(format!(
            "Understood and shown; a build refuses it, because this version does not support {}.",
            escape(what)
        ));
    }
    facts
}

/// The project's files that set it, in bold.
fn files(auto: Auto) -> Option<String> {
    let bold = |name: &str| format!("\\fB{}\\fR", escape(name));
    Some(match auto {
        Auto::Nothing => return None,
        Auto::File(names) | Auto::SecretFile(names) => {
            let names: Vec<String> = names.iter().map(|name| bold(name)).collect();
            names.join(" or ")
        }
        Auto::Script(name) | Auto::SecretText(name) => bold(name),
        Auto::Directory(name) => bold(&format!("{name}/")),
        Auto::Tree(name) => format!(
            "{} and {}",
            bold(&format!("{name}/")),
            bold(&format!("{name}.tar"))
        ),
    })
}
