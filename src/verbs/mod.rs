//! One file per verb.

pub mod all;
pub mod boot;
pub mod build;
pub mod check;
pub mod clean;
mod completion;
pub mod diff;
pub mod doctor;
mod error;
pub mod exit;
pub mod genkey;
pub mod init;
pub mod inputs;
mod lacking;
pub mod modes;
mod outputs;
mod passphrase;
pub mod plan;
mod plan_context;
pub mod qemu;
pub mod secrets;
pub mod ssh;
mod stacked;
pub mod summary;
pub mod terminal;
mod timings;
pub mod why;
mod wrapped;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{self, Invocation, Verb};
use crate::config::{Config, Context, Errors, Loaded};
use crate::engine;
use crate::frontend::{self, Depth};
use crate::host::{Cancel, Host, HostRunner, Quiet, is_root};

pub use error::VerbError;
pub use passphrase::PassphraseError;

/// Runs the program; the exit status is the process's.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let makeimg = words.next().is_some_and(|name| cli::is_makeimg(&name));
    let parsed = if makeimg {
        cli::parse_makeimg(words)
    } else {
        cli::parse(words)
    };
    exit::code(match parsed {
        Ok(invocation) => run(&invocation),
        Err(error) => {
            terminal::complain(format_args!("error: {error}"));
            let name = if makeimg { "makeimg" } else { "mkosi" };
            terminal::complain(format_args!("try {name} --help"));
            exit::USAGE
        }
    })
}

fn run(invocation: &Invocation) -> u8 {
    match invocation.verb {
        Verb::Help if invocation.makeimg.is_some() => {
            return terminal::answer(&cli::makeimg_help());
        }
        Verb::Help => return terminal::answer(&cli::help(terminal::width())),
        Verb::Version => {
            return terminal::answer(concat!("mkosi ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Verb::Completion => return completion::run(&invocation.arguments),
        _ => {}
    }
    if let (Verb::Secret, Some(socket)) = (invocation.verb, secrets::socket()) {
        // Within a template: the build that renders it has the secrets.
        return secrets::ask(&socket, &invocation.arguments);
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
        Verb::Check => check::run(invocation, &context),
        Verb::Diff => diff::run(invocation, &context),
        Verb::Doctor => doctor::run(invocation, &context),
        Verb::Init => init::run(invocation, &context),
        verb => with_config(verb, invocation, &context),
    }
}

/// The verbs that act on the configuration.
fn with_config(verb: Verb, invocation: &Invocation, context: &Context) -> u8 {
    let globals = &invocation.globals;
    if globals.all {
        return all::run(invocation, context);
    }
    let loaded = load(invocation, context);
    let config = match loaded {
        Ok(loaded) => {
            terminal::warn(&loaded.warnings);
            loaded.config
        }
        Err(errors) => return terminal::refuse(&errors),
    };
    if let Some(makeimg) = invocation.makeimg.as_ref().filter(|m| !m.list.is_empty()) {
        return inputs::run(&config, &makeimg.list);
    }
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
        Verb::Secret => secrets::print(&config, &invocation.arguments),
        Verb::Secrets => secrets::reveal(&config, &invocation.arguments, context),
        Verb::Modes => modes::run(&config, &invocation.arguments),
        _ => build::run(&config, context, globals),
    }
}

/// The project's configuration. Verbs that need not know everything run nothing of the project.
fn load(invocation: &Invocation, context: &Context) -> Result<Loaded, Errors> {
    let makeimg = invocation.makeimg.as_ref();
    let only_files = matches!(
        invocation.verb,
        Verb::Secret | Verb::Secrets | Verb::Modes | Verb::Genkey
    ) || makeimg.is_some_and(|makeimg| !makeimg.list.is_empty());
    let depth = if only_files {
        Depth::Files
    } else {
        Depth::Everything
    };
    frontend::load(&invocation.request, makeimg, depth, context)
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
    if is_root() {
        // What a dead build half replaced is not what is meant.
        let directory = config.output.parent().unwrap_or(Path::new("/"));
        engine::sweep(directory, &terminal::Warnings);
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
