//! Settings that are one of a few words: an enum, its words, and how to read them.

use super::BadValue;
use crate::config::suggest;

/// Finds the variant that `text` names; otherwise says what is accepted, and what is near.
pub(crate) fn choose<T: Copy>(
    text: &str,
    words: &[(&'static str, T)],
    accepted: &str,
) -> Result<T, BadValue> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let near = suggest::nearest(text, words.iter().map(|(word, _)| *word))
        .map(|word| format!("; did you mean {word}?"))
        .unwrap_or_default();
    Err(BadValue(format!("expected {accepted}{near}")))
}

/// `a, b or c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("one of {} or {last}", first.join(", ")),
    }
}

/// Defines an enum of words: the first word of each variant is its name, the others are accepted.
macro_rules! keywords {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $word:literal $(| $alias:literal)* ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$vmeta])* $variant ),+ }

        impl $name {
            /// Every variant, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),+];
            /// The word of every variant.
            pub const NAMES: &'static [&'static str] = &[$( $word ),+];
            const WORDS: &'static [(&'static str, Self)] =
                &[$( ($word, Self::$variant) $(, ($alias, Self::$variant))* ),+];

            /// The word that stands for it in settings.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }

            /// Finds the variant that a word names.
            ///
            /// # Errors
            /// It is none of the words; the nearest one is named.
            pub fn from_word(text: &str) -> Result<Self, $crate::config::values::BadValue> {
                $crate::config::values::keyword::choose(
                    text,
                    Self::WORDS,
                    &$crate::config::values::keyword::one_of(Self::NAMES),
                )
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Makes an enum of words a setting whose text is exactly one of them.
macro_rules! keyword_value {
    ($($name:ident),+) => { $(
        impl $crate::config::values::Value for $name {
            fn metavar() -> String {
                Self::NAMES.join("|")
            }

            fn parse(
                text: &str,
                _: $crate::config::values::Place,
                _: &$crate::config::Context,
            ) -> Result<Self, $crate::config::values::BadValue> {
                Self::from_word(text)
            }

            fn to_json(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    )+ };
}

pub(crate) use {keyword_value, keywords};
