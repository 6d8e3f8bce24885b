//! Points in time as people write them.

use crate::moment::Moment;
use crate::timespan;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Why a text is no point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time like 2026-03-02T14:00:00+01:00, or '2026-03-02 14:00' where this machine is")]
pub struct BadTime;

/// Why a text is no beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write how long ago, like 30m or 2d, or a time like '2026-03-02 14:00'")]
pub struct BadSince;

/// RFC 3339 with an offset, or a date and a time where this machine is.
///
/// # Errors
/// If it is neither, or the calendar does not have it.
pub(super) fn at(text: &str) -> Result<Timestamp, BadTime> {
    at_in(text, TimeZone::system())
}

fn at_in(text: &str, zone: TimeZone) -> Result<Timestamp, BadTime> {
    let local = || text.parse::<DateTime>().ok().filter(|_| text.contains(':'));
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(at),
        Err(_) => Ok(local().ok_or(BadTime)?.to_zoned(zone).map_err(|_| BadTime)?.timestamp()),
    }
}

/// So long ago, or [`at`].
///
/// # Errors
/// If it is neither.
pub(super) fn since(text: &str) -> Result<Moment, BadSince> {
    if let Ok(span) = timespan::parse(text) {
        return Ok(Moment(Moment::now().0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))));
    }
    let at = at(text).map_err(|_| BadSince)?;
    Ok(Moment(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_an_offset_or_are_the_machines_own() {
        let zone = || TimeZone::fixed(jiff::tz::offset(2));
        for (text, time) in [
            ("2026-03-02T14:00:00Z", "2026-03-02T14:00:00Z"),
            ("2026-03-02T14:00:00+05:30", "2026-03-02T08:30:00Z"),
            ("2026-03-02 14:00", "2026-03-02T12:00:00Z"),
            ("2026-03-02T14:00:30", "2026-03-02T12:00:30Z"),
        ] {
            assert_eq!(at_in(text, zone()).map(|at| at.to_string()), Ok(time.to_owned()), "{text}");
        }
        for text in ["", "now", "14:00", "2026-03-02", "2026-02-30 14:00", "2026-03-02 25:00"] {
            assert_eq!(at_in(text, zone()), Err(BadTime), "{text}");
        }
    }

    #[test]
    fn what_is_long_ago_is_counted_from_now() {
        let ago = Moment::now().since(since("2h").unwrap()).as_secs();
        assert!((7199..=7260).contains(&ago), "{ago}");
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Moment(1000)));
        assert_eq!(since("99999999d"), Ok(Moment(0)));
        assert_eq!(since("yesterday"), Err(BadSince));
    }
}
