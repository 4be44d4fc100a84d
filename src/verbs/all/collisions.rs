//! Images that would write over each other.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::targets::Target;
use crate::config::Config;
use crate::host::printable_path;
use crate::output::Artifacts;
use crate::plan::Plan;

/// What one image writes and removes.
struct Claims {
    /// What it writes.
    writes: Vec<PathBuf>,
    /// What it removes where an earlier build left it, `writes` included.
    replaces: Vec<PathBuf>,
}

/// Every pair of images that would get in each other's way, in words.
#[must_use]
pub fn collisions(targets: &[(&Target, &Plan)]) -> Vec<String> {
    let claims: Vec<Claims> = targets
        .iter()
        .map(|(target, plan)| claims(target, plan))
        .collect();
    let mut written: HashMap<&Path, Vec<usize>> = HashMap::new();
    for (number, claim) in claims.iter().enumerate() {
        for path in &claim.writes {
            written.entry(path).or_default().push(number);
        }
    }
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for (number, claim) in claims.iter().enumerate() {
        let replaced = claim.replaces.iter().map(|path| (path.as_path(), false));
        // An image that is a directory holds nothing of others.
        let inside = claim
            .writes
            .iter()
            .flat_map(|path| path.ancestors().skip(1))
            .map(|path| (path, true));
        for (contested, inside) in replaced.chain(inside) {
            for &other in written.get(contested).into_iter().flatten() {
                let (first, second) = (number.min(other), number.max(other));
                let known = found.iter().any(|(a, b, _)| (*a, *b) == (first, second));
                if first == second || known {
                    continue;
                }
                let file = |number: usize| {
                    targets
                        .get(number)
                        .map_or_else(String::new, |(target, _)| printable_path(&target.file))
                };
                let (files, path) = (
                    format!("{} and {}", file(first), file(second)),
                    printable_path(contested),
                );
                let both = || claim.writes.iter().any(|written| written == contested);
                let what = if inside {
                    format!("{files} collide: what one writes would be inside the other's {path}")
                } else if both() {
                    format!("{files} would both write {path}")
                } else {
                    format!("{files} collide: one would remove {path}, which the other writes")
                };
                let setting = targets
                    .get(number)
                    .and_then(|(target, _)| {
                        kept_by_scripts(&target.config)
                            .find(|(directory, _)| real(directory) == contested)
                    })
                    .map_or("Output= or OutputDirectory=", |(_, setting)| setting);
                let hint = format!("give one of them another {setting}");
                found.push((first, second, format!("{what}; {hint}")));
            }
        }
    }
    let found = found.into_iter().map(|(_, _, message)| message);
    found.chain(based_on_each_other(targets)).collect()
}

/// Images that begin from what others of the same run write: they could find the old one, the new one,
/// or half of it gone.
fn based_on_each_other(targets: &[(&Target, &Plan)]) -> Vec<String> {
    let mut found = Vec::new();
    for (target, _) in targets {
        let Some(base) = target.config.base_image.as_deref().map(real) else {
            continue;
        };
        for (other, plan) in targets {
            if plan.makes_image() && base.starts_with(real(&other.config.output)) {
                found.push(format!(
                    "{} begins from {}, which {} writes; build that one first, and this one without --all",
                    printable_path(&target.file),
                    printable_path(&base),
                    printable_path(&other.file)
                ));
            }
        }
    }
    found
}

/// Directories that the build script of a configuration fills, with their settings. The build
/// directory is not among them: who uses it locks it.
fn kept_by_scripts(config: &Config) -> impl Iterator<Item = (&Path, &'static str)> {
    let directories = [
        (&config.install_directory, "InstallDirectory="),
        (&config.include_directory, "IncludeDirectory="),
    ];
    let scripted = config.build_script.is_some();
    directories
        .into_iter()
        .filter(move |_| scripted)
        .filter_map(|(directory, setting)| Some((directory.as_deref()?, setting)))
}

fn claims(target: &Target, plan: &Plan) -> Claims {
    let config = &target.config;
    let names = Artifacts::new(&config.output);
    let mut writes = plan.outputs(&names);
    if plan.makes_image() {
        writes.push(names.image().to_owned());
    }
    if plan.has_ssh_key() {
        writes.push(names.ssh_key());
    }
    writes.extend(kept_by_scripts(config).map(|(directory, _)| directory.to_owned()));
    // Checksums that are not this image's own are left alone.
    let common = [names.checksums(), names.signature()];
    let mut replaces = names.all();
    replaces.retain(|path| !common.contains(path));
    replaces.extend(writes.iter().cloned());
    let real = |paths: Vec<PathBuf>| {
        let mut paths: Vec<PathBuf> = paths.iter().map(|path| real(path)).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    Claims {
        writes: real(writes),
        replaces: real(replaces),
    }
}

/// The path without links in its directories, as far as these exist.
fn real(path: &Path) -> PathBuf {
    let Some(parent) = path.parent() else {
        return path.to_owned();
    };
    for existing in parent.ancestors() {
        if let Ok(found) = fs::canonicalize(existing) {
            return path
                .strip_prefix(existing)
                .map_or_else(|_| path.to_owned(), |rest| found.join(rest));
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use uuid::Uuid;

    use super::*;
    use crate::config::testing::Fixture;
    use crate::plan::Context;

    /// What is said of two images of a Debian with these settings, without the files' names.
    fn collide(one: &str, two: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("out")).unwrap();
        symlink("out", directory.path().join("link")).unwrap();
        let target = |name: &str, args: &str| {
            let args = args.replace('@', &directory.path().to_string_lossy());
            Target {
                name: name.to_owned(),
                file: name.into(),
                config: Fixture::new().args(&format!("-d debian {args}")).config(),
            }
        };
        let (one, two) = (target("a", one), target("b", two));
        let context = Context {
            directory: "/".into(),
            source_date_epoch: None,
            seed: Uuid::nil(),
        };
        let plan = |target: &Target| Plan::new(&target.config, &context).unwrap();
        let found = collisions(&[(&one, &plan(&one)), (&two, &plan(&two))]);
        assert!(found.len() <= 1, "{found:?}");
        let text = found.into_iter().next()?;
        Some(text.replace(&*directory.path().to_string_lossy(), "@"))
    }

    #[test]
    fn outputs_of_their_own() {
        for (one, two) in [
            ("-o @/a", "-o @/b"),
            ("-o @/out/image", "-o @/image"),
            // Nothing besides the images is written.
            (
                "-t tar -o @/image.tar --manifest-format=",
                "-t directory -o @/image --manifest-format=",
            ),
            ("-o @/x.raw --checksum", "-o @/y.raw"),
            ("-t directory -o @/a", "-o @/ab"),
        ] {
            assert_eq!(collide(one, two), None, "{one} {two}");
        }
    }

    #[test]
    fn scripts_that_fill_one_directory() {
        let args =
            |output: &str| format!("-o @/{output} --build-script=/bin/true --install-dir=@/kept");
        assert_eq!(
            collide(&args("a"), &args("b")).as_deref(),
            Some("a and b would both write @/kept; give one of them another InstallDirectory=")
        );
        assert_eq!(collide(&args("a"), "-o @/b --install-dir=@/kept"), None);
    }

    #[test]
    fn outputs_in_each_others_way() {
        const HINT: &str = "; give one of them another Output= or OutputDirectory=";
        for (one, two, path) in [
            ("-o @/a", "-o @/a", "@/a"),
            ("-o @/out/a", "-o @/link/a", "@/out/a"),
            ("-o @/new/a", "-o @/new/a", "@/new/a"),
            (
                "-o @/x.raw --checksum",
                "-o @/y.raw --checksum",
                "@/SHA256SUMS",
            ),
            (
                "-t tar -o @/image.tar",
                "-t directory -o @/image",
                "@/image.manifest",
            ),
        ] {
            let expected = format!("a and b would both write {path}{HINT}");
            assert_eq!(collide(one, two), Some(expected), "{one} {two}");
        }
        for (one, two, path) in [
            (
                "-o @/x.raw --bmap --manifest-format=",
                "-t tar -o @/x.tar --manifest-format=",
                "@/x.bmap",
            ),
            (
                "-t tar -o @/x.tar --manifest-format=",
                "-o @/x.raw --verity --manifest-format=",
                "@/x.roothash",
            ),
        ] {
            let expected =
                format!("a and b collide: one would remove {path}, which the other writes{HINT}");
            assert_eq!(collide(one, two), Some(expected), "{one} {two}");
        }
        for (one, two) in [
            ("-t directory -o @/out", "-o @/out/x"),
            ("-o @/link/deep/x", "-t directory -o @/out"),
        ] {
            let expected =
                format!("a and b collide: what one writes would be inside the other's @/out{HINT}");
            assert_eq!(collide(one, two), Some(expected), "{one} {two}");
        }
        let expected = "b begins from @/out/a, which a writes; build that one first, and this one \
                        without --all";
        let (one, two) = ("-t directory -o @/out/a", "-o @/b --base-image=@/link/a");
        assert_eq!(collide(one, two).as_deref(), Some(expected));
    }
}
