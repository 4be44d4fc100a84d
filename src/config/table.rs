//! Turns the rows of `settings.rs` into the `Config` type and the table that everything else reads.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::values::{BadValue, Place, Shape, Value};
use super::{Config, Context, Origin, Spec};
use crate::config::settings::Layer;

/// One text for one setting.
#[derive(Clone, Debug)]
pub(super) struct Assignment<'a> {
    /// Without white space around it.
    pub text: &'a str,
    pub place: Place,
    pub origin: Origin,
}

/// One setting: its names and what its type can do.
pub struct Row {
    /// Names, flags, and when it matters.
    pub spec: Spec,
    /// What it is for, for `--help`.
    pub help: &'static str,
    /// How its flag takes a value.
    pub shape: Shape,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// What stands for its value in `--help`.
    pub metavar: fn() -> String,
    /// Its value for machines.
    pub json: fn(&Config) -> Json,
    /// Its value for people, one line for each part.
    pub lines: fn(&Config) -> Vec<String>,
    /// The host's files that its value names.
    pub paths: fn(&Config) -> Vec<PathBuf>,
    pub(super) assign: fn(&mut Layer, &Assignment<'_>, &Context) -> Result<(), BadValue>,
    pub(super) is_set: fn(&Layer) -> bool,
}

/// What one layer of settings says about one setting.
#[derive(Clone, Debug)]
pub(super) struct Slot<T> {
    pub value: Option<T>,
    pub origins: Vec<Origin>,
    pub text: Option<String>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: None,
            origins: Vec::new(),
            text: None,
        }
    }
}

impl<T: Value> Slot<T> {
    pub fn assign(
        &mut self,
        assignment: &Assignment<'_>,
        context: &Context,
    ) -> Result<(), BadValue> {
        let Assignment {
            text,
            place,
            origin,
        } = assignment;
        if text.is_empty() && !T::EMPTY_IS_VALUE {
            *self = Self::default();
            return Ok(());
        }
        let value = T::parse(text, *place, context)?;
        match self.value.as_mut() {
            Some(before) => before.add(value, *place),
            None => self.value = Some(value),
        }
        if T::SHAPE != Shape::List {
            self.origins.clear();
        }
        self.origins.push(origin.clone());
        self.text = (!T::SECRET).then(|| (*text).to_owned());
        Ok(())
    }

    /// What holds when this is the command line's word and `files` that of the files.
    pub fn over(self, files: Self) -> Self {
        match (self.value, files.value) {
            (None, value) => Self {
                value,
                origins: files.origins,
                text: files.text,
            },
            (value, None) => Self {
                value,
                origins: self.origins,
                text: self.text,
            },
            (Some(ours), Some(theirs)) => {
                let mut origins = self.origins;
                if T::SHAPE == Shape::List {
                    origins.extend(files.origins);
                }
                Self {
                    value: Some(theirs.override_with(ours)),
                    origins,
                    text: self.text,
                }
            }
        }
    }
}

/// `settings! { (cx) /// help… field: Type = default => spec; … }`: a field of `Config` and a row
/// of the table for each. A default may use the fields before it and the context `cx`.
macro_rules! settings {
    (($cx:ident) $(
        $(#[doc = $help:literal])+
        $field:ident : $type:ty = $default:expr => $spec:expr;
    )+) => {
        /// Everything that is set, resolved and checked. Nothing else about settings is looked at
        /// after this is made. Paths are absolute.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $help])+ pub $field: $type, )+
            /// Where each value came from.
            pub origins: $crate::config::Origins,
            /// What belongs to the project without being a setting.
            pub project: $crate::config::Project,
        }

        /// What one place says about the settings.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Layer {
            $( pub(super) $field: $crate::config::table::Slot<$type>, )+
        }

        impl Layer {
            /// What holds when this is the command line's word and `files` that of the files.
            pub(super) fn over(self, files: Self) -> Self {
                Self { $( $field: self.$field.over(files.$field), )+ }
            }

            /// Fills in the defaults.
            pub(super) fn with_defaults(
                self,
                $cx: &$crate::config::Context,
                project: $crate::config::Project,
            ) -> Config {
                let mut traces = Vec::with_capacity(SETTINGS.len());
                $(
                    let fallback: $type = $default;
                    let mut slot = self.$field;
                    if let Some(value) = &mut slot.value {
                        $crate::config::values::Value::settle(value);
                    }
                    traces.push($crate::config::origin::Trace {
                        origins: slot.origins,
                        text: slot.text,
                        differs: slot.value.as_ref().is_some_and(|value| *value != fallback),
                    });
                    let $field: $type = slot.value.unwrap_or(fallback);
                )+
                Config { $( $field, )+ origins: $crate::config::Origins(traces), project }
            }
        }

        /// Every setting, in the order in which they are shown within their sections.
        pub static SETTINGS: &[$crate::config::Row] = &[ $( $crate::config::Row {
            spec: $spec,
            help: concat!($($help),+),
            shape: <$type as $crate::config::values::Value>::SHAPE,
            secret: <$type as $crate::config::values::Value>::SECRET,
            metavar: <$type as $crate::config::values::Value>::metavar,
            json: |config| $crate::config::values::Value::to_json(&config.$field),
            lines: |config| $crate::config::values::Value::to_lines(&config.$field),
            paths: |config| $crate::config::values::Value::paths(&config.$field),
            assign: |layer, assignment, context| layer.$field.assign(assignment, context),
            is_set: |layer| layer.$field.value.is_some(),
        }, )+ ];
    };
}

pub(super) use settings;
