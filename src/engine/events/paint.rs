//! Colours and signs, where the terminal and the user want them.

use std::env;

/// How text is decorated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) colour: bool,
    pub(super) unicode: bool,
}

impl Paint {
    /// As the environment asks for: no colours with a non-empty `NO_COLOR`, signs beyond ASCII only
    /// in a UTF-8 locale.
    pub(super) fn from_environment() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        Self {
            colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn warning(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn done(self) -> String {
        self.with("32", if self.unicode { "✓" } else { "+" })
    }

    pub(super) fn failed(self) -> String {
        self.with("31", if self.unicode { "✗" } else { "x" })
    }

    /// What a spinner shows, in order; the last one when it stands still.
    pub(super) fn spinner(self) -> &'static str {
        if self.unicode {
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
        } else {
            "|/-\\ "
        }
    }

    /// Done, about to be done, to do.
    pub(super) fn bar(self) -> &'static str {
        if self.unicode { "━╸ " } else { "=> " }
    }
}
