//! The lines of `passwd` and `shadow`, as bytes: nothing but one user's fields changes.

/// Replaces the password field of the user's line, or adds a line when there is none. `field` gets the
/// field as it is; `day` is the day of the last change, counted from 1970.
pub(super) fn change_shadow(
    old: &[u8],
    user: &str,
    field: impl Fn(&[u8]) -> Vec<u8>,
    day: Option<u64>,
) -> Vec<u8> {
    let start = [user.as_bytes(), b":"].concat();
    let mut found = false;
    let mut new = Vec::with_capacity(old.len() + 128);
    for line in lines(old) {
        let Some(rest) = line.strip_prefix(start.as_slice()) else {
            new.extend_from_slice(line);
            new.push(b'\n');
            continue;
        };
        found = true;
        let mut fields: Vec<Vec<u8>> = rest.split(|b| *b == b':').map(<[u8]>::to_vec).collect();
        fields[0] = field(&fields[0]);
        if let Some(day) = day {
            fields.resize(fields.len().max(2), Vec::new());
            fields[1] = day.to_string().into_bytes();
        }
        push_line(&mut new, &start, &fields);
    }
    if !found {
        let mut fields = vec![Vec::new(); 8];
        fields[0] = field(b"");
        if let Some(day) = day {
            fields[1] = day.to_string().into_bytes();
        }
        push_line(&mut new, &start, &fields);
    }
    new
}

fn push_line(new: &mut Vec<u8>, start: &[u8], fields: &[Vec<u8>]) {
    new.extend_from_slice(start);
    new.extend_from_slice(&fields.join(&b':'));
    new.push(b'\n');
}

/// Makes the user's line refer to the shadow file; `None` when there is no such line.
pub(super) fn change_passwd(old: &[u8], user: &str) -> Option<Vec<u8>> {
    let start = [user.as_bytes(), b":"].concat();
    let mut found = false;
    let mut new = Vec::with_capacity(old.len());
    for line in lines(old) {
        match line.strip_prefix(start.as_slice()) {
            Some(rest) => {
                found = true;
                let after = rest.iter().position(|b| *b == b':').unwrap_or(rest.len());
                new.extend_from_slice(&start);
                new.push(b'x');
                new.extend_from_slice(&rest[after..]);
            }
            None => new.extend_from_slice(line),
        }
        new.push(b'\n');
    }
    found.then_some(new)
}

/// The lines without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n")
        .unwrap_or(text)
        .split(|b| *b == b'\n')
        .filter(move |_| !text.is_empty())
}

/// Whole days since 1970. Day 0 would force a new password at the first login.
pub(super) fn days(seconds: u64) -> u64 {
    (seconds / 86_400).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_other_lines_stay(
            before in proptest::collection::vec("[a-z]{1,8}:[^\n]{0,20}", 0..4),
            after in proptest::collection::vec("[a-z]{1,8}:[^\n]{0,20}", 0..4),
        ) {
            let other = |lines: &[String]| -> String {
                lines.iter().map(|l| format!("u{l}\n")).collect()
            };
            let (before, after) = (other(&before), other(&after));
            let old = format!("{before}root:old:1:2::::9:\n{after}");
            let new = change_shadow(old.as_bytes(), "root", |_| b"new".to_vec(), None);
            let want = format!("{before}root:new:1:2::::9:\n{after}");
            prop_assert_eq!(String::from_utf8(new).unwrap(), want);
        }
    }
}
