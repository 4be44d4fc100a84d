//! The findings for people.

use std::fmt::Write as _;

use super::Findings;
use super::fold::{Line, lines};
use super::packages::PackageChanges;
use crate::engine::events::Paint;
use crate::host::human_size;
use crate::host::{printable, printable_path};
use crate::output::Package;
use crate::tree::compare::{Aspect, Difference, Node, Totals};
use crate::tree::{Kind, shown_path};

/// More columns are hard to read.
pub(super) const WIDEST: usize = 100;
/// Names are followed by what is said of them at most here.
const COLUMN: usize = 44;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Added,
    Removed,
    Changed,
}

/// All findings, in lines of at most `width` columns where names allow; with `all`, nothing is folded.
pub(super) fn of(findings: &Findings, all: bool, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    let totals = [findings.files.before, findings.files.after];
    for (nth, ((path, system), totals)) in findings.images.iter().zip(totals).enumerate() {
        let sign = if nth == 0 { "---" } else { "+++" };
        let name = printable_path(path);
        let _ = writeln!(text, "{}", paint.bold(&format!("{sign} {name}")));
        let system = system.as_deref().map(|name| printable(name) + ", ");
        let count = findings.packages.counts[nth];
        let packages = match count {
            0 => String::new(),
            1 => "1 package, ".to_owned(),
            count => format!("{count} packages, "),
        };
        let _ = writeln!(
            text,
            "    {}{packages}{} entries, {}",
            system.unwrap_or_default(),
            totals.entries,
            human_size(totals.bytes)
        );
    }
    if findings.packages.incomparable() {
        text.push_str("\nPackages: only one of the two keeps a package database\n");
    }
    if findings.same() {
        text.push_str("\nNo differences.\n");
        return text;
    }
    packages(&mut text, &findings.packages, width, paint);
    files(&mut text, findings, all, width, paint);
    text
}

fn packages(text: &mut String, changes: &PackageChanges, width: usize, paint: Paint) {
    if changes.is_empty() {
        return;
    }
    let counts = [
        (changes.added.len(), "added"),
        (changes.removed.len(), "removed"),
        (changes.changed.len(), "changed"),
    ];
    head(text, "Packages", &counts, "", paint);
    let mut found: Vec<Line> = Vec::new();
    let whole = |package: &Package| match package.size {
        Some(size) => format!("{}, {}", printable(&package.version), human_size(size)),
        None => printable(&package.version),
    };
    let mut add = |sign, package: &Package, what| {
        found.push(Line {
            sign,
            path: printable(&package.name),
            what,
        });
    };
    for package in &changes.added {
        add(Sign::Added, package, whole(package));
    }
    for package in &changes.removed {
        add(Sign::Removed, package, whole(package));
    }
    for (old, new) in &changes.changed {
        let (was, is) = (printable(&old.version), printable(&new.version));
        add(Sign::Changed, new, format!("{was} {} {is}", paint.arrow()));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    write_lines(text, &found, width, paint);
}

fn files(text: &mut String, findings: &Findings, all: bool, width: usize, paint: Paint) {
    let differences = &findings.files.differences;
    if differences.is_empty() {
        return;
    }
    let count = |wanted: Sign| {
        let signs = differences.iter().map(sign_of);
        signs.filter(|sign| *sign == wanted).count()
    };
    let counts = [
        (count(Sign::Added), "added"),
        (count(Sign::Removed), "removed"),
        (count(Sign::Changed), "changed"),
    ];
    let more = grown(findings.files.before, findings.files.after);
    head(text, "Files", &counts, &more, paint);
    let lines = lines(differences, all, paint);
    write_lines(text, &lines, width, paint);
    if !all && lines.iter().any(|line| line.path.ends_with("/*")) {
        let note = "Directories with many differences are folded; --verbose names all.";
        let _ = writeln!(text, "\n{}", paint.dim(note));
    }
}

fn sign_of(difference: &Difference) -> Sign {
    match (&difference.before, &difference.after) {
        (Some(_), Some(_)) => Sign::Changed,
        (Some(_), None) => Sign::Removed,
        _ => Sign::Added,
    }
}

fn grown(before: Totals, after: Totals) -> String {
    match after.bytes.cmp(&before.bytes) {
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Greater => format!("; +{}", human_size(after.bytes - before.bytes)),
        std::cmp::Ordering::Less => format!("; -{}", human_size(before.bytes - after.bytes)),
    }
}

fn head(text: &mut String, name: &str, counts: &[(usize, &str)], more: &str, paint: Paint) {
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let line = format!("{name}: {}{more}", counts.join(", "));
    let _ = writeln!(text, "\n{}", paint.bold(&line));
}

fn write_lines(text: &mut String, lines: &[Line], width: usize, paint: Paint) {
    let longest = lines.iter().map(|line| line.path.chars().count()).max();
    let column = longest.unwrap_or(0).min(COLUMN);
    for line in lines {
        let length = line.path.chars().count();
        let (sign, coloured): (&str, fn(Paint, &str) -> String) = match line.sign {
            Sign::Added => ("+", Paint::good),
            Sign::Removed => ("-", Paint::bad),
            Sign::Changed => ("~", Paint::warning),
        };
        let name = coloured(paint, &format!("{sign} {}", line.path));
        let beside = length.max(column) + 6 + line.what.chars().count();
        if line.what.is_empty() {
            let _ = writeln!(text, "  {name}");
        } else if beside <= width || length <= column {
            let padding = " ".repeat(column.saturating_sub(length));
            let _ = writeln!(text, "  {name}{padding}  {}", line.what);
        } else {
            let _ = writeln!(text, "  {name}\n{}{}", " ".repeat(column + 6), line.what);
        }
    }
}

/// What is said of a name.
pub(super) fn described(difference: &Difference, paint: Paint) -> String {
    match (&difference.before, &difference.after) {
        (Some(before), Some(after)) => {
            let changes: Vec<String> = difference
                .aspects
                .iter()
                .map(|aspect| changed(aspect, before, after, paint))
                .collect();
            changes.join(", ")
        }
        (None, Some(node)) | (Some(node), None) => is(node, paint),
        (None, None) => String::new(),
    }
}

/// What a name is.
fn is(node: &Node, paint: Paint) -> String {
    match node.kind {
        Kind::File => human_size(node.size.unwrap_or(0)),
        Kind::Directory => "empty directory".to_owned(),
        Kind::Symlink => {
            let target = node.target.as_deref().unwrap_or_default();
            format!("{} {}", paint.arrow(), shown_path(target))
        }
        Kind::Device => device(node),
        Kind::Fifo => "named pipe".to_owned(),
        Kind::Socket => "socket".to_owned(),
    }
}

fn changed(aspect: &Aspect, before: &Node, after: &Node, paint: Paint) -> String {
    let arrow = paint.arrow();
    match aspect {
        Aspect::Kind => {
            let (was, is) = (before.kind.with_article(), after.kind.with_article());
            format!("{was} {arrow} {is}")
        }
        Aspect::Content if before.size == after.size => "content".to_owned(),
        Aspect::Content => {
            let size = |node: &Node| human_size(node.size.unwrap_or(0));
            format!("content, {} {arrow} {}", size(before), size(after))
        }
        Aspect::Mode => format!("mode {:04o} {arrow} {:04o}", before.mode, after.mode),
        Aspect::Owner => format!(
            "owner {}:{} {arrow} {}:{}",
            before.uid, before.gid, after.uid, after.gid
        ),
        Aspect::Target => {
            let target = |node: &Node| shown_path(node.target.as_deref().unwrap_or_default());
            format!("link to {} {arrow} {}", target(before), target(after))
        }
        Aspect::Device => format!("{} {arrow} {}", device(before), device(after)),
        Aspect::Attributes(names) => {
            let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
            format!("attributes {}", names.join(" "))
        }
    }
}

fn device(node: &Node) -> String {
    let (is_block, major, minor) = node.device.unwrap_or_default();
    let kind = if is_block { "block" } else { "character" };
    format!("{kind} device {major}:{minor}")
}
