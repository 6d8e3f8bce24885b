//! Spans of time as people type them: `90s`, `1h30m`.

use std::time::Duration;

/// Why a text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time like 90s, 30m, 2h, 1d or 1h30m")]
pub struct BadSpan;

/// Reads whole seconds: units from the longest to the shortest, each at most once.
///
/// # Errors
/// If that is not what it says, or it says no time at all.
pub fn read(text: &str) -> Result<Duration, BadSpan> {
    let (mut rest, mut total) = (text, 0_u64);
    for (length, unit) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some(after) = rest[digits..].strip_prefix(unit) else { continue };
        let count: u64 = rest[..digits].parse().map_err(|_| BadSpan)?;
        total = count.checked_mul(length).and_then(|time| time.checked_add(total)).ok_or(BadSpan)?;
        rest = after;
    }
    if rest.is_empty() && total > 0 { Ok(Duration::from_secs(total)) } else { Err(BadSpan) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_usual_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("1d1s", 86_401)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "30",
            "m",
            "30m1h",
            "1h1h",
            "-1m",
            "+1m",
            "1.5h",
            "0s",
            "30M",
            " 30m",
            "30 m",
            "999999999999999999d",
            "99999999999999999999d",
            "٣m",
        ] {
            assert_eq!(read(text), Err(BadSpan), "{text:?}");
        }
    }
}
