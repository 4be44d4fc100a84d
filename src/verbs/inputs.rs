//! `makeimg --list` and the like: the files that go into an image, or say how something in it is made.

use super::{VerbError, exit, terminal};
use crate::config::Config;
use crate::tree::adapt::{Role, inputs};
use crate::tree::shown_path;

/// Prints the input files of these roles, each on a line.
pub fn run(config: &Config, roles: &[Role]) -> u8 {
    let mut text = String::new();
    for tree in &config.extra_trees {
        let found = match inputs(tree) {
            Ok(found) => found,
            Err(error) => {
                terminal::complain_about(&VerbError::Tree(error));
                return exit::FAILED;
            }
        };
        for input in found.iter().filter(|input| roles.contains(&input.role)) {
            let path = tree.join(&input.path);
            let path = path
                .strip_prefix(&config.project.directory)
                .unwrap_or(&path);
            text.push_str(&shown_path(path));
            text.push('\n');
        }
    }
    terminal::answer(&text)
}
