//! Sizes of partitions and memory.

use std::fmt;

use serde_json::Value as Json;

use super::{BadValue, Place, Value};
use crate::config::Context;

/// What sizes are rounded up to: the page and file-system block size that every tool agrees on.
const GRAIN: u128 = 4096;
/// Larger than any file system here; keeps sums of sizes far from overflow.
const LARGEST: u128 = 1 << 56;

/// A number of bytes, a multiple of 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// `count` × 1 MiB.
    #[must_use]
    pub const fn mib(count: u32) -> Self {
        Self((count as u64) << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `500M`, `1.5G`, `1073741824`; rounds up to 4096 bytes.
    ///
    /// # Errors
    /// It is no number with a unit, or too large.
    pub fn from_text(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue::expected("a size such as 512M, 1.5G or 1073741824");
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let unit = unit(suffix.trim_start()).ok_or_else(bad)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let has_point = number.contains('.');
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || (has_point && !digits(fraction)) {
            return Err(bad());
        }
        if has_point && unit == 1 {
            return Err(BadValue::expected(
                "a whole number of bytes, or a suffix K, M, G or T",
            ));
        }
        let large = || BadValue(format!("larger than {} TiB", LARGEST >> 40));
        let whole: u128 = whole.parse().map_err(|_| large())?;
        // More digits than these are below one byte even for the largest unit.
        let fraction = &fraction[..fraction.len().min(18)];
        let scale = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
        let part = fraction.parse::<u128>().unwrap_or(0) * unit;
        let bytes = whole
            .checked_mul(unit)
            .and_then(|bytes| bytes.checked_add(part.div_ceil(scale)))
            .filter(|bytes| *bytes <= LARGEST)
            .ok_or_else(large)?;
        if bytes == 0 {
            return Err(BadValue::expected("a size greater than 0"));
        }
        u64::try_from(bytes.div_ceil(GRAIN) * GRAIN)
            .map(Self)
            .map_err(|_| large())
    }
}

/// Bytes in a unit: `K`, `M`, `G`, `T`, each also with `B` or `iB`, in any case.
fn unit(suffix: &str) -> Option<u128> {
    let suffix = suffix.to_ascii_lowercase();
    let letter = suffix
        .strip_suffix("ib")
        .or_else(|| suffix.strip_suffix('b'))
        .unwrap_or(&suffix);
    let shift = match letter {
        "" if suffix == "ib" => return None,
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    Some(1 << shift)
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, suffix) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
            let unit = 1u64 << shift;
            if self.0 >= unit {
                return if self.0 % unit == 0 {
                    write!(f, "{}{suffix}", self.0 / unit)
                } else {
                    // A float shows one decimal of any size exactly enough.
                    #[allow(clippy::cast_precision_loss)]
                    let count = self.0 as f64 / unit as f64;
                    write!(f, "{count:.1}{suffix}")
                };
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Value for Size {
    fn metavar() -> String {
        "SIZE".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        Self::from_text(text)
    }

    fn to_json(&self) -> Json {
        self.0.into()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        const K: u64 = 1024;
        for (text, bytes) in [
            ("1", 4096),
            ("4096", 4096),
            ("4097", 8192),
            ("1342177280", 1_342_177_280),
            ("500M", 500 * K * K),
            ("500MiB", 500 * K * K),
            ("500 MB", 500 * K * K),
            ("2g", 2 * K * K * K),
            ("1.5G", 3 * K * K * K / 2),
            ("0.1K", 4096),
            ("1T", K * K * K * K),
            ("0.0000000000000000000001G", 0),
            ("65536T", K * K * K * K * 65536),
        ] {
            let size = Size::from_text(text);
            if bytes == 0 {
                assert!(size.is_err(), "{text}");
            } else {
                assert_eq!(size.map(Size::bytes), Ok(bytes), "{text}");
            }
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in [
            "",
            "G",
            "-1G",
            "+1G",
            "1.5",
            "1.G",
            ".5G",
            "1,5G",
            "1e3",
            "inf",
            "1X",
            "1GG",
            "1iB",
            "0",
            "0G",
            "1.2.3G",
            "65537T",
            "99999999999999999999999999999999999999999999T",
            "１G",
            "0x10",
        ] {
            assert!(Size::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_sizes() {
        for (text, shown) in [
            ("1G", "1G"),
            ("1536M", "1.5G"),
            ("300M", "300M"),
            ("1", "4K"),
            ("2T", "2T"),
        ] {
            assert_eq!(Size::from_text(text).unwrap().to_string(), shown);
        }
    }
}
