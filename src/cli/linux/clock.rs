//! Times for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-01-31 14:03:22`, where the machine is; of milliseconds since the epoch.
pub(super) fn local(milliseconds: u64) -> String {
    in_zone(milliseconds, TimeZone::system())
}

fn in_zone(milliseconds: u64, zone: TimeZone) -> String {
    match i64::try_from(milliseconds).map(Timestamp::from_millisecond) {
        Ok(Ok(at)) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        // After the calendar's end.
        _ => format!("@{}", milliseconds / 1000),
    }
}

/// Seconds, in one or two units.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_people() {
        let zone = || TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(in_zone(1_700_000_000_000, zone()), "2023-11-14 17:13:20");
        assert_eq!(in_zone(u64::MAX, zone()), "@18446744073709551");
        // Somewhere between UTC-12 and UTC+14.
        assert!(["2023-11-14", "2023-11-15"].contains(&&local(1_700_000_000_000)[..10]));
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([age(5), age(65), age(3_660), age(90_000)], ["5s", "1m", "1h01m", "1d01h"]);
    }
}
