//! Spans of time as people write them: `90s`, `30m`, `1d12h`.

use std::fmt::Write;
use std::time::Duration;

/// Units from the longest to the shortest, with their seconds.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// Why a text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time like 90s, 30m, 2h, 1d or 1h30m")]
pub struct BadTime;

/// Reads a span of a second at least: units from the longest to the shortest, each at most once.
///
/// # Errors
/// If it is none, or longer than can be counted.
pub fn parse(text: &str) -> Result<Duration, BadTime> {
    let (mut rest, mut total) = (text, 0_u64);
    for (length, unit) in UNITS {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some(after) = rest[digits..].strip_prefix(unit) else { continue };
        let count: u64 = rest[..digits].parse().map_err(|_| BadTime)?;
        total = count.checked_mul(length).and_then(|time| time.checked_add(total)).ok_or(BadTime)?;
        rest = after;
    }
    if rest.is_empty() && total > 0 { Ok(Duration::from_secs(total)) } else { Err(BadTime) }
}

/// A span as [`parse`] reads it, to the second.
pub fn written(time: Duration) -> String {
    let (mut rest, mut text) = (time.as_secs(), String::new());
    for (length, unit) in UNITS {
        if rest >= length {
            let _ = write!(text, "{}{unit}", rest / length);
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_usual_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("1d1s", 86_401)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
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
            assert_eq!(parse(text), Err(BadTime), "{text:?}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["1s", "1m30s", "1h30m", "2d", "1d1s", "7d23h59m59s"] {
            assert_eq!(written(parse(text).unwrap()), text);
        }
        assert_eq!(written(Duration::from_millis(999)), "0s");
    }
}
