//! The README's recipes: their files are read as they stand, and a build of each can be planned.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use support::Project;

/// A recipe: its title, its files by name, and what is run.
struct Recipe {
    title: String,
    files: Vec<(String, String)>,
    commands: String,
}

/// The recipes of the README. A line with a name in backticks and a colon stands above each file.
fn recipes() -> Vec<Recipe> {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("\n## Recipes\n").expect("recipes");
    let (recipes, _) = rest.split_once("\n## ").expect("another section");
    recipes.split("\n### ").skip(1).map(recipe).collect()
}

fn recipe(text: &str) -> Recipe {
    let mut lines = text.lines();
    let mut recipe = Recipe {
        title: lines.next().expect("a title").to_owned(),
        files: Vec::new(),
        commands: String::new(),
    };
    let mut name = None;
    while let Some(line) = lines.next() {
        if let Some(file) = line.strip_prefix('`').and_then(|l| l.strip_suffix("`:")) {
            name = Some(file.to_owned());
        } else if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let block = block.join("\n") + "\n";
            match name.take() {
                Some(name) => recipe.files.push((name, block)),
                None => recipe.commands.push_str(&block),
            }
        }
    }
    recipe
}

/// The project of a recipe.
fn project(recipe: &Recipe) -> Project {
    let project = Project::new();
    for (name, content) in &recipe.files {
        project.file(name, content);
        if content.starts_with("#!") {
            project.mode(name, 0o755);
        }
    }
    project
}

#[test]
fn every_recipe_is_read_as_it_stands() {
    let recipes = recipes();
    assert_eq!(recipes.len(), 5);
    for recipe in &recipes {
        assert!(!recipe.files.is_empty() && !recipe.commands.is_empty());
        let project = project(recipe);
        if recipe.commands.contains("mkosi genkey") {
            project.run(&["genkey"]).succeeds();
        }
        let all = recipe.commands.contains("mkosi --all");
        let flags: &[&str] = if all { &["--all"] } else { &[] };
        let run = project.run(&[flags, &["summary"]].concat());
        assert_eq!(run.code, Some(0), "{}: {}", recipe.title, run.stderr);
        // A misspelt setting would be warned of.
        assert_eq!(run.stderr, "", "{}", recipe.title);
        for (name, content) in &recipe.files {
            if content.starts_with("[Distribution]") {
                let run = project.run(&[&format!("--default={name}"), "plan"]);
                assert_eq!(run.code, Some(0), "{name}: {}{}", run.stdout, run.stderr);
                run.prints("Final image");
            }
        }
    }
}

#[test]
fn the_commands_of_recipes_are_this_programs() {
    for recipe in recipes() {
        for line in recipe.commands.lines() {
            let (command, _) = line.split_once('#').unwrap_or((line, ""));
            for part in command.split("&&") {
                let words = part.split_whitespace().skip(1).map(Into::into);
                assert!(part.trim_start().starts_with("mkosi"), "{line}");
                assert!(mkosi::cli::parse(words).is_ok(), "{line}");
            }
        }
    }
}
