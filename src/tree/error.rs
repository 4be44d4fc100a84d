//! What can go wrong while a tree is changed.

use std::io;

use crate::host::abridged;

/// Why a change of an image's tree, or a look into it, failed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done: a verb that fits after "cannot".
        action: &'static str,
        /// To what.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The kernel cannot resolve paths beneath a directory.
    #[error(
        "cannot work on {path}: the kernel refuses openat2, which keeps every path inside the image \
         (Linux 5.6 or later has it; a container's system call filter may hide it)"
    )]
    NoOpenat2 {
        /// The image's root.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A path that no file inside an image can have.
    #[error("{path} is not a path inside an image: {why}")]
    BadPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something of another kind has the name that is needed.
    #[error("cannot put {what} at {path}: {found} is there already")]
    InTheWay {
        /// What should be there, with its article.
        what: &'static str,
        /// Where.
        path: String,
        /// What is there, with its article.
        found: &'static str,
    },
    /// Nothing in the image would let anybody in.
    #[error(
        "the image has no ssh server that systemd could start (ssh.service or sshd.service): add the \
         distribution's package of one to Packages="
    )]
    NoSshServer,
    /// What is gone cannot be told from what did not change.
    #[error(
        "cannot write at {path} that it is gone: that takes a device file, which root may make, but on no \
         overlay; choose another WorkspaceDirectory="
    )]
    NoMarks {
        /// What is gone, where the changes are collected.
        path: String,
    },
    /// A removal came upon a mount point.
    #[error("will not remove {path}: something is mounted there")]
    MountPoint {
        /// The mount point.
        path: String,
    },
    /// A source tree holds the image that it is copied to.
    #[error("cannot copy {path}: it holds the image's own tree, {root}")]
    CopiesItself {
        /// The directory of the source.
        path: String,
        /// The image's root.
        root: String,
    },
    /// A source tree is nested too deeply.
    #[error(
        "cannot copy {}: it is more than {limit} directories deep",
        abridged(path)
    )]
    TooDeep {
        /// The directory.
        path: String,
        /// How many levels are copied.
        limit: usize,
    },
    /// Files are nearly all holes, where those cannot stay holes.
    #[error(
        "{path} has holes of {size}: {why}, and all holes of the tree may have {most}; make it \
         shorter, or leave it out with RemoveFiles="
    )]
    Holes {
        /// The file with the largest ones.
        path: String,
        /// How large these are.
        size: String,
        /// Why they matter.
        why: &'static str,
        /// How large all of them may be.
        most: String,
    },
    /// A file that should be short is not.
    #[error("will not read {path}: it is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An archive, or a member of it, that must not or cannot be extracted.
    #[error("{archive}: {place}{problem}")]
    Archive {
        /// The archive's path.
        archive: String,
        /// `member NAME: `, or nothing when the problem is not a member's.
        place: String,
        /// What is wrong.
        problem: String,
        /// The system's or the decompressor's reason, where there is one.
        #[source]
        source: Option<io::Error>,
    },
    /// A patch that does not fit.
    #[error("cannot apply {patch} to {path}: {problem}")]
    Patch {
        /// The patch's file.
        patch: String,
        /// The file of the image.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A password that cannot be set.
    #[error("cannot set the password: {why}")]
    Password {
        /// Why; never holds the password.
        why: String,
    },
    /// A host name that no system accepts.
    #[error("{name:?} is not a host name: {why}")]
    HostName {
        /// The name as given.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A machine id of the wrong form.
    #[error("{id:?} is not a machine ID: it needs 32 hexadecimal digits, not all of them zero")]
    MachineId {
        /// The id as given.
        id: String,
    },
    /// A value that os-release cannot hold.
    #[error("{key}={value:?} cannot be written to os-release: it holds a control character")]
    OsRelease {
        /// The variable.
        key: &'static str,
        /// The value as given.
        value: String,
    },
    /// A pattern of files to remove that cannot be understood.
    #[error("cannot understand the file pattern {pattern:?}: {why}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The build was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl TreeError {
    /// An error of the system, in one line.
    pub(crate) fn io(action: &'static str, path: String, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}

/// Stops when stopping was asked for.
pub(crate) fn check(cancel: &crate::host::Cancel) -> Result<(), TreeError> {
    if cancel.is_cancelled() {
        return Err(TreeError::Cancelled);
    }
    Ok(())
}
