//! The options that are no settings.

use crate::config::values::Shape;

/// Which option it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Directory,
    Default,
    All,
    AllDirectory,
    Jobs,
    Debug,
    Json,
    Progress,
    Verbose,
    Keep,
    Timings,
    Wait,
    UpdateLock,
    Version,
    Help,
}

/// One option.
#[derive(Debug)]
pub(super) struct GlobalOption {
    pub id: Id,
    pub flag: &'static str,
    pub short: Option<char>,
    pub shape: Shape,
    pub metavar: &'static str,
    pub help: &'static str,
}

const fn word(
    id: Id,
    flag: &'static str,
    metavar: &'static str,
    help: &'static str,
) -> GlobalOption {
    GlobalOption {
        id,
        flag,
        short: None,
        shape: Shape::Word,
        metavar,
        help,
    }
}

const fn switch(id: Id, flag: &'static str, help: &'static str) -> GlobalOption {
    GlobalOption {
        id,
        flag,
        short: None,
        shape: Shape::Switch,
        metavar: "BOOL",
        help,
    }
}

const fn short(letter: char, mut option: GlobalOption) -> GlobalOption {
    option.short = Some(letter);
    option
}

/// Every option that is no setting.
pub(super) static OPTIONS: &[GlobalOption] = &[
    short(
        'C',
        word(
            Id::Directory,
            "directory",
            "PATH",
            "Change there before anything else",
        ),
    ),
    word(
        Id::Default,
        "default",
        "PATH",
        "The settings file (default: mkosi.default; PATH.d/ is read too)",
    ),
    short(
        'a',
        switch(
            Id::All,
            "all",
            "Do it for every mkosi.* file of the all-directory",
        ),
    ),
    word(
        Id::AllDirectory,
        "all-directory",
        "PATH",
        "Where --all looks (default: mkosi.files)",
    ),
    short(
        'j',
        word(
            Id::Jobs,
            "jobs",
            "NUMBER",
            "How many images --all builds at a time (default: the number of processors)",
        ),
    ),
    GlobalOption {
        id: Id::Debug,
        flag: "debug",
        short: None,
        shape: Shape::Switch,
        metavar: "run",
        help: "Print every command that is run",
    },
    switch(Id::Json, "json", "Answer in JSON"),
    word(
        Id::Progress,
        "progress",
        "HOW",
        "How to show running work: auto, terminal, plain or json (default: auto)",
    ),
    short(
        'v',
        switch(
            Id::Verbose,
            "verbose",
            "Say more; with summary: where each value came from",
        ),
    ),
    switch(
        Id::Keep,
        "keep",
        "Keep the working directory of a build that fails, to look into",
    ),
    GlobalOption {
        id: Id::Timings,
        flag: "timings",
        short: None,
        shape: Shape::Switch,
        metavar: "PATH",
        help: "Write a page about where time and space went (default: OUTPUT.timings.html)",
    },
    switch(
        Id::Wait,
        "wait",
        "Wait for another run that builds the same output, instead of failing",
    ),
    switch(
        Id::UpdateLock,
        "update-lock",
        "Write the lock file: the packages of this build, each with its version and checksum",
    ),
    switch(Id::Version, "version", "Print the version"),
    short(
        'h',
        switch(Id::Help, "help", "Say what every verb and flag is for"),
    ),
];
