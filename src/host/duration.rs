//! How long something took, for people.

use std::time::Duration;

/// `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// How long ago something was, roughly: `45 s`, `3 min`, `2 h`, `5 days`.
#[must_use]
pub fn human_age(age: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const TWO_DAYS: u64 = 2 * DAY;
    let seconds = age.as_secs();
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        // One day is not "1 days".
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_moments_to_days() {
        let cases = [
            (0, "0.0 s"),
            (420, "0.4 s"),
            (12_900, "12 s"),
            (185_000, "3 min 05 s"),
            (7_620_000, "2 h 07 min"),
            (360_000_000, "100 h 00 min"),
        ];
        for (ms, expected) in cases {
            assert_eq!(human_duration(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (119, "1 min"),
            (3_600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human_age(Duration::from_secs(seconds)), expected);
        }
    }
}
