//! `mkosi summary`: shows the configuration, and does nothing.

use serde_json::{Map, Value as Json};

use super::all::Complaints;
use super::{exit, terminal};
use crate::cli::{Globals, Invocation};
use crate::config::message::Escaped;
use crate::config::{
    self, Config, ConfigError, Context, Errors, Loaded, Request, Warning, summary,
};
use crate::disk::{self, Style};
use crate::plan;

/// Prints the configuration, with `--all` that of every settings file.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    let globals = &invocation.globals;
    if !globals.all {
        let (config, errors, warnings) = shown_of(super::load(invocation, context));
        terminal::warn(&warnings);
        let status = say(errors.iter());
        let answer = config
            .map(|config| show(&config, globals))
            .unwrap_or_default();
        return status.max(terminal::answer(&answer));
    }
    let files = match config::all_settings_files(&globals.all_directory, context) {
        Ok(files) => files,
        Err(error) => {
            terminal::complain(format_args!("error: {error}"));
            return exit::USAGE;
        }
    };
    let (mut wrong, mut noticed) = (Complaints::default(), Complaints::default());
    let mut objects = Map::new();
    let mut text = String::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let request = Request {
            settings_file: Some(file.clone()),
            ..invocation.request.clone()
        };
        let (config, errors, warnings) = shown_of(config::load(&request, context));
        for error in errors {
            wrong.add(&file, error.to_string());
        }
        for warning in warnings {
            noticed.add(&file, warning.to_string());
        }
        let Some(config) = config else { continue };
        if globals.json {
            objects.insert(name, summary::to_json(&config));
        } else {
            text.push_str(&format!(
                "# {}\n\n{}\n",
                Escaped(&name),
                show(&config, globals)
            ));
        }
    }
    for warning in noticed.lines() {
        terminal::complain(format_args!("warning: {warning}"));
    }
    let status = say(wrong.lines());
    let answer = if globals.json {
        pretty(&objects.into())
    } else {
        text
    };
    status.max(terminal::answer(&answer))
}

/// Says everything that is wrong; returns the exit status.
fn say(errors: impl Iterator<Item = impl std::fmt::Display>) -> u8 {
    let mut status = exit::DONE;
    for error in errors {
        terminal::complain(format_args!("error: {error}"));
        status = exit::USAGE;
    }
    status
}

/// The configuration, if there is one to show, and what is wrong with it. What a build would miss is
/// only worth a warning here.
fn shown_of(loaded: Result<Loaded, Errors>) -> (Option<Config>, Vec<ConfigError>, Vec<Warning>) {
    match loaded {
        Ok(Loaded {
            config,
            mut warnings,
        }) => {
            let missing = config::missing_inputs(&config);
            warnings.extend(missing.iter().map(|error| Warning(error.to_string())));
            (Some(config), Vec::new(), warnings)
        }
        Err(errors) => (
            errors.config.map(|config| *config),
            errors.errors,
            errors.warnings,
        ),
    }
}

fn show(config: &Config, globals: &Globals) -> String {
    if globals.json {
        pretty(&summary::to_json(config))
    } else {
        summary::to_text(config, globals.verbose) + &partitions(config)
    }
}

/// A drawing of the disk, where the output is one.
fn partitions(config: &Config) -> String {
    let style = if terminal::shows_unicode() {
        Style::Unicode
    } else {
        Style::Ascii
    };
    match plan::preview(config) {
        None => String::new(),
        Some(Ok(layout)) => format!(
            "\nDISK\n{}",
            disk::draw(&layout, terminal::width().min(80), style)
        ),
        Some(Err(error)) => {
            terminal::complain(format_args!("warning: {error}"));
            String::new()
        }
    }
}

fn pretty(json: &Json) -> String {
    format!("{json:#}\n")
}
