//! One file per verb.

pub mod all;
pub mod boot;
pub mod build;
pub mod clean;
mod error;
pub mod exit;
pub mod genkey;
mod passphrase;
pub mod plan;
mod plan_context;
pub mod qemu;
pub mod ssh;
mod stacked;
pub mod summary;
pub mod terminal;
pub mod why;

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{self, Invocation, Verb};
use crate::config::{self, Config, Context};
use crate::host::{Cancel, Host, HostRunner, Quiet};

pub use error::VerbError;
pub use passphrase::PassphraseError;

/// Runs the program; the exit status is the process's.
pub fn main() -> ExitCode {
    exit::code(match cli::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => run(&invocation),
        Err(error) => {
            terminal::complain(format_args!("error: {error}"));
            terminal::complain("try mkosi --help");
            exit::USAGE
        }
    })
}

fn run(invocation: &Invocation) -> u8 {
    match invocation.verb {
        Verb::Help => return terminal::answer(&cli::help(terminal::width())),
        Verb::Version => {
            return terminal::answer(concat!("mkosi ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        _ => {}
    }
    let context = match enter(invocation) {
        Ok(context) => context,
        Err(message) => {
            terminal::complain(format_args!("error: {message}"));
            return exit::USAGE;
        }
    };
    match invocation.verb {
        Verb::Summary => summary::run(invocation, &context),
        verb => with_config(verb, invocation, &context),
    }
}

/// The verbs that act on the configuration.
fn with_config(verb: Verb, invocation: &Invocation, context: &Context) -> u8 {
    let globals = &invocation.globals;
    if globals.all {
        return all::run(invocation, context);
    }
    let config = match config::load(&invocation.request, context) {
        Ok(loaded) => {
            terminal::warn(&loaded.warnings);
            loaded.config
        }
        Err(errors) => return terminal::refuse(&errors),
    };
    match verb {
        Verb::Clean => clean::run(&config),
        Verb::Plan => plan::run(&config, context, globals),
        Verb::Why => why::run(&config, context, globals),
        Verb::Shell => run_image(
            Run::Container(boot::Run::Shell),
            &config,
            invocation,
            context,
        ),
        Verb::Boot => run_image(
            Run::Container(boot::Run::Boot),
            &config,
            invocation,
            context,
        ),
        Verb::Qemu => run_image(Run::Machine, &config, invocation, context),
        Verb::Ssh => ssh::run(&config, &invocation.arguments),
        Verb::Genkey => genkey::run(&config, context),
        _ => build::run(&config, context, globals),
    }
}

/// What an image runs in.
#[derive(Clone, Copy)]
enum Run {
    Container(boot::Run),
    Machine,
}

/// Builds the image if it is not there, or if told to, and runs it.
fn run_image(run: Run, config: &Config, invocation: &Invocation, context: &Context) -> u8 {
    let fits = match run {
        Run::Container(run) => boot::check(config, run),
        Run::Machine => qemu::check(config),
    };
    if let Err(error) = fits {
        terminal::complain_about(&error);
        return exit::USAGE;
    }
    let missing = std::fs::symlink_metadata(&config.output).is_err();
    if missing || config.force.replaces_output() {
        let status = build::run(config, context, &invocation.globals);
        if status != exit::DONE {
            return status;
        }
    }
    let words = &invocation.arguments;
    match run {
        Run::Container(run) => boot::run(config, run, words),
        Run::Machine => qemu::run(config, context, words),
    }
}

/// The host as commands for this configuration see it.
fn host(config: &Config) -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
        .with_extra_search_paths(config.extra_search_paths.as_slice().to_vec())
}

/// Changes to the project's directory.
fn enter(invocation: &Invocation) -> Result<Context, String> {
    if let Some(directory) = &invocation.globals.directory {
        std::env::set_current_dir(directory).map_err(|error| {
            let shown = directory.to_string_lossy();
            format!(
                "cannot change to {}: {error}",
                crate::config::message::Escaped(&shown)
            )
        })?;
    }
    Context::of_this_process().map_err(|error| format!("cannot use the working directory: {error}"))
}
