//! Asks git which files are sources, never with more rights than the owner of the working tree has.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::SourcesError;
use super::list::List;
use crate::host::{CallingUser, Command, CommandError, Host, Stdout, is_root, printable_path};
use crate::tree::{Kind, Root};

/// How many repositories within each other are followed.
const MAX_DEPTH: usize = 32;

/// The mode that the index gives a submodule.
const SUBMODULE: &[u8] = b"160000";

/// A repository decides by its own settings which programs git starts: none may be started here.
/// Nothing is written, fetched or asked, either.
const HARMLESS: [&str; 4] = [
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
];
const QUIET: [(&str, &str); 4] = [
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1"),
];

/// The files in the directory `top` that git tracks, those of submodules included, and with `others`
/// those that it neither tracks nor ignores.
pub(super) fn list(top: &Path, others: bool, host: &Host) -> Result<List, SourcesError> {
    let mut git = Git {
        top,
        root: Root::open(top)?,
        user: if is_root() { owner(top)? } else { None },
        others,
        host,
        list: List::default(),
    };
    git.repository(Path::new(""), 0)?;
    if git.list.is_empty() {
        host.report.warn(&format!(
            "git knows no file in {}: `git add` what belongs to the sources, or use \
             SourceFileTransfer=copy-all",
            printable_path(top)
        ));
    }
    Ok(git.list)
}

/// The commit that is checked out in the git working tree `top`; none where nothing was committed yet.
///
/// # Errors
/// When git was interrupted.
pub fn commit(top: &Path, host: &Host) -> Result<Option<String>, SourcesError> {
    let user = if is_root() { owner(top)? } else { None };
    let command = harmless(user.as_ref(), top).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
    match host.run(command) {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let name = Some(text.trim()).filter(|name| !name.is_empty());
            Ok(name.filter(is_name).map(str::to_owned))
        }
        Err(CommandError::Cancelled) => Err(SourcesError::Cancelled),
        Err(_) => Ok(None),
    }
}

/// git in a directory, for its output, without what could do harm.
fn harmless(user: Option<&CallingUser>, directory: &Path) -> Command {
    let command = match user {
        Some(user) => user.command("git"),
        None => Command::new("git"),
    };
    let command = command.clean_env().args(HARMLESS);
    QUIET
        .into_iter()
        .fold(command, |command, (name, value)| command.env(name, value))
        .current_dir(directory)
        .stdout(Stdout::Capture)
}

/// Who owns the working tree, if that is not root. Where the tree is root's and the repository is not,
/// whoever owns the repository: its settings are theirs.
fn owner(top: &Path) -> Result<Option<CallingUser>, SourcesError> {
    let unreadable = |source: io::Error| SourcesError::Unreadable {
        path: top.to_owned(),
        source,
    };
    let top = top.canonicalize().map_err(unreadable)?;
    let mut uid = top.metadata().map_err(unreadable)?.uid();
    if uid == 0 {
        let mut repositories = top.ancestors().map(|dir| dir.join(".git"));
        let repository = repositories.find_map(|path| path.metadata().ok());
        uid = repository.map_or(0, |found| found.uid());
    }
    Ok(CallingUser::with_uid(uid))
}

struct Git<'a> {
    top: &'a Path,
    root: Root,
    user: Option<CallingUser>,
    others: bool,
    host: &'a Host,
    list: List,
}

impl Git<'_> {
    /// Adds what the repository at `at`, relative to the top, has to add.
    fn repository(&mut self, at: &Path, depth: usize) -> Result<(), SourcesError> {
        if depth > MAX_DEPTH {
            return Err(SourcesError::TooDeep {
                path: self.top.join(at),
                limit: MAX_DEPTH,
            });
        }
        let mut within = Vec::new();
        let cached = self.ls_files(at, &["--cached", "--stage"])?;
        for entry in names(&cached) {
            let Some((name, is_submodule)) = staged(entry) else {
                continue;
            };
            let path = at.join(name);
            if is_submodule {
                within.push(path);
            } else {
                self.list.add(path);
            }
        }
        if self.others {
            let untracked = self.ls_files(at, &["--others", "--exclude-standard"])?;
            for name in names(&untracked) {
                match name.strip_suffix(b"/") {
                    // Another repository, not known as a submodule.
                    Some(name) => within.push(at.join(OsStr::from_bytes(name))),
                    None => self.list.add(at.join(OsStr::from_bytes(name))),
                }
            }
        }
        within.sort();
        within.dedup();
        for path in within {
            self.nested(path, depth)?;
        }
        Ok(())
    }

    /// A repository in the working tree of another.
    fn nested(&mut self, path: PathBuf, depth: usize) -> Result<(), SourcesError> {
        if !is_plain_directory(&self.root, &path)? {
            // Removed, or something else by now.
            return Ok(());
        }
        self.list.add_directory(path.clone());
        if self.root.exists(path.join(".git"))? {
            return self.repository(&path, depth + 1);
        }
        // git itself would take the files of the outer repository for this one's.
        self.host.report.warn(&format!(
            "the submodule {} is not checked out, so it is empty in the image; \
             `git submodule update --init --recursive` checks all of them out",
            printable_path(path)
        ));
        Ok(())
    }

    fn ls_files(&self, at: &Path, what: &[&str]) -> Result<Vec<u8>, SourcesError> {
        let command = harmless(self.user.as_ref(), &self.top.join(at))
            .args(["ls-files", "-z", "--no-recurse-submodules"])
            .args(what);
        let output = self.host.run(command);
        output.map(|o| o.stdout).map_err(|e| self.explain(at, e))
    }

    fn explain(&self, at: &Path, source: CommandError) -> SourcesError {
        let path = self.top.join(at);
        let said = match &source {
            CommandError::Cancelled => return SourcesError::Cancelled,
            CommandError::Failed { tail, .. } => tail.as_str(),
            _ => "",
        };
        // These are said in the C locale.
        if said.contains("not a git repository") || said.contains("must be run in a work tree") {
            SourcesError::NotGit { path }
        } else if said.contains("dubious ownership") {
            SourcesError::Untrusted { path }
        } else {
            SourcesError::Git { path, source }
        }
    }
}

/// Whether the path is a directory that no symbolic link leads to: git does not look behind links.
fn is_plain_directory(root: &Root, path: &Path) -> Result<bool, SourcesError> {
    for above in path.ancestors().filter(|above| *above != Path::new("")) {
        let found = root.metadata(above)?;
        if found.is_none_or(|found| found.kind != Kind::Directory) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What stands between null bytes.
fn names(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
}

/// The name in `MODE OBJECT STAGE\tNAME`, and whether it is a submodule's.
fn staged(entry: &[u8]) -> Option<(&OsStr, bool)> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let (head, name) = entry.split_at(tab);
    let name = OsStr::from_bytes(name.get(1..)?);
    Some((name, head.starts_with(SUBMODULE)))
}
