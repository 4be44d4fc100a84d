//! `mkosi why`: which cached images a build would use, and what changed for those it would not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{VerbError, exit, plan_context, terminal};
use crate::cli::Globals;
use crate::config::{Config, Context as ConfigContext};
use crate::engine::layers::why::{Change, Outcome, Verdict, explain};
use crate::engine::layers::{Store, identities, output_name};
use crate::engine::{BuildError, EngineError};
use crate::host::{human_age, human_size, printable};
use crate::installer;
use crate::output::Artifacts;
use crate::plan::Plan;

/// Longer values are shown in part.
const LONGEST: usize = 300;

/// Explains; builds and changes nothing.
pub fn run(config: &Config, context: &ConfigContext, globals: &Globals) -> u8 {
    match verdicts(config, context) {
        Ok(verdicts) if globals.json => {
            let answer = json!({
                "incremental": config.incremental,
                "force": config.force.drops_cached_images(),
                "layers": verdicts,
            });
            terminal::answer(&format!("{answer:#}\n"))
        }
        Ok(verdicts) => {
            if !config.incremental {
                terminal::complain(
                    "warning: without Incremental (-i) a build neither keeps nor uses cached images; \
                     with it:",
                );
            } else if config.force.drops_cached_images() {
                terminal::complain(
                    "warning: with -ff a build makes all of them again; without it:",
                );
            }
            let texts: Vec<String> = verdicts.iter().map(text).collect();
            terminal::answer(&texts.concat())
        }
        Err(errors) => {
            for error in &errors {
                terminal::complain_about(error);
            }
            match errors.first() {
                Some(VerbError::Build(_)) => exit::FAILED,
                _ => exit::USAGE,
            }
        }
    }
}

fn verdicts(config: &Config, context: &ConfigContext) -> Result<Vec<Verdict>, Vec<VerbError>> {
    let context = plan_context::of(config, context).map_err(|error| vec![error])?;
    let plan = Plan::new(config, &context).map_err(|problems| {
        problems
            .into_iter()
            .map(VerbError::Plan)
            .collect::<Vec<_>>()
    })?;
    let host = super::host(config);
    let installer = installer::choose(config.distribution, &host);
    let failed = |error: BuildError| vec![VerbError::Build(error)];
    host.require(installer.tools())
        .map_err(|error| vec![VerbError::Host(error)])?;
    let identities = identities(&plan, &context, installer.as_ref(), &host).map_err(|source| {
        failed(BuildError::Step {
            title: "Looking at what the image is made from".to_owned(),
            source,
        })
    })?;
    let store = Store::in_directory(Artifacts::new(&config.output).directory());
    let output = output_name(&config.output);
    explain(&store, &identities, &output, &host.cancel).map_err(|error| match error {
        EngineError::Path { ref source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            vec![VerbError::NotRoot {
                verb: "why (cached images are for root alone, and there are some)",
            }]
        }
        error => failed(BuildError::Frame(error)),
    })
}

/// What would happen to a tree, in lines for people.
pub(super) fn text(verdict: &Verdict) -> String {
    let name = verdict.layer.name();
    match &verdict.outcome {
        Outcome::Reused { created, size } => format!(
            "{name}: reused ({}, made {} ago)\n",
            human_size(*size),
            human_age(age(*created))
        ),
        Outcome::New => format!("{name}: made for the first time\n"),
        Outcome::Damaged { damage } => {
            format!(
                "{name}: made again, because it is damaged: {}\n",
                printable(damage)
            )
        }
        Outcome::Rebuilt { below, changes, .. } => {
            let mut text = format!("{name}: made again, because of changes:\n");
            if *below {
                text.push_str("  the base that it lies on is made again\n");
            }
            for change in changes {
                text.push_str(&change_text(change));
            }
            text
        }
    }
}

fn change_text(change: &Change) -> String {
    let what = match &change.file {
        Some(file) if file.is_empty() => change.input.clone(),
        Some(file) => format!("{}: {}", change.input, printable(file)),
        None => change.input.clone(),
    };
    let value = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        Some(text) if text.is_empty() => "(empty)".to_owned(),
        Some(text) => shortened(&printable(text)),
    };
    format!(
        "  {}\n    was {}\n    is  {}\n",
        printable(&what),
        value(&change.old),
        value(&change.new)
    )
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}

fn age(created: u64) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(Duration::from_millis(created))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fingerprint, LayerKind};

    #[test]
    fn people_read_what_changed() {
        let name = Fingerprint::from_text(&"a".repeat(64)).unwrap();
        let change =
            |input: &str, file: Option<&str>, old: Option<&str>, new: Option<&str>| Change {
                input: input.into(),
                file: file.map(Into::into),
                old: old.map(Into::into),
                new: new.map(Into::into),
            };
        let verdict = Verdict {
            layer: LayerKind::Development,
            fingerprint: name.clone(),
            outcome: Outcome::Rebuilt {
                former: name,
                below: true,
                changes: vec![
                    change("Release", None, Some("bookworm"), Some("trixie")),
                    change(
                        "SkeletonTrees, number 1",
                        Some("etc/\u{1b}x"),
                        None,
                        Some("file 0644"),
                    ),
                    change("packages left out", None, Some(""), Some("x")),
                ],
            },
        };
        assert_eq!(
            text(&verdict),
            "development: made again, because of changes:\n  \
             the base that it lies on is made again\n  \
             Release\n    was bookworm\n    is  trixie\n  \
             SkeletonTrees, number 1: etc/\\x1bx\n    was nothing\n    is  file 0644\n  \
             packages left out\n    was (empty)\n    is  x\n"
        );
    }
}
