//! Compression inside the file system, and of the finished image.

use serde_json::Value as Json;

use super::keyword::{choose, keywords, one_of};
use super::{BadValue, Place, Shape, Value, boolean, parse_switch};
use crate::config::Context;

keywords! {
    /// Compression inside the file system.
    Compression {
        /// None.
        Off = "no",
        /// With the file system's usual algorithm.
        On = "yes",
        /// zlib (`gzip`).
        Zlib = "zlib",
        /// LZO.
        Lzo = "lzo",
        /// Zstandard.
        Zstd = "zstd",
        /// LZ4.
        Lz4 = "lz4",
        /// xz.
        Xz = "xz",
    }
}

keywords! {
    /// The compressor of the finished image.
    CompressOutput {
        /// xz.
        Xz = "xz",
        /// Zstandard.
        Zstd = "zstd" | "zst",
        /// gzip.
        Gz = "gz" | "gzip",
        /// bzip2.
        Bz2 = "bz2" | "bzip2",
    }
}

const ALGORITHMS: &[(&str, Compression)] = &[
    ("zlib", Compression::Zlib),
    ("lzo", Compression::Lzo),
    ("zstd", Compression::Zstd),
    ("lz4", Compression::Lz4),
    ("xz", Compression::Xz),
];

impl Value for Compression {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL|zlib|lzo|zstd|lz4|xz".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        match boolean(text) {
            Some(true) => Ok(Self::On),
            Some(false) => Ok(Self::Off),
            None => choose(text, ALGORITHMS, "yes, no, zlib, lzo, zstd, lz4 or xz"),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Off => false.into(),
            Self::On => true.into(),
            algorithm => algorithm.as_str().into(),
        }
    }
}

impl Value for CompressOutput {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL|xz|zstd|gz|bz2".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        choose(
            text,
            Self::WORDS,
            &format!("yes, no or {}", one_of(Self::NAMES)),
        )
    }

    fn parse_optional(
        text: &str,
        place: Place,
        context: &Context,
    ) -> Result<Option<Self>, BadValue> {
        parse_switch(text, Self::Xz, |text| Self::parse(text, place, context))
    }

    fn to_json(&self) -> Json {
        self.as_str().into()
    }
}

impl CompressOutput {
    /// What a compressed file's name ends in, with the dot.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gz => ".gz",
            Self::Bz2 => ".bz2",
        }
    }
}
