//! `mkosi plan`: what a build would do, step by step, without doing any of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::lacking::lacking;
use super::{VerbError, build, exit, plan_context, terminal};
use crate::cli::Globals;
use crate::config::{self, Config, Context as ConfigContext};
use crate::host::{printable, printable_path};
use crate::installer::{self, InstallError, Installer, Request, Site};
use crate::plan::{self, Action, BaseImage, Phase, Plan};

/// Stands for the directory in which a build puts its trees together: each build makes its own.
const WORKSPACE: &str = "WORKSPACE";

/// What a build would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DryRun {
    distribution: String,
    release: String,
    architecture: String,
    format: String,
    output: String,
    steps: Vec<Step>,
    /// What keeps the build from beginning on this host, for people.
    missing: Vec<String>,
}

/// One thing that a build would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    /// What it works on: a layer's name, or a phase's.
    of: &'static str,
    title: String,
    /// A script or a tree of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    repositories: BTreeMap<String, String>,
    /// Command lines for a shell, with the workspace's directory named `WORKSPACE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
    /// Programs of the host that it calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<String>,
}

/// Prints what a build would do. Needs no root, changes nothing.
pub fn run(config: &Config, context: &ConfigContext, globals: &Globals) -> u8 {
    let dry_run = match dry_run(config, context) {
        Ok(dry_run) => dry_run,
        Err(errors) => {
            for error in &errors {
                terminal::complain_about(error);
            }
            return exit::USAGE;
        }
    };
    let status = if globals.json {
        match serde_json::to_string_pretty(&dry_run) {
            Ok(text) => terminal::answer(&format!("{text}\n")),
            Err(error) => {
                terminal::complain(format_args!("error: cannot write the plan: {error}"));
                exit::FAILED
            }
        }
    } else {
        terminal::answer(&text(&dry_run, terminal::width()))
    };
    for missing in &dry_run.missing {
        terminal::complain(format_args!("error: {missing}"));
    }
    if dry_run.missing.is_empty() {
        status
    } else {
        exit::FAILED
    }
}

fn dry_run(config: &Config, settings: &ConfigContext) -> Result<DryRun, Vec<VerbError>> {
    let context = plan_context::of(config, settings).map_err(|error| vec![error])?;
    let planned = Plan::new(config, &context)
        .map_err(|errors| errors.into_iter().map(VerbError::Plan).collect::<Vec<_>>())?;
    let host = super::host(config);
    let installer = installer::choose(config.distribution, &host);
    let failed = |error: InstallError| vec![VerbError::Install(error)];
    let mut steps = Vec::new();
    for layer in &planned.layers {
        steps.extend(
            layer
                .from
                .as_ref()
                .map(|base| opening(layer.kind.name(), base)),
        );
        for action in &layer.actions {
            steps.push(step(layer.kind.name(), action, installer.as_ref()).map_err(failed)?);
        }
    }
    for planned in &planned.steps {
        let of = match planned.phase {
            Phase::Development => "development image",
            Phase::Final => "final image",
        };
        steps.push(step(of, &planned.action, installer.as_ref()).map_err(failed)?);
    }
    let signer = config.sign.then(|| build::signer(config, settings));
    let inputs = config::missing_inputs(config).into_iter();
    let missing = inputs
        .map(VerbError::Config)
        .chain(lacking(
            config,
            &planned,
            installer.as_ref(),
            signer.as_ref(),
            &host,
        ))
        .map(|error| terminal::chain(&error))
        .collect();
    Ok(DryRun {
        distribution: config.distribution.to_string(),
        release: config.release.clone(),
        architecture: config.architecture.to_string(),
        format: config.format.to_string(),
        output: printable_path(&config.output),
        steps,
        missing,
    })
}

/// The step that opens a base image.
fn opening(of: &'static str, base: &BaseImage) -> Step {
    Step {
        of,
        title: base.title(),
        source: Some(printable_path(&base.path)),
        packages: Vec::new(),
        excluded: Vec::new(),
        repositories: BTreeMap::new(),
        commands: Vec::new(),
        programs: Vec::new(),
    }
}

fn step(
    of: &'static str,
    action: &Action,
    installer: &dyn Installer,
) -> Result<Step, InstallError> {
    let mut step = Step {
        of,
        title: action.title(),
        source: action.source().map(printable_path),
        packages: Vec::new(),
        excluded: Vec::new(),
        repositories: BTreeMap::new(),
        commands: Vec::new(),
        programs: plan::tools_of(action),
    };
    match action {
        Action::Install(request) => fill_in(&mut step, request, installer, false)?,
        Action::AddPackages(request) | Action::ExtendBase(request) => {
            fill_in(&mut step, request, installer, true)?;
        }
        Action::RemovePackages(packages) => step.packages.clone_from(packages),
        _ => {}
    }
    Ok(step)
}

/// Adds what an installation would do.
fn fill_in(
    step: &mut Step,
    request: &Request,
    installer: &dyn Installer,
    filled: bool,
) -> Result<(), InstallError> {
    let site = Site {
        root: Path::new(WORKSPACE).join("tree"),
        scratch: Path::new(WORKSPACE).join("scratch"),
    };
    step.packages.clone_from(&request.packages);
    step.excluded.clone_from(&request.excluded);
    step.repositories = request.repositories.described().into_iter().collect();
    let commands = installer.commands(request, &site, filled)?;
    step.commands = commands.iter().map(ToString::to_string).collect();
    let tools = installer.tools().iter().map(|tool| (*tool).to_owned());
    step.programs.extend(tools);
    Ok(())
}

fn text(dry_run: &DryRun, width: usize) -> String {
    let mut text = format!(
        "{}: {} {}, {}, {}\n",
        dry_run.output,
        dry_run.distribution,
        printable(&dry_run.release),
        dry_run.architecture,
        dry_run.format
    );
    let mut of = "";
    for (nth, step) in dry_run.steps.iter().enumerate() {
        if step.of != of {
            of = step.of;
            text.push_str(&format!("\n{}\n", heading(of)));
        }
        text.push_str(&format!("{:>3}  {}\n", nth + 1, printable(&step.title)));
        if let Some(source) = &step.source {
            line(&mut text, "from", source, width);
        }
        line(&mut text, "packages", &step.packages.join(" "), width);
        line(&mut text, "left out", &step.excluded.join(" "), width);
        let mut told: Vec<&str> = Vec::new();
        for (name, value) in &step.repositories {
            // The image mostly has those that it is built from.
            if !told.contains(&value.as_str()) {
                line(&mut text, name, &printable(value), width);
                told.push(value);
            }
        }
        for command in &step.commands {
            line(&mut text, "command", &printable(command), width);
        }
        if step.commands.is_empty() {
            line(&mut text, "programs", &step.programs.join(" "), width);
        }
    }
    text
}

fn heading(of: &str) -> &'static str {
    match of {
        "base" => "Base tree (cached with -i)",
        "development" => "Development tree, on top of the base tree (cached with -i)",
        "development image" => "Development image",
        _ => "Final image",
    }
}

/// A labelled value, broken between words at the width; nothing for an empty one.
fn line(text: &mut String, label: &str, value: &str, width: usize) {
    const INDENT: usize = 21;
    let mut column = usize::MAX;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count() + 1;
        if column == usize::MAX {
            let label = format!("     {label:<15} ");
            text.push_str(&label);
            if label.len() > INDENT {
                text.push_str(&format!("\n{:INDENT$}", ""));
            }
            text.push_str(word);
            column = INDENT + length;
        } else if column + length > width {
            text.push_str(&format!("\n{:INDENT$}{word}", ""));
            column = INDENT + length;
        } else {
            text.push(' ');
            text.push_str(word);
            column += length;
        }
    }
    if column != usize::MAX {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    fn planned(fixture: &Fixture) -> DryRun {
        dry_run(&fixture.config(), &fixture.context()).unwrap()
    }

    #[test]
    fn every_step_is_named_with_what_it_does() {
        let fixture = Fixture::new()
            .args("-d debian -r bookworm --architecture=x86_64 -t gpt_ext4 -p nano --build-packages=gcc")
            .project_file("mkosi.build", "#!/bin/sh\n", 0o755);
        let plan = planned(&fixture);
        let of: Vec<_> = plan.steps.iter().map(|step| step.of).collect();
        for tree in ["base", "development", "development image", "final image"] {
            assert!(of.contains(&tree), "{of:?}");
        }
        let install = |tree: &str| {
            let found = plan
                .steps
                .iter()
                .find(|s| s.of == tree && !s.packages.is_empty());
            found.unwrap()
        };
        assert!(install("base").packages.contains(&"nano".to_owned()));
        assert_eq!(install("development").packages, ["gcc"]);
        let commands = install("base").commands.join("\n");
        assert!(commands.contains("WORKSPACE/"), "{commands}");
        assert!(commands.contains(" nano"), "{commands}");
        let shown = text(&plan, 80);
        assert!(shown.contains("Base tree"), "{shown}");
        assert!(shown.contains("mkfs.ext4"), "{shown}");
    }

    #[test]
    fn long_values_are_broken_between_words() {
        let mut shown = String::new();
        line(&mut shown, "packages", "aaaa bbbb cccc", 30);
        assert_eq!(
            shown,
            format!(
                "     packages        aaaa\n{0}bbbb\n{0}cccc\n",
                " ".repeat(21)
            )
        );
        line(&mut shown, "nothing", "", 30);
        assert!(!shown.contains("nothing"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let fixture = Fixture::with("[Packages]\nPostInstallationScript=gone\n")
            .args("-d debian -r bookworm --architecture=x86_64");
        let plan = planned(&fixture);
        assert!(
            plan.missing
                .iter()
                .any(|line| line.contains("gone does not exist")),
            "{:?}",
            plan.missing
        );
    }
}
