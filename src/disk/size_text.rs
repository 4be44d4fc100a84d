//! Sizes for people: `256M`, `1.5G`, in the spelling that the settings accept.

/// Writes a size in bytes with a binary suffix and at most one decimal; never below the true size,
/// so that a size taken from a message and put into a setting is large enough.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "T"),
        (1 << 30, "G"),
        (1 << 20, "M"),
        (1 << 10, "K"),
    ];
    for (unit, suffix) in UNITS {
        if bytes >= unit {
            let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
            return if tenths % 10 == 0 {
                format!("{}{suffix}", tenths / 10)
            } else {
                format!("{}.{}{suffix}", tenths / 10, tenths % 10)
            };
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::size_text;

    #[test]
    fn rounds_up_to_one_decimal() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1025, "1.1K"),
            (1 << 20, "1M"),
            (256 << 20, "256M"),
            ((1 << 30) + (1 << 29), "1.5G"),
            ((1 << 30) - 1, "1024M"),
            (3 << 40, "3T"),
            (u64::MAX, "16777216T"),
        ] {
            assert_eq!(size_text(bytes), text, "{bytes}");
        }
    }
}
