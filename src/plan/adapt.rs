//! The patches and templates of trees: steps of their own, where there are any.

use std::path::{Path, PathBuf};

use super::{Action, Patches};
use crate::config::Config;
use crate::scripts::secrets::SecretSource;
use crate::scripts::templates::Templates;
use crate::tree::adapt::{Role, inputs};

/// What follows when the skeleton trees are in. Their templates become part of cached images: they get
/// no secrets, and read nothing that could change without being noticed.
pub(super) fn adapt_skeleton(config: &Config) -> Vec<Action> {
    adapt(config, &config.skeleton_trees, false)
}

/// What follows when the extra trees are in. All files come before all patches, as the order of trees
/// must not matter to a patch.
pub(super) fn adapt_image(config: &Config) -> Vec<Action> {
    adapt(config, &config.extra_trees, true)
}

fn adapt(config: &Config, trees: &[PathBuf], installed: bool) -> Vec<Action> {
    let with = |role| {
        let has = |tree: &&PathBuf| {
            // What cannot be read is found out about when it is copied.
            let inputs = inputs(tree).unwrap_or_default();
            inputs.iter().any(|input| input.role == role)
        };
        trees.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    let mut actions = Vec::new();
    let patched = with(Role::Patch);
    if !patched.is_empty() {
        actions.push(Action::ApplyPatches(Patches {
            trees: patched,
            installed,
        }));
    }
    let rendered = with(Role::Template);
    if !rendered.is_empty() {
        actions.push(Action::RenderTemplates(Templates {
            trees: rendered,
            project: installed.then(|| config.project.directory.clone()),
            shell_file: config
                .project
                .imgbuild()
                .map(|imgbuild| imgbuild.file.clone()),
            environment: environment(config),
            warn_only: config.warn_only,
            secrets: installed.then(|| secret_source(config)),
        }));
    }
    actions
}

/// The variables that settings ask for.
pub(super) fn environment(config: &Config) -> Vec<(String, String)> {
    let variables = config.environment.iter();
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Where a configuration's secrets come from.
#[must_use]
pub fn secret_source(config: &Config) -> SecretSource {
    let directory: &Path = &config.project.directory;
    SecretSource {
        definitions: config.secrets.clone(),
        revealed: config.revealed.clone(),
        directory: directory.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Fixture;

    #[test]
    fn steps_come_where_there_is_something_to_do() {
        let titles = |fixture: &Fixture| -> (Vec<String>, Vec<String>) {
            let config = fixture.config();
            let of = |actions: Vec<Action>| actions.iter().map(Action::title).collect();
            (of(adapt_skeleton(&config)), of(adapt_image(&config)))
        };
        let (patch, template) = (
            "Applying patches".to_owned(),
            "Rendering templates".to_owned(),
        );
        let fixture = Fixture::new().project_file("mkosi.extra/a", "", 0o644);
        assert_eq!(titles(&fixture), (vec![], vec![]));
        let fixture = fixture
            .project_file("mkosi.extra/etc/b.mkosi.template", "", 0o644)
            .project_file("mkosi.extra/c.makeimg.patch", "", 0o644);
        assert_eq!(
            titles(&fixture),
            (vec![], vec![patch.clone(), template.clone()])
        );
        let fixture = fixture.project_file("mkosi.skeleton/a.mkosi.template", "", 0o644);
        assert_eq!(
            titles(&fixture),
            (vec![template.clone()], vec![patch, template])
        );
    }

    #[test]
    fn what_is_cached_gets_no_secrets() {
        let fixture = Fixture::new()
            .directory("p/secrets")
            .project_file("mkosi.skeleton/a.mkosi.template", "", 0o644)
            .project_file("mkosi.extra/a.mkosi.template", "", 0o644)
            .args("--environment=A=b --revealed=r");
        let config = fixture.config();
        let templates = |actions: Vec<Action>| match actions.into_iter().next() {
            Some(Action::RenderTemplates(templates)) => templates,
            other => panic!("{other:?}"),
        };
        let skeleton = templates(adapt_skeleton(&config));
        assert_eq!((skeleton.secrets, skeleton.project), (None, None));
        assert_eq!(skeleton.environment, [("A".to_owned(), "b".to_owned())]);
        let extra = templates(adapt_image(&config));
        let source = extra.secrets.unwrap();
        let here = config.project.directory.clone();
        assert_eq!(source.definitions, Some(here.join("secrets")));
        assert_eq!(source.revealed, Some(here.join("r")));
        assert_eq!(extra.project, Some(here));
    }
}
