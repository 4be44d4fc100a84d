//! Records of pax extended headers: `LENGTH KEY=VALUE\n`, with values of any bytes.

use std::ffi::CString;

use super::Fault;

/// The records of one header, in order. A later record of the same key wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Reads the records of a header.
    pub fn parse(mut data: &[u8]) -> Result<Self, Fault> {
        let bad = || Fault::new("its pax header is malformed");
        let mut records = Vec::new();
        // Some programs pad with zeros.
        while data.first().is_some_and(|byte| *byte != 0) {
            let space = data
                .iter()
                .take(20)
                .position(|byte| *byte == b' ')
                .ok_or_else(bad)?;
            let length = decimal(&data[..space]).ok_or_else(bad)?;
            let length = usize::try_from(length).map_err(|_| bad())?;
            let record = data.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(bad)?;
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            data = &data[length..];
        }
        Ok(Self(records))
    }

    /// Adds records that win over those that are there.
    pub fn extend(&mut self, other: Self) {
        // Sparse maps repeat their keys, so only an archive's own defaults are made unique.
        self.0
            .retain(|(key, _)| !other.0.iter().any(|(new, _)| new == key));
        self.0.extend(other.0);
    }

    /// Bytes of all keys and values.
    pub fn size(&self) -> u64 {
        let sizes = self.iter().map(|(key, value)| key.len() + value.len());
        sizes.sum::<usize>() as u64
    }

    /// The value of a key. An empty one stands for none, as pax says.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().rev().find(|(k, _)| k == key.as_bytes())?;
        Some(value.as_slice()).filter(|value| !value.is_empty())
    }

    /// A decimal number.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match decimal(value) {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::new(format!("its pax record {key} is not a number"))),
        }
    }

    /// All records in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(k, v)| (k.as_slice(), v.as_slice()))
    }

    /// Seconds and nanoseconds since 1970, from `123.456` or `-0.5`.
    pub fn time(&self, key: &str) -> Result<Option<(i64, u32)>, Fault> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        time(value)
            .map(Some)
            .ok_or_else(|| Fault::new(format!("its pax record {key} is not a time")))
    }

    /// Extended attributes, in the two ways that tar programs write them.
    pub fn xattrs(&self) -> Result<Vec<(CString, Vec<u8>)>, Fault> {
        let mut found: Vec<(CString, Vec<u8>)> = Vec::new();
        for (key, value) in self.iter() {
            let (name, value) = if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                (unescape(name, b"=%"), value.to_vec())
            } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                let value = base64(value)
                    .ok_or_else(|| Fault::new("an extended attribute of it is not base64"))?;
                (unescape(name, &[]), value)
            } else {
                continue;
            };
            let name = CString::new(name)
                .map_err(|_| Fault::new("an extended attribute's name holds a null byte"))?;
            // bsdtar writes each attribute both ways.
            found.retain(|(other, _)| *other != name);
            found.push((name, value));
        }
        Ok(found)
    }

    /// Whether an access control list is stored as text, which needs the names of users to read.
    pub fn has_text_acl(&self) -> bool {
        self.iter()
            .any(|(key, value)| key.starts_with(b"SCHILY.acl.") && !value.is_empty())
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = seconds.starts_with('-');
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    match (negative, nanoseconds) {
        (true, 1..) => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        _ => Some((seconds, nanoseconds)),
    }
}

/// Replaces `%XX` by its byte, only those in `only` if that is not empty.
fn unescape(text: &[u8], only: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let byte = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(h, l)| h * 16 + l),
            _ => None,
        };
        match byte.filter(|byte| only.is_empty() || only.contains(byte)) {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[3..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Base64 with or without padding, as libarchive writes it.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut count = 0;
    for digit in text.trim_ascii_end().iter().filter(|b| **b != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = (1..10)
            .map(|digits| rest + digits)
            .find(|length| rest + length.to_string().len() == *length)
            .unwrap();
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn values_may_hold_newlines_and_be_binary() {
        let capability = b"\x01\0\0\x02\0\n\n\0\xff=";
        let data = [
            record("SCHILY.xattr.security.capability", capability),
            record("path", b"\xfflong\nname"),
            record("mtime", b"12.5"),
        ]
        .concat();
        let records = Records::parse(&data).unwrap();
        assert_eq!(records.get("path").unwrap(), b"\xfflong\nname");
        assert_eq!(records.time("mtime").unwrap(), Some((12, 500_000_000)));
        let xattrs = records.xattrs().unwrap();
        assert_eq!(xattrs[0].0.as_c_str(), c"security.capability");
        assert_eq!(xattrs[0].1, capability);
    }

    #[test]
    fn understands_both_ways_of_attributes() {
        let data = [
            record("LIBARCHIVE.xattr.user.a%20b", b"AAH/"),
            record("SCHILY.xattr.user.x%3Dy%25", b"v"),
        ]
        .concat();
        let xattrs = Records::parse(&data).unwrap().xattrs().unwrap();
        assert_eq!(xattrs[0], (c"user.a b".to_owned(), vec![0, 1, 255]));
        assert_eq!(xattrs[1], (c"user.x=y%".to_owned(), b"v".to_vec()));
    }

    #[test]
    fn reads_times() {
        for (text, want) in [
            ("5", Some((5, 0))),
            ("5.", Some((5, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("1.1234567899", Some((1, 123_456_789))),
            ("x", None),
            ("1.x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn an_empty_value_takes_a_default_away() {
        let mut records = Records::parse(&record("path", b"x")).unwrap();
        records.extend(Records::parse(&record("path", b"")).unwrap());
        assert_eq!(records.get("path"), None);
    }

    proptest! {
        #[test]
        fn parses_what_is_written_and_survives_the_rest(
            values in proptest::collection::vec(any::<Vec<u8>>(), 0..5),
            noise in any::<Vec<u8>>(),
        ) {
            let mut data = Vec::new();
            for value in &values {
                data.extend(record("k", value));
            }
            let records = Records::parse(&data).unwrap();
            let read: Vec<Vec<u8>> = records.iter().map(|(_, v)| v.to_vec()).collect();
            prop_assert_eq!(&read, &values);
            let _ = Records::parse(&noise);
            data.extend(noise);
            let _ = Records::parse(&data);
        }
    }
}
