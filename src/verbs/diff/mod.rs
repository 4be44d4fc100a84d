//! `mkosi diff`: what two images have in common, and what not, whatever their forms.

mod fold;
mod json;
mod packages;
mod subject;
mod text;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::boot::PRIVATE;
use super::{VerbError, exit, terminal};
use crate::cli::{Globals, Invocation};
use crate::config::{Context, HostSystem};
use crate::engine::StepError;
use crate::engine::events::Paint;
use crate::engine::opened::{ImageForm, OpenedImage, UnpackedImage};
use crate::host::{Cancel, Host, HostRunner, Report, is_root, namespace, signals};
use crate::tree::Root;
use crate::tree::compare::{self, Comparison, Scope};

use packages::PackageChanges;

/// Both are the same.
const SAME: u8 = 0;
/// They differ, as diff(1) says it.
const DIFFERENT: u8 = 1;
/// They could not be compared, as diff(1) says it.
const TROUBLE: u8 = 2;

/// Two images, and what differs.
#[derive(Debug)]
struct Findings {
    /// As they were named, and what system is in each, if it says.
    images: [(PathBuf, Option<String>); 2],
    packages: PackageChanges,
    files: Comparison,
}

impl Findings {
    fn same(&self) -> bool {
        self.packages.is_empty() && self.files.differences.is_empty()
    }
}

/// Compares the images that the words name; the exit status is that of diff(1).
pub fn run(invocation: &Invocation, context: &Context) -> u8 {
    let globals = &invocation.globals;
    let images = match subject::two(invocation, context) {
        Ok(images) => images,
        Err(error) => return failed(&error),
    };
    let mut forms = Vec::new();
    for image in &images {
        match ImageForm::of(image) {
            Ok(form) => forms.push(form),
            Err(source) => return failed(&not_opened(image, source)),
        }
    }
    if !forms.iter().any(|form| form.takes_root()) {
        return ended(compare(&images, &forms, globals), globals);
    }
    if !is_root() {
        return failed(&VerbError::NotRoot {
            verb: "diff of anything but directories",
        });
    }
    // Whatever is mounted goes with this process.
    let isolated = namespace::isolate(|| ended(compare(&images, &forms, globals), globals));
    isolated.unwrap_or_else(|error| failed(&VerbError::Host(error)))
}

fn ended(findings: Result<Findings, VerbError>, globals: &Globals) -> u8 {
    let findings = match findings {
        Ok(findings) => findings,
        Err(error) => return failed(&error),
    };
    let answer = if globals.json {
        format!("{:#}\n", json::of(&findings))
    } else {
        let width = terminal::width().min(text::WIDEST);
        text::of(&findings, globals.verbose, width, Paint::on_stdout())
    };
    match (terminal::answer(&answer), findings.same()) {
        (exit::DONE, true) => SAME,
        (exit::DONE, false) => DIFFERENT,
        _ => TROUBLE,
    }
}

fn failed(error: &VerbError) -> u8 {
    if error.is_interruption() {
        terminal::complain("interrupted");
        return exit::INTERRUPTED;
    }
    terminal::complain_about(error);
    TROUBLE
}

fn not_opened(image: &Path, source: StepError) -> VerbError {
    VerbError::Open {
        path: image.to_owned(),
        source: Box::new(source),
    }
}

fn compare(
    images: &[PathBuf; 2],
    forms: &[ImageForm],
    globals: &Globals,
) -> Result<Findings, VerbError> {
    let cancel = Cancel::default();
    signals::install(&cancel).map_err(VerbError::Signals)?;
    let report = Arc::new(Warnings {
        commands: globals.debug_run,
    });
    let host = Host::new(Arc::new(HostRunner), report, cancel);
    let spare = env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from);
    let unpack = |image: &Path| {
        UnpackedImage::unpack(image, &spare, &host).map_err(|source| not_opened(image, source))
    };
    let [a, b] = images;
    let unpacked = both((a.as_path(), b.as_path()), |image| {
        let unpacked = unpack(image);
        if unpacked.is_err() {
            // The other one would be unpacked in vain.
            host.cancel.cancel();
        }
        unpacked
    });
    let unpacked = first_reason(unpacked)?;
    let mut opened = Vec::new();
    for (nth, (unpacked, image)) in unpacked.into_iter().zip(images).enumerate() {
        let place = Path::new(PRIVATE).join(format!("mkosi-{nth}"));
        if forms.iter().any(|form| form.takes_root()) {
            fs::create_dir_all(&place).map_err(|source| VerbError::Directory {
                path: place.clone(),
                source,
            })?;
        }
        opened.push(
            unpacked
                .open(&place)
                .map_err(|source| not_opened(image, source))?,
        );
    }
    let findings = look(images, forms, &opened, &host)?;
    for (opened, image) in opened.into_iter().zip(images) {
        opened.close().map_err(|source| not_opened(image, source))?;
    }
    Ok(findings)
}

/// Does the same with two things at once.
fn both<T: Sync + ?Sized, R: Send>(pair: (&T, &T), work: impl Fn(&T) -> R + Sync) -> [R; 2] {
    let (first, second) = rayon::join(|| work(pair.0), || work(pair.1));
    [first, second]
}

/// Both results, or the error that is not merely a consequence of the other.
fn first_reason<T>([a, b]: [Result<T, VerbError>; 2]) -> Result<[T; 2], VerbError> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok([a, b]),
        (Err(a), Err(b)) if a.is_interruption() => Err(b),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn look(
    images: &[PathBuf; 2],
    forms: &[ImageForm],
    opened: &[OpenedImage],
    host: &Host,
) -> Result<Findings, VerbError> {
    let [a, b] = opened else {
        return Err(VerbError::Words(subject::USAGE));
    };
    let scope = Scope {
        labels: forms.iter().all(|form| form.is_mounted()),
        top: !forms.contains(&ImageForm::Archive),
    };
    let files =
        compare::compare(a.path(), b.path(), scope, &host.cancel).map_err(VerbError::Tree)?;
    let manifests = both((a.path(), b.path()), |tree: &Path| packages::of(tree, host));
    let [before, after] = manifests;
    let system = |tree: &OpenedImage| system_of(tree.path());
    Ok(Findings {
        images: [
            (images[0].clone(), system(a)),
            (images[1].clone(), system(b)),
        ],
        packages: PackageChanges::between(&before, &after),
        files,
    })
}

/// What a tree calls the system in it.
fn system_of(tree: &Path) -> Option<String> {
    let root = Root::open(tree).ok()?;
    let text = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| root.read_if_present(path).ok().flatten())?;
    let system = HostSystem::from_text(&String::from_utf8_lossy(&text));
    let id = Some(system.id).filter(|id| !id.is_empty())?;
    Some(match system.release {
        Some(release) => format!("{id} {release}"),
        None => id,
    })
}

/// Says what the user should know.
struct Warnings {
    commands: bool,
}

impl Report for Warnings {
    fn line(&self, _: &str) {}

    fn warn(&self, message: &str) {
        terminal::complain(format_args!("warning: {message}"));
    }

    fn progress(&self, _: u64, _: u64) {}

    fn command(&self, line: &str) {
        if self.commands {
            terminal::tell(&format!("+ {line}\n"));
        }
    }
}

#[cfg(test)]
mod tests;
