//! `mkosi summary`: shows the configuration, and does nothing.

use serde_json::{Map, Value as Json};

use super::{exit, terminal};
use crate::cli::{Globals, Invocation};
use crate::config::message::Escaped;
use crate::config::{self, Config, Context, Loaded, Request, Warning, summary};
use crate::disk::{self, Style};
use crate::plan;

/// Prints the configuration, with `--all` that of every settings file.
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    let globals = &invocation.globals;
    if !globals.all {
        let (config, status) = load(&invocation.request, context);
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
    let mut status = exit::DONE;
    let mut objects = Map::new();
    let mut text = String::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let request = Request {
            settings_file: Some(file),
            ..invocation.request.clone()
        };
        let (config, its_status) = load(&request, context);
        status = status.max(its_status);
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
    let answer = if globals.json {
        pretty(&objects.into())
    } else {
        text
    };
    status.max(terminal::answer(&answer))
}

/// The configuration, if there is one to show, and the exit status. What a build would miss is only
/// worth a warning here.
fn load(request: &Request, context: &Context) -> (Option<Config>, u8) {
    match config::load(request, context) {
        Ok(Loaded {
            config,
            mut warnings,
        }) => {
            let missing = config::missing_inputs(&config);
            warnings.extend(missing.iter().map(|error| Warning(error.to_string())));
            terminal::warn(&warnings);
            (Some(config), exit::DONE)
        }
        Err(errors) => {
            let status = terminal::refuse(&errors);
            (errors.config.map(|config| *config), status)
        }
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
