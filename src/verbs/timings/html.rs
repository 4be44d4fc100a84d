//! Text on its way to becoming HTML: what is not written in this program's source is always escaped.

use std::fmt::Write as _;

use serde::Serialize;

/// A page, or a part of one.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Markup. Only what stands in the source can be that.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or the value of an attribute in quotes: nothing in it is markup.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Not allowed in HTML, whatever they would do.
                c if c.is_control() => self.0.push('\u{fffd}'),
                // They would turn the text around them.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        self
    }

    /// A part of a whole in per cent, for styles.
    pub fn percent(&mut self, part: f64) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{:.3}%", part * 100.0);
        self
    }

    /// A whole number.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let _ = write!(self.0, "{}", number.into());
        self
    }

    /// Data for programs, as the content of a script element that is not run.
    ///
    /// # Errors
    /// When it cannot be expressed as JSON.
    pub fn json(&mut self, data: &impl Serialize) -> serde_json::Result<&mut Self> {
        // Nothing may end the element or begin a comment in it. In JSON these characters only occur
        // in strings, where they can be written otherwise.
        for c in serde_json::to_string(data)?.chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        Ok(self)
    }

    /// The whole text.
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the text is: no tag, no end of an attribute, no control character, and what a
        /// browser reads of it is the text.
        #[test]
        fn text_is_never_markup(text in "\\PC*|[<>&\"'`=/a-z -]*") {
            let mut html = Html::default();
            html.text(&text);
            let html = html.into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
            let read = html
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            let expected: String = text
                .chars()
                .map(|c| match c {
                    '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
                    c => c,
                })
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn json_is_read_as_it_was(text in any::<String>()) {
            let mut html = Html::default();
            html.json(&text).unwrap();
            let html = html.into_string();
            prop_assert!(!html.contains(['<', '>', '&']), "{html}");
            prop_assert_eq!(serde_json::from_str::<String>(&html).unwrap(), text);
        }
    }

    #[test]
    fn what_html_does_not_allow_is_replaced() {
        let mut html = Html::default();
        html.text("a\u{1b}[31m\0b\u{202e}c\nd");
        assert_eq!(html.into_string(), "a\u{fffd}[31m\u{fffd}b\u{fffd}c\nd");
    }
}
