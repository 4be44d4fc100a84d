//! What the user asked for.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::config::Request;
use crate::config::values::keyword::keywords;
use crate::tree::adapt::Role;

keywords! {
    /// What to do.
    Verb {
        /// Builds the image.
        Build = "build",
        /// Removes what builds left.
        Clean = "clean",
        /// Prints the configuration.
        Summary = "summary",
        /// Begins a project.
        Init = "init",
        /// Says what this host can do.
        Doctor = "doctor",
        /// Says everything that is wrong with a project.
        Check = "check",
        /// Says what a build would do.
        Plan = "plan",
        /// Says which cached images a build would use, and why not others.
        Why = "why",
        /// Compares two images.
        Diff = "diff",
        /// Runs a shell or a command in the image.
        Shell = "shell",
        /// Boots the image in a container.
        Boot = "boot",
        /// Boots the image in a virtual machine.
        Qemu = "qemu",
        /// Logs in to the running image.
        Ssh = "ssh",
        /// Prints a secret.
        Secret = "secret",
        /// Reveals all secrets.
        Secrets = "secrets",
        /// Records the modes of files, or applies them.
        Modes = "modes",
        /// Makes a key to sign with.
        Genkey = "genkey",
        /// Makes a shell complete command lines.
        Completion = "completion",
        /// Explains the command line.
        Help = "help",
        /// Prints the version; has no word of its own but `--version`.
        Version = "version",
    }
}

impl Verb {
    /// The verbs that can be written, with what each does.
    pub const WORDS_AND_HELP: &'static [(Self, &'static str)] = &[
        (
            Self::Build,
            "Build the image (what happens when no verb is given)",
        ),
        (
            Self::Clean,
            "Remove what builds wrote; -f: cached images and build directory too; -ff: package cache too",
        ),
        (Self::Summary, "Print the whole configuration"),
        (
            Self::Init,
            "Begin a project: write mkosi.default for this host, with what flags say; never over a file",
        ),
        (
            Self::Check,
            "Say everything that is wrong: settings, files, scripts, packages, and what this host lacks",
        ),
        (
            Self::Plan,
            "Say what a build would do, step by step, and what this host lacks for it; does none of it",
        ),
        (
            Self::Why,
            "Say which cached images a build would use, and what changed for those it would not",
        ),
        (
            Self::Doctor,
            "Say what this host can build and run, and the command that installs what it lacks",
        ),
        (
            Self::Diff,
            "Compare two images of any form, by package and by file; with one, with the project's image",
        ),
        (
            Self::Shell,
            "Run a shell, or the given command, in the image; build it first if needed",
        ),
        (
            Self::Boot,
            "Boot the image in a container; arguments go to its init system",
        ),
        (
            Self::Qemu,
            "Boot the image in a virtual machine; arguments go to qemu",
        ),
        (
            Self::Ssh,
            "Log in to the image that `boot` or `qemu` runs, or run a command in it; takes Ssh=yes",
        ),
        (
            Self::Genkey,
            "Make a key and a certificate for SecureBoot; -f: in place of those that are there",
        ),
        (Self::Secret, "Print the secret of this name"),
        (
            Self::Secrets,
            "Write all secrets to files in a directory, for --revealed",
        ),
        (
            Self::Modes,
            "Note the modes of the trees' files, which git does not keep (record), or set them again (apply)",
        ),
        (
            Self::Completion,
            "Print what makes a shell complete this program's command lines: bash, zsh, fish or elvish",
        ),
        (Self::Help, "Say what every verb and flag is for"),
    ];

    /// Whether the words after the verb are names, so that what begins with a dash is an option.
    #[must_use]
    pub const fn takes_only_names(self) -> bool {
        matches!(self, Self::Diff)
    }

    /// What may follow the verb, as manuals write it; nothing where nothing may.
    #[must_use]
    pub const fn arguments(self) -> &'static str {
        match self {
            Self::Diff => "A [B]",
            Self::Shell | Self::Ssh => "[COMMAND…]",
            Self::Boot | Self::Qemu => "[ARGUMENT…]",
            Self::Secret => "NAME",
            Self::Secrets => "reveal DIR",
            Self::Modes => "record|apply",
            Self::Completion => "SHELL",
            Self::Build
            | Self::Clean
            | Self::Summary
            | Self::Init
            | Self::Doctor
            | Self::Check
            | Self::Plan
            | Self::Why
            | Self::Genkey
            | Self::Help
            | Self::Version => "",
        }
    }

    /// Whether words after the verb mean something.
    #[must_use]
    pub const fn takes_arguments(self) -> bool {
        !self.arguments().is_empty()
    }
}

keywords! {
    /// How running work is shown.
    Progress {
        /// For people on a terminal, plain lines elsewhere.
        Auto = "auto",
        /// With moving bars.
        Terminal = "terminal",
        /// A line for each thing that happens.
        Plain = "plain",
        /// A line of JSON for each thing that happens.
        Json = "json",
    }
}

/// Options that are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globals {
    /// Change there before anything else.
    pub directory: Option<PathBuf>,
    /// Do it for every settings file of `all_directory`.
    pub all: bool,
    /// Where `all` looks; relative to `directory`.
    pub all_directory: PathBuf,
    /// How many images `all` builds at a time; as many as there are processors when not given.
    pub jobs: Option<NonZeroUsize>,
    /// Print every command that is run.
    pub debug_run: bool,
    /// Answer in JSON.
    pub json: bool,
    /// How running work is shown.
    pub progress: Progress,
    /// Say more.
    pub verbose: bool,
    /// Keep the working directory of a build that fails.
    pub keep: bool,
    /// Write a page about where time and space went.
    pub timings: Timings,
    /// Wait for another run that uses the output.
    pub wait: bool,
    /// Write the packages that a build takes to the lock file.
    pub update_lock: bool,
}

/// Whether and where a page about a build is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Timings {
    /// None is.
    #[default]
    No,
    /// Beside the image.
    Beside,
    /// There.
    At(PathBuf),
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            directory: None,
            all: false,
            all_directory: "mkosi.files".into(),
            jobs: None,
            debug_run: false,
            json: false,
            progress: Progress::Auto,
            verbose: false,
            keep: false,
            timings: Timings::No,
            wait: false,
            update_lock: false,
        }
    }
}

/// What only a call as `makeimg` can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Makeimg {
    /// The words that are no options: directories with input files, or where the image goes.
    pub directories: Vec<PathBuf>,
    /// What counts instead of the `format` of an IMGBUILD.
    pub format: Option<String>,
    /// The input files to list, by their roles, instead of building.
    pub list: Vec<Role>,
}

/// A command line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub verb: Verb,
    /// What to pass on; only with verbs that pass something on.
    pub arguments: Vec<OsString>,
    /// The settings file and the flags that are settings.
    pub request: Request,
    /// The other options.
    pub globals: Globals,
    /// Set where the program was called as `makeimg`.
    pub makeimg: Option<Makeimg>,
}
