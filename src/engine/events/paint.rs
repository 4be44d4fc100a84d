//! Colours and signs, where the terminal and the user want them.

use std::env;
use std::io::{IsTerminal as _, stderr, stdout};

/// Whether `TERM` is of a terminal that can do more than print.
pub(super) fn is_capable() -> bool {
    env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// How text is decorated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) colour: bool,
    pub(crate) unicode: bool,
}

impl Paint {
    /// As the environment asks for: no colours with a non-empty `NO_COLOR` or on a dumb terminal, signs beyond
    /// ASCII only in a UTF-8 locale.
    pub(crate) fn from_environment() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        Self {
            colour: is_capable() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// As the environment asks for, without colours where standard output is no terminal.
    pub(crate) fn on_stdout() -> Self {
        Self::from_environment().colourful_if(stdout().is_terminal())
    }

    /// As the environment asks for, without colours where standard error is no terminal.
    pub(crate) fn on_stderr() -> Self {
        Self::from_environment().colourful_if(stderr().is_terminal())
    }

    fn colourful_if(self, is_terminal: bool) -> Self {
        Self {
            colour: self.colour && is_terminal,
            ..self
        }
    }

    /// Neither colours nor signs.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        colour: false,
        unicode: false,
    };

    fn with(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// Between what was and what is.
    pub(crate) fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    pub(crate) fn done(self) -> String {
        self.good(if self.unicode { "✓" } else { "+" })
    }

    pub(crate) fn failed(self) -> String {
        self.bad(if self.unicode { "✗" } else { "x" })
    }

    /// What a spinner shows, in order; the last one when it stands still.
    pub(crate) fn spinner(self) -> &'static str {
        if self.unicode {
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
        } else {
            "|/-\\ "
        }
    }

    /// Of a bar: done, about to be done, to do.
    pub(crate) fn bar(self) -> [&'static str; 3] {
        if self.unicode {
            ["━", "╸", " "]
        } else {
            ["=", ">", " "]
        }
    }
}
