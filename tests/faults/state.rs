//! What is there before and after a build.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mkosi::disk::data_extents;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

/// Files by their paths, each with what is known of it.
pub type State = BTreeMap<PathBuf, String>;

/// How exactly to look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Kind, mode, owner, content.
    Content,
    /// And which file it is, and when it was changed.
    Identity,
}

/// What is below `directory`, the directory left out.
pub fn of(directory: &Path, look: Look) -> State {
    let mut state = State::new();
    for entry in walkdir::WalkDir::new(directory).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        let mut text = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
        if meta.is_symlink() {
            text.push_str(&format!(" {:?}", fs::read_link(entry.path()).unwrap()));
        } else if meta.is_file() {
            let digest = content(entry.path(), meta.size());
            text.push_str(&format!(" {} {digest}", meta.size()));
        }
        if look == Look::Identity {
            text.push_str(&format!(
                " {} {}.{}",
                meta.ino(),
                meta.mtime(),
                meta.mtime_nsec()
            ));
        }
        let path = entry.path().strip_prefix(directory).unwrap();
        state.insert(path.to_owned(), text);
    }
    state
}

/// A digest of a file's content; holes, of which images have gigabytes, are not read.
fn content(path: &Path, size: u64) -> String {
    let file = File::open(path).unwrap();
    let mut hash = Sha256::new();
    let mut block = vec![0; 4096];
    for extent in data_extents(&file, 0, size).unwrap() {
        for at in (extent.start..extent.end).step_by(block.len()) {
            let length = block.len().min((extent.end - at) as usize);
            file.read_exact_at(&mut block[..length], at).unwrap();
            // Zeros are zeros, whether they are in a hole or not.
            if block[..length].iter().any(|byte| *byte != 0) {
                hash.update(at.to_le_bytes());
                hash.update(&block[..length]);
            }
        }
    }
    format!("{:x}", hash.finalize())
}

/// What the two do not have in common, for people; nothing when they are the same.
pub fn difference(one: &State, other: &State) -> Option<String> {
    let mut lines = Vec::new();
    for path in one.keys().chain(other.keys()) {
        let (a, b) = (one.get(path), other.get(path));
        if a != b {
            lines.push(format!("{path:?}: {a:?} / {b:?}"));
        }
    }
    lines.sort();
    lines.dedup();
    lines.truncate(8);
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A build's own part of a project: what it is made from, what it writes, and its cached trees.
pub struct Parts {
    pub sources: State,
    pub output: State,
    pub layers: BTreeMap<String, State>,
}

/// Where builds of these projects write.
const WRITTEN: [&str; 4] = ["output", "cache", "tmp", super::boot::KEYRING];
const STORE: &str = "output/.mkosi-layers";

impl Parts {
    pub fn of(project: &Path, look: Look) -> Self {
        let mut sources = of(project, look);
        let lock = Path::new(".mkosi-lock-cache");
        sources
            .retain(|path, _| path != lock && !WRITTEN.iter().any(|name| path.starts_with(name)));
        let mut output = of(&project.join("output"), look);
        output.retain(|path, _| !path.starts_with(".mkosi-layers"));
        let layers = names(&project.join(STORE)).into_iter().map(|name| {
            let tree = project.join(STORE).join(&name).join("tree");
            let state = if tree.is_dir() {
                of(&tree, look)
            } else {
                State::new()
            };
            (name, state)
        });
        Self {
            sources,
            output,
            layers: layers.collect(),
        }
    }
}

/// Names in a directory, sorted; none where there is none.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What a build left behind where it must not: hidden directories, locks, temporary files.
pub fn leavings(project: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for place in ["", "output", "cache", STORE] {
        let names = names(&project.join(place)).into_iter();
        let hidden = |name: &String| {
            let ours = [".mkosi-work-", ".mkosi-out-", ".mkosi-lock-"];
            ours.iter().any(|prefix| name.starts_with(prefix))
        };
        found.extend(names.filter(hidden).map(|name| format!("{place}/{name}")));
    }
    for layer in names(&project.join(STORE)) {
        for name in names(&project.join(STORE).join(&layer)) {
            if !["tree", "layer.json", "uses.json", "uses.lock"].contains(&name.as_str()) {
                found.push(format!("{layer}/{name}"));
            }
        }
    }
    found.extend(
        names(&project.join("tmp"))
            .into_iter()
            .map(|name| format!("tmp/{name}")),
    );
    found
}

/// Waits until nobody holds a lock in a project whose builds have ended. A process that was killed lets go
/// of its files last, when nothing else of it is to be seen any more.
pub fn wait_for_locks(project: &Path) {
    let begun = Instant::now();
    let is_lock = |name: &str| name == ".lock" || name.starts_with(".mkosi-lock-");
    let files = walkdir::WalkDir::new(project).into_iter().flatten();
    for entry in files.filter(|entry| is_lock(&entry.file_name().to_string_lossy())) {
        let file = File::open(entry.path()).unwrap();
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{:?} stays locked",
                entry.path()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What the host has of a project whose builds have ended: mounts, loop devices, processes. Processes
/// that were killed get a moment to go.
pub fn on_host(project: &Path) -> Vec<String> {
    let name = project.file_name().unwrap().to_string_lossy().into_owned();
    let begun = Instant::now();
    loop {
        let found = look_at_host(&name);
        if found.is_empty() || begun.elapsed() > Duration::from_secs(10) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn look_at_host(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(name))
            .map(|line| format!("mount {line}")),
    );
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        let backing = entry.path().join("loop/backing_file");
        let file = fs::read_to_string(&backing).unwrap_or_default();
        if file.contains(name) {
            found.push(format!("loop device {file}"));
        }
    }
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.parse::<u32>().is_err() || pid == own {
            continue;
        }
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let texts = [
            read("cmdline"),
            read("environ"),
            directory.into_os_string().into_encoded_bytes(),
        ];
        // The agent is gpg's own, and stays to remember a passphrase.
        let is_agent = texts[0].starts_with(b"gpg-agent");
        if is_agent {
            continue;
        }
        if texts
            .iter()
            .any(|text| String::from_utf8_lossy(text).contains(name))
        {
            let line = String::from_utf8_lossy(&texts[0]).replace('\0', " ");
            found.push(format!("process {pid}: {line}"));
        }
    }
    found
}
