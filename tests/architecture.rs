//! The picture in `docs/architecture.svg` is drawn from the source: which directory of `src/` uses which.
//! `UPDATE=1` in the environment draws it again.

#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The directories, from the top: each uses only what is below it or beside it. With what each is for.
const ROWS: &[&[(&str, &str)]] = &[
    &[("verbs", "what the user asked for")],
    &[
        ("engine", "runs a plan, shows events"),
        ("frontend", "projects in other forms"),
    ],
    &[
        ("plan", "steps and their fingerprints"),
        ("cli", "flags, help, manual"),
    ],
    &[
        ("boot", "kernels, initrds, signing"),
        ("installer", "package managers"),
        ("scripts", "the project's scripts"),
        ("output", "archives, checksums"),
    ],
    &[
        ("disk", "partitions, file systems"),
        ("distro", "releases, mirrors"),
        ("config", "settings"),
    ],
    &[("tree", "changes within an image")],
    &[("host", "processes, mounts, locks")],
];
/// Pairs in one row that use each other, and why that is right.
const BESIDE: &[(&str, &str)] = &[
    // A distribution is a value of a setting; its releases are what other settings may be.
    ("config", "distro"),
];

/// Compiled for tests alone, which may look at everything.
const FOR_TESTS: &str = "fuzzing";

const WIDTH: usize = 920;
const BOX: (usize, usize) = (200, 56);
const ROW: usize = 112;

/// Which directory names which, in code that is not a test.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let entries = fs::read_dir(&src)
        .expect("the source")
        .map(|e| e.expect("an entry").path());
    let is_part = |path: &std::path::PathBuf| path.is_dir() && !path.ends_with(FOR_TESTS);
    let directories: Vec<_> = entries.filter(is_part).collect();
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    let names: BTreeSet<String> = directories.iter().map(|path| name(path)).collect();
    for directory in &directories {
        let of = uses.entry(name(directory)).or_default();
        for file in walkdir::WalkDir::new(directory) {
            let file = file.expect("an entry").into_path();
            let is_test = file.to_string_lossy().contains("test");
            if is_test || file.extension().is_none_or(|suffix| suffix != "rs") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                for part in line.split("crate::").skip(1) {
                    let end = part
                        .find(|c: char| !c.is_ascii_lowercase())
                        .unwrap_or(part.len());
                    if names.contains(&part[..end]) && part[..end] != name(directory) {
                        of.insert(part[..end].to_owned());
                    }
                }
            }
        }
    }
    uses
}

/// The row and column of a directory.
fn place(name: &str) -> Option<(usize, usize)> {
    ROWS.iter().enumerate().find_map(|(row, names)| {
        let column = names.iter().position(|(found, _)| *found == name)?;
        Some((row, column))
    })
}

#[test]
fn directories_use_only_what_is_below_them() {
    for (from, to) in uses() {
        let (row, _) = place(&from).unwrap_or_else(|| panic!("src/{from} has no place"));
        for name in to {
            let (below, _) = place(&name).expect("a place");
            let beside = BESIDE.iter().any(|pair| {
                *pair == (from.as_str(), name.as_str()) || *pair == (name.as_str(), from.as_str())
            });
            assert!(below > row || beside, "src/{from} must not use src/{name}");
        }
    }
}

/// The lint that refuses `unsafe` is taken back in one place: where `src/host/` is named.
#[test]
fn only_the_host_may_be_unsafe() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut allowed = Vec::new();
    for file in walkdir::WalkDir::new(src) {
        let file = file.expect("an entry").into_path();
        if file.extension().is_none_or(|suffix| suffix != "rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a file");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.contains("unsafe_code") {
                let what = lines.next().unwrap_or_default().trim();
                allowed.push(format!("{line} {what}"));
            }
        }
    }
    assert_eq!(allowed, ["#[allow(unsafe_code)] pub mod host;"]);
}

/// The left upper corner of a box.
fn corner(row: usize, column: usize) -> (usize, usize) {
    let count = ROWS[row].len();
    let gap = (WIDTH - count * BOX.0) / (count + 1);
    (gap + column * (BOX.0 + gap), 16 + row * ROW)
}

/// What `from` uses and nothing that it uses does: the rest follows.
fn direct(uses: &BTreeMap<String, BTreeSet<String>>, from: &str) -> Vec<String> {
    let reaches = |start: &str, goal: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![start.to_owned()];
        while let Some(name) = next.pop() {
            for to in uses.get(&name).into_iter().flatten() {
                let down = place(to) > place(&name);
                if down && seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen.contains(goal)
    };
    let all = &uses[from];
    let shorter = |to: &String| all.iter().any(|other| other != to && reaches(other, to));
    all.iter().filter(|to| !shorter(to)).cloned().collect()
}

fn drawing() -> String {
    let uses = uses();
    let height = 16 + ROWS.len() * ROW - (ROW - BOX.1) + 16;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"sans-serif\">\n<title>The directories of src/: each uses only what is below \
         it</title>\n<style>\n\
         .box {{ fill: #eef3fa; stroke: #2f6fb2; }} .name {{ fill: #10243b; font-weight: bold; }}\n\
         .what {{ fill: #44505e; font-size: 12px; }} .line {{ stroke: #7f8a98; fill: none; }} \
         .head {{ fill: #7f8a98; }}\n\
         @media (prefers-color-scheme: dark) {{ .box {{ fill: #1d2b3d; stroke: #5b9be0; }} \
         .name {{ fill: #eaf2fb; }} .what {{ fill: #b8c2cd; }} }}\n</style>\n\
         <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path class=\"head\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\n"
    );
    for from in uses.keys() {
        for to in direct(&uses, from) {
            line(from, &to, &mut svg);
        }
    }
    for (row, names) in ROWS.iter().enumerate() {
        for (column, (name, what)) in names.iter().enumerate() {
            let (x, y) = corner(row, column);
            let (width, height) = BOX;
            let middle = x + width / 2;
            writeln!(
                svg,
                "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\
                 <text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\
                 <text class=\"what\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{what}</text>",
                y + 24,
                y + 43
            )
            .expect("a string");
        }
    }
    svg + "</svg>\n"
}

fn line(from: &str, to: &str, svg: &mut String) {
    let (start, end) = (place(from).expect("a place"), place(to).expect("a place"));
    let ((x, y), (to_x, to_y)) = (corner(start.0, start.1), corner(end.0, end.1));
    let (half, height) = (BOX.0 / 2, BOX.1);
    let path = if start.0 == end.0 {
        let left = x.min(to_x) + BOX.0;
        format!("M{left} {} H{}", y + height / 2, x.max(to_x))
    } else {
        let (x, to_x, y) = (x + half, to_x + half, y + height);
        let bend = (to_y - y) / 2;
        format!(
            "M{x} {y} C{x} {} {to_x} {} {to_x} {to_y}",
            y + bend,
            to_y - bend
        )
    };
    let markers = match start.0 == end.0 {
        true => "",
        false => " marker-end=\"url(#end)\"",
    };
    writeln!(svg, "<path class=\"line\" d=\"{path}\"{markers}/>").expect("a string");
}

#[test]
fn the_picture_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.svg");
    let drawing = drawing();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &drawing).expect("a file");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == drawing,
        "docs/architecture.svg is stale: run UPDATE=1 cargo test --test architecture"
    );
}
