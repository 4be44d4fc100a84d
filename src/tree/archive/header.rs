//! One 512-byte header of a tar archive.

use tar::Header;

use super::Fault;

/// The size of headers, and what data is padded to.
pub(super) const BLOCK: usize = 512;

/// Where the checksum is inside a header.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Whether a file begins like a tar archive: with a header, or with the zeros of an empty one.
pub(super) fn looks_like_tar(probe: &[u8]) -> bool {
    let zeros = probe.len() >= BLOCK && probe[..BLOCK].iter().all(|b| *b == 0);
    let magic = probe.get(257..262) == Some(b"ustar");
    zeros || magic || <&[u8; BLOCK]>::try_from(probe).is_ok_and(checksum_fits)
}

/// Whether the header's sum is what it says; some old programs summed signed bytes.
pub(super) fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    let said = number(&block[CHECKSUM]).ok();
    let bytes = || {
        block
            .iter()
            .enumerate()
            .map(|(i, byte)| if CHECKSUM.contains(&i) { b' ' } else { *byte })
    };
    let unsigned: i128 = bytes().map(i128::from).sum();
    let signed: i128 = bytes()
        .map(|byte| i128::from(i8::from_ne_bytes([byte])))
        .sum();
    said == Some(unsigned) || said == Some(signed)
}

/// A number field: octal digits, or the big-endian two's complement of large and negative values.
pub(super) fn number(field: &[u8]) -> Result<i128, Fault> {
    if let Some(first) = field.first().filter(|byte| **byte & 0x80 != 0) {
        // The first bit is a mark, the second the sign.
        let start = if first & 0x40 == 0 {
            i128::from(first & 0x7f)
        } else {
            i128::from(i8::from_ne_bytes([*first]))
        };
        return Ok(field[1..]
            .iter()
            .fold(start, |sum, byte| (sum << 8) | i128::from(*byte)));
    }
    let text = field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    text.iter().try_fold(0, |sum: i128, digit| match digit {
        b'0'..=b'7' => Ok((sum << 3) | i128::from(digit - b'0')),
        _ => Err(Fault::new("a number in the header is not octal")),
    })
}

/// A number that cannot be negative.
pub(super) fn unsigned(field: &[u8], what: &str) -> Result<u64, Fault> {
    u64::try_from(number(field)?).map_err(|_| Fault::new(format!("its {what} is out of range")))
}

/// A user or group number. The largest one means "leave as it is" to the system and is nobody's.
pub(super) fn owner(value: i128) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| Fault::new("its owner's number is out of range"))
}

/// The numbers of a device.
pub(super) fn device(header: &Header) -> Result<(u32, u32), Fault> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(h), _) => (&h.dev_major, &h.dev_minor),
        (_, Some(h)) => (&h.dev_major, &h.dev_minor),
        _ => return Err(Fault::new("it is a device without numbers")),
    };
    let number = |field| {
        u32::try_from(number(field)?).map_err(|_| Fault::new("its device number is out of range"))
    };
    Ok((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_every_form() {
        for (field, want) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"00000000000 ", 0),
            (b"\0\0\0\0", 0),
            (b"", 0),
            (b"77777777777\0", 0o77_777_777_777),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", 1 << 33),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(number(field).unwrap(), want, "{field:?}");
        }
        assert!(number(b"12x").is_err());
        assert!(number(b"89").is_err());
        assert!(unsigned(b"\xff\xff", "size").is_err());
    }

    #[test]
    fn refuses_owners_that_the_system_would_not_set() {
        assert_eq!(owner(1000).unwrap(), 1000);
        assert!(owner(-1).is_err());
        assert!(owner(i128::from(u32::MAX)).is_err());
    }

    #[test]
    fn checks_sums() {
        let mut header = Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_cksum();
        let mut block = *header.as_bytes();
        assert!(checksum_fits(&block));
        block[0] ^= 1;
        assert!(!checksum_fits(&block));
    }
}
