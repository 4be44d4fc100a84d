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
}
