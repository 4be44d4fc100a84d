//! What is known of one setting besides its type: names, flags, and when it matters.

use super::Config;

/// A section of a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What is installed.
    Distribution,
    /// What is written.
    Output,
    /// What goes into the image.
    Packages,
    /// Sizes.
    Partitions,
    /// Check sums, signatures, passwords.
    Validation,
    /// How the build host is used.
    Host,
}

impl Section {
    /// Every section, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Distribution,
        Self::Output,
        Self::Packages,
        Self::Partitions,
        Self::Validation,
        Self::Host,
    ];

    /// The name between the brackets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Distribution => "Distribution",
            Self::Output => "Output",
            Self::Packages => "Packages",
            Self::Partitions => "Partitions",
            Self::Validation => "Validation",
            Self::Host => "Host",
        }
    }

    /// The section that a name between brackets stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        // Newer files of the same language call it so.
        let name = if name == "Content" { "Packages" } else { name };
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// Files of a project that set a setting by being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto {
    /// None.
    Nothing,
    /// The first of these regular files.
    File(&'static [&'static str]),
    /// As `File`; it must be executable.
    Script(&'static str),
    /// The first of these regular files; it must be readable by its owner alone.
    SecretFile(&'static [&'static str]),
    /// The text of this regular file, which must be readable by its owner alone.
    SecretText(&'static str),
    /// This directory.
    Directory(&'static str),
    /// This directory, and the archive of the same name with `.tar`.
    Tree(&'static str),
}

/// A condition on the finished configuration.
pub type Condition = fn(&Config) -> bool;

/// One row of the settings table, without its type.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The section it is in.
    pub section: Section,
    /// Its name in settings files, the summary and JSON.
    pub name: &'static str,
    /// Other names in settings files.
    pub aliases: &'static [&'static str],
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// Other spellings of the flag.
    pub flag_aliases: &'static [&'static str],
    /// Its letter.
    pub short: Option<char>,
    /// Whether the flag says no, as `--without-tests` does.
    pub negated: bool,
    /// What the flag means without a value, for settings that are not simply yes or no.
    pub bare: &'static str,
    /// The default in words, where it is not a plain value.
    pub default_text: &'static str,
    /// Project files that set it.
    pub auto: Auto,
    /// What a build would need to honour it, if a build cannot.
    pub later: Option<&'static str>,
    /// When the setting has an effect, and what it needs in words; no words: only verbs other than
    /// `build` look at it.
    pub needs: Option<(Condition, &'static str)>,
}

/// The flag's own word when no other is given.
const fn spec(section: Section, name: &'static str, flag: &'static str) -> Spec {
    Spec {
        section,
        name,
        aliases: &[],
        flag,
        flag_aliases: &[],
        short: None,
        negated: false,
        bare: "yes",
        default_text: "",
        auto: Auto::Nothing,
        later: None,
        needs: None,
    }
}

macro_rules! section_constructors {
    ($($function:ident $section:ident),+) => { $(
        /// A setting of this section.
        pub(super) const fn $function(name: &'static str, flag: &'static str) -> Spec {
            spec(Section::$section, name, flag)
        }
    )+ };
}

section_constructors!(
    distribution Distribution, output Output, packages Packages, partitions Partitions,
    validation Validation, host Host
);

impl Spec {
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    pub(super) const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    pub(super) const fn also_flags(mut self, flags: &'static [&'static str]) -> Self {
        self.flag_aliases = flags;
        self
    }

    pub(super) const fn negated(mut self) -> Self {
        self.negated = true;
        self
    }

    pub(super) const fn bare(mut self, value: &'static str) -> Self {
        self.bare = value;
        self
    }

    pub(super) const fn default_text(mut self, text: &'static str) -> Self {
        self.default_text = text;
        self
    }

    pub(super) const fn auto(mut self, auto: Auto) -> Self {
        self.auto = auto;
        self
    }

    pub(super) const fn later(mut self, what: &'static str) -> Self {
        self.later = Some(what);
        self
    }

    pub(super) const fn needs(mut self, what: &'static str, condition: Condition) -> Self {
        self.needs = Some((condition, what));
        self
    }

    pub(super) const fn not_for_builds(mut self) -> Self {
        self.needs = Some((|_| false, ""));
        self
    }

    /// Whether the setting changes what a build does.
    #[must_use]
    pub fn matters(&self, config: &Config) -> bool {
        self.needs.is_none_or(|(condition, _)| condition(config))
    }
}
