//! Settings files and a command line, from their bytes to the configuration, its summary and its plan.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::{check_error, check_errors, check_message, check_messages};
use crate::cli;
use crate::config::{Config, Context, Request, ini, load, missing_inputs, summary};
use crate::plan::{self, Plan};

/// Parts an input into `mkosi.default`, its drop-ins, and the words of a command line.
const PART: &[u8] = b"\n@@\n";
/// What a part begins with that is a command line, one word on each line.
const COMMAND_LINE: &[u8] = b"mkosi\n";

/// Reads a project: never panics, and tells nothing that a terminal would obey.
///
/// # Panics
/// When one of these is not so.
pub fn settings(input: &[u8]) {
    check_document(input);
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("p");
    fs::create_dir_all(project.join("mkosi.default.d")).unwrap();
    let host = directory.path().join("host");
    fs::create_dir_all(host.join("etc")).unwrap();
    let os = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
    fs::write(host.join("etc/os-release"), os).unwrap();

    let mut request = Request::default();
    for (number, part) in parts(input).into_iter().enumerate() {
        if let Some(words) = part.strip_prefix(COMMAND_LINE) {
            request = asked(words).unwrap_or(request);
        } else if number == 0 {
            fs::write(project.join("mkosi.default"), part).unwrap();
        } else {
            let name = format!("mkosi.default.d/{number:03}");
            fs::write(project.join(name), part).unwrap();
        }
    }
    let context = Context::new(&project, BTreeMap::new(), &host);
    match load(&request, &context) {
        Ok(loaded) => {
            check_messages(&loaded.warnings);
            check_config(&loaded.config, &project);
            check_errors(&missing_inputs(&loaded.config));
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            check_errors(&errors.errors);
            check_messages(&errors.warnings);
            if let Some(config) = errors.config {
                check_config(&config, &project);
            }
        }
    }
}

fn parts(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(PART.len()).position(|window| window == PART) {
        parts.push(&rest[..=at]);
        rest = &rest[at + PART.len()..];
    }
    parts.push(rest);
    parts
}

fn asked(words: &[u8]) -> Option<Request> {
    use std::os::unix::ffi::OsStringExt as _;
    let words = words.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    // A file of the host, such as a terminal, might be waited for.
    let words = words.filter(|word| !word.starts_with(b"--def"));
    match cli::parse(words.map(std::ffi::OsString::from_vec)) {
        Ok(invocation) => Some(Request {
            settings_file: None,
            ..invocation.request
        }),
        Err(error) => {
            check_error(&error);
            None
        }
    }
}

/// What the reader promises of any text.
fn check_document(input: &[u8]) {
    let document = ini::parse(input);
    let mut above = 0;
    for entry in &document.entries {
        assert!(!entry.key.is_empty() && entry.line > above);
        assert!(entry.section.is_none_or(|at| at < document.sections.len()));
        check_message(&entry.key.replace('\t', " "));
        check_message(&entry.scalar().replace('\t', " "));
        check_message(&entry.list().replace('\t', " "));
        above = entry.line;
    }
    for (_, problem) in &document.problems {
        check_message(problem);
    }
}

fn check_config(config: &Config, project: &Path) {
    check_message(&summary::to_text(config, true));
    check_message(&summary::to_json(config).to_string());
    match plan::preview(config) {
        Some(Err(error)) => check_error(&error),
        Some(Ok(layout)) => {
            check_message(&crate::disk::draw(&layout, 80, crate::disk::Style::Unicode))
        }
        None => {}
    }
    let context = plan::Context {
        directory: project.to_owned(),
        source_date_epoch: Some(0),
        seed: Uuid::nil(),
    };
    if let Err(errors) = Plan::new(config, &context) {
        check_errors(&errors);
    }
}
