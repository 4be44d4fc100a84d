//! Whether an image has what a script's first line asks for: to the kernel the whole script is
//! "not found" otherwise.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::ScriptError;
use crate::host::printable;
use crate::tree::{Root, TreeError};

/// Where programs are looked for in a container, as systemd-nspawn sets it.
const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// As much of a first line as the kernel reads (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;

/// What is wrong with the first line of the host's file `script`, for the image `root`; nothing when
/// it will do. `packages` is the setting that brings packages into this image.
pub(super) fn check(script: &Path, root: &Root, packages: &str) -> Result<(), ScriptError> {
    let mut start = Vec::new();
    // A file that cannot be read here will not start either, and that is said then.
    let read = File::open(script).and_then(|f| f.take(LINE as u64).read_to_end(&mut start));
    if read.is_err() {
        return Ok(());
    }
    match problem(&start, packages, |path| root.is_file(path))? {
        None => Ok(()),
        Some(problem) => Err(ScriptError::FirstLine {
            path: script.to_owned(),
            problem,
        }),
    }
}

/// What is wrong with the first line of a script before there is an image, or of one that runs on the
/// host; nothing when it will do as far as is known.
///
/// # Errors
/// When it cannot be read.
pub fn first_line_problem(script: &Path, on_host: bool) -> io::Result<Option<String>> {
    let mut start = Vec::new();
    File::open(script)?
        .take(LINE as u64)
        .read_to_end(&mut start)?;
    let has = |path: &str| Ok(!on_host || Path::new(path).is_file());
    let found = problem(&start, "Packages", has).unwrap_or_default();
    Ok(found.map(
        |problem| match problem.split_once(", which is not in the image") {
            Some((asks, _)) => format!("{asks}, which is not on this host, where it runs"),
            None => problem,
        },
    ))
}

fn problem(
    start: &[u8],
    packages: &str,
    has: impl Fn(&str) -> Result<bool, TreeError>,
) -> Result<Option<String>, TreeError> {
    let Some(line) = start.strip_prefix(b"#!") else {
        // Programs of whatever format hold null bytes, text does not.
        let is_text = !start.contains(&0);
        return Ok(is_text.then(|| "it has to begin with a line such as #!/bin/sh".to_owned()));
    };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Ok(Some(
            "its first line ends in a carriage return; save it with Unix line ends".to_owned(),
        ));
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let Some(interpreter) = words.next() else {
        return Ok(Some("its first line names no program after #!".to_owned()));
    };
    let missing = |name: &str| {
        Some(format!(
            "its first line asks for {}, which is not in the image; {packages}= adds packages",
            printable(name)
        ))
    };
    if !has(interpreter)? {
        return Ok(missing(interpreter));
    }
    if !interpreter.ends_with("/env") {
        return Ok(None);
    }
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let Some(program) = program.filter(|program| !program.contains('/')) else {
        return Ok(None);
    };
    for directory in PATH {
        if has(&format!("{directory}/{program}"))? {
            return Ok(None);
        }
    }
    Ok(missing(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        let has = |path: &str| {
            Ok([
                "/bin/sh",
                "/usr/bin/env",
                "/usr/local/bin/perl",
                "/bin/bash",
            ]
            .contains(&path))
        };
        for (start, part) in [
            ("#!/bin/sh\necho", ""),
            ("#! /bin/sh -e\n", ""),
            ("#!/bin/sh", ""),
            ("#!/usr/bin/env perl\n", ""),
            ("#!/usr/bin/env -S bash -e\n", ""),
            ("#!/usr/bin/env A=b bash\n", ""),
            ("#!/usr/bin/env\n", ""),
            ("#!/usr/bin/env -S /opt/x\n", ""),
            ("\x7fELF\0\x01", ""),
            (
                "#!/usr/bin/python3\n",
                "/usr/bin/python3, which is not in the image; Packages=",
            ),
            ("#!/usr/bin/env python3\n", "asks for python3, which is not"),
            ("#!/bin/sh\r\necho", "carriage return"),
            ("#!\n", "no program"),
            ("#!/a\x1b[31mb\n", "asks for /ab,"),
            ("echo hello\n", "#!/bin/sh"),
            ("", "#!/bin/sh"),
        ] {
            let found = problem(start.as_bytes(), "Packages", has).unwrap();
            let found = found.unwrap_or_default();
            assert_eq!(part.is_empty(), found.is_empty(), "{start:?}: {found}");
            assert!(found.contains(part), "{start:?}: {found}");
        }
    }
}
