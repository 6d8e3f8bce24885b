//! When a scheduled message is due, and how times are shown: in the host's time zone.

use crate::moment::Moment;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::time::Duration;

/// How far ahead something can be scheduled: once a year, and some days to spare.
pub const AHEAD_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// Bytes of `at`; RFC 3339 needs 35 with nanoseconds, and a zone's name may follow (RFC 9557).
const AT_MAX: usize = 80;
/// Bytes of `every`: each minute of the hour one by one, and the rest.
const EVERY_MAX: usize = 256;
/// The days of each month, February's in a leap year.
const DAYS: [u16; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Why a message can't be scheduled then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// None of the three, or several.
    #[error("say when: one of `at`, `in` and `every`")]
    OneOf,
    /// `at` is no time.
    #[error("`at` is a time with its offset as in RFC 3339, like 2026-03-01T09:00:00+01:00")]
    At,
    /// `in` is no span.
    #[error("`in`: {0}")]
    In(#[from] crate::timespan::BadTime),
    /// `every` is no pattern.
    #[error("`every` has the five fields of crontab(5), minute hour day month weekday, like `30 9 * * mon-fri`: {0}")]
    Every(String),
    /// The time was.
    #[error("{at} has passed: it is {now} now")]
    Past {
        /// What was asked for.
        at: String,
        /// The host's time.
        now: String,
    },
    /// The time is too far ahead.
    #[error("{at} is more than 400 days ahead: the relay keeps nothing for so long")]
    TooFar {
        /// What was asked for.
        at: String,
    },
}

/// When a message is due first, and the pattern if it is due again. Exactly one of the three says so.
///
/// # Errors
/// If they say no time that is ahead.
pub fn first(
    at: Option<&str>,
    in_: Option<&str>,
    every: Option<&str>,
    now: Moment,
) -> Result<(Moment, Option<String>), BadTime> {
    first_in(&TimeZone::system(), [at, in_, every], now)
}

/// When a message is due again. `after` is now rather than when it was due last: what was missed while the host
/// slept comes once. At most once a minute, since a pattern has no seconds. `None` if it never is.
pub fn next(every: &str, after: Moment) -> Option<Moment> {
    next_in(&TimeZone::system(), &pattern(every).ok()?, after)
}

/// A moment with its offset (RFC 3339), in whole seconds.
pub fn rfc3339(at: Moment) -> String {
    rfc3339_in(&TimeZone::system(), at)
}

fn first_in(
    zone: &TimeZone,
    [at, in_, every]: [Option<&str>; 3],
    now: Moment,
) -> Result<(Moment, Option<String>), BadTime> {
    let (due, every) = match (at, in_, every) {
        (Some(at), None, None) => (moment(at)?, None),
        (None, Some(in_), None) => (now.after(crate::timespan::parse(in_)?), None),
        (None, None, Some(every)) => {
            let next = next_in(zone, &pattern(every)?, now);
            (next.ok_or_else(|| BadTime::Every("there is no such day".to_owned()))?, Some(every.to_owned()))
        }
        _ => return Err(BadTime::OneOf),
    };
    let shown = |at| rfc3339_in(zone, at);
    if due <= now {
        return Err(BadTime::Past { at: shown(due), now: shown(now) });
    }
    if due.since(now) > AHEAD_MAX {
        return Err(BadTime::TooFar { at: shown(due) });
    }
    Ok((due, every))
}

fn moment(at: &str) -> Result<Moment, BadTime> {
    if at.len() > AT_MAX {
        return Err(BadTime::At);
    }
    let at: Timestamp = at.parse().map_err(|_| BadTime::At)?;
    // What was before the epoch has passed as well.
    Ok(Moment(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

/// A pattern of crontab(5) alone: croner knows more, such as `L`, `#` and years.
fn pattern(every: &str) -> Result<Cron, BadTime> {
    let bad = |why: &str| BadTime::Every(why.to_owned());
    if every.len() > EVERY_MAX {
        return Err(bad("it is too long"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*,-/ \t".contains(&byte);
    if !every.bytes().all(plain) {
        return Err(bad("there are digits, names, `*`, `,`, `-` and `/` in it"));
    }
    let fields: Vec<&str> = every.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(bad(&format!("these are {}", fields.len())));
    };
    for (field, named) in [(minute, false), (hour, false), (day, false), (month, true), (weekday, true)] {
        // croner passes over what is empty, and a field without any value would be looked for in vain.
        let mut words = field.split([',', '-', '/']);
        let is_name = |word: &str| named && word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_number = |word: &str| (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
        if !words.all(|word| word == "*" || is_number(word) || is_name(word)) {
            return Err(bad(&format!("`{field}` is not understood")));
        }
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(every).map_err(|error| bad(&error.to_string()))?;
    if can_be(&cron) { Ok(cron) } else { Err(bad("there is no such day")) }
}

/// Whether there is such a day: 30 February would be looked for until the year 5000.
fn can_be(cron: &Cron) -> bool {
    let pattern = &cron.pattern;
    // Where both are restricted, one is enough.
    let by_weekday = !pattern.is_dow_wildcard();
    let days = pattern.days.values();
    let months = pattern.months.values();
    let length = |month: u16| DAYS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or(0);
    by_weekday || months.iter().any(|month| days.iter().any(|day| *day <= length(*month)))
}

fn next_in(zone: &TimeZone, pattern: &Cron, after: Moment) -> Option<Moment> {
    let next = pattern.find_next_occurrence(&zoned(zone, after), false).ok()?;
    Some(Moment(u64::try_from(next.timestamp().as_millisecond()).ok()?)).filter(|next| *next > after)
}

fn rfc3339_in(zone: &TimeZone, at: Moment) -> String {
    zoned(zone, at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The end of the calendar for what is beyond it.
fn zoned(zone: &TimeZone, at: Moment) -> Zoned {
    let at = i64::try_from(at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Central Europe's rules (POSIX TZ), so that no test depends on the host's time zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Moment {
        moment(text).unwrap()
    }

    fn due(when: [Option<&str>; 3]) -> Result<(String, Option<String>), BadTime> {
        let (due, every) = first_in(&berlin(), when, at("2026-01-15T10:00:30Z"))?;
        Ok((rfc3339_in(&berlin(), due), every))
    }

    fn refused(every: &str) -> String {
        due([None, None, Some(every)]).unwrap_err().to_string()
    }

    /// The next times of a pattern, without the year.
    fn times(every: &str, after: &str, count: usize) -> Vec<String> {
        let pattern = pattern(every).unwrap();
        let next = |last: &Moment| next_in(&berlin(), &pattern, *last);
        let times = std::iter::successors(Some(at(after)), next).skip(1).take(count);
        times.map(|time| rfc3339_in(&berlin(), time)[5..].to_owned()).collect()
    }

    #[test]
    fn a_message_is_due_at_a_time_after_a_time_or_by_a_pattern() {
        let once = |text: &str| Ok((text.to_owned(), None));
        assert_eq!(due([Some("2026-03-01T09:00:00+02:00"), None, None]), once("2026-03-01T08:00:00+01:00"));
        assert_eq!(due([None, Some("1h30m"), None]), once("2026-01-15T12:30:30+01:00"));
        let every = "30 9 * * mon-fri";
        let weekly = ("2026-01-16T09:30:00+01:00".to_owned(), Some(every.to_owned()));
        assert_eq!(due([None, None, Some(every)]), Ok(weekly));
    }

    #[test]
    fn there_is_exactly_one_time_and_it_is_ahead() {
        assert_eq!(due([None; 3]), Err(BadTime::OneOf));
        assert_eq!(due([None, Some("1h"), Some("* * * * *")]), Err(BadTime::OneOf));
        let past = due([Some("2026-01-15T10:00:30Z"), None, None]).unwrap_err().to_string();
        assert_eq!(past, "2026-01-15T11:00:30+01:00 has passed: it is 2026-01-15T11:00:30+01:00 now");
        assert!(matches!(due([Some("1926-01-15T10:00:00Z"), None, None]), Err(BadTime::Past { .. })));
        due([None, Some("400d"), None]).unwrap();
        for when in [
            [None, Some("400d1s"), None],
            [None, Some("99999999999d"), None],
            [Some("9999-12-30T00:00:00Z"), None, None],
            [None, None, Some("0 0 29 2 *")],
        ] {
            assert!(matches!(due(when), Err(BadTime::TooFar { .. })), "{when:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_would_be_one() {
        let long = format!("2026-03-01T09:00:00.{}Z", "0".repeat(AT_MAX));
        for text in ["", "tomorrow", "2026-03-01", "2026-03-01T09:00:00", "12:00", "2026-02-30T00:00:00Z", &long] {
            assert_eq!(due([Some(text), None, None]), Err(BadTime::At), "{text}");
        }
        assert!(due([None, Some("soon"), None]).unwrap_err().to_string().contains("1h30m"));
        assert!(matches!(due([None, Some("0s"), None]), Err(BadTime::In(_))));
    }

    #[test]
    fn a_pattern_has_the_five_fields_of_crontab_and_nothing_more() {
        for every in ["*/5 0-6,22 1-15/2 jan,DEC sun", "0 0 31 1,2 *", "0 0 30 2 mon", "59 23 * * 7"] {
            pattern(every).unwrap();
        }
        let long = format!("{}0 * * * *", "0,".repeat(EVERY_MAX));
        for every in [
            "",
            "* * * *",
            "* * * * * *",
            "* * * * * * *",
            "@daily",
            "@reboot",
            "0 0 L * *",
            "0 0 15W * *",
            "0 0 ? * 5#2",
            "0 0 * * +1",
            "60 * * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            ", * * * *",
            "1,,2 * * * *",
            "1- * * * *",
            "*/0 * * * *",
            "mon * * * *",
            "0 0 * foo *",
            "-1 * * * *",
            "٣ * * * *",
            "* * * * *\n",
            "100 * * * *",
            &long,
        ] {
            assert!(refused(every).contains("crontab(5)"), "{every}");
        }
        for every in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"] {
            assert!(refused(every).contains("there is no such day"), "{every}");
        }
    }

    #[test]
    fn what_falls_into_the_hour_that_is_left_out_comes_after_it() {
        assert_eq!(times("30 2 * * *", "2026-03-28T12:00:00Z", 2), ["03-29T03:00:00+02:00", "03-30T02:30:00+02:00"]);
        assert_eq!(
            times("*/30 * * * *", "2026-03-29T00:29:00Z", 3),
            ["03-29T01:30:00+01:00", "03-29T03:00:00+02:00", "03-29T03:30:00+02:00"]
        );
    }

    #[test]
    fn what_falls_into_the_hour_that_comes_twice_comes_once_if_it_is_for_that_time() {
        assert_eq!(times("30 2 * * *", "2026-10-24T12:00:00Z", 2), ["10-25T02:30:00+02:00", "10-26T02:30:00+01:00"]);
        assert_eq!(
            times("30 * * * *", "2026-10-24T23:45:00Z", 3),
            ["10-25T02:30:00+02:00", "10-25T02:30:00+01:00", "10-25T03:30:00+01:00"]
        );
    }

    #[test]
    fn what_was_missed_comes_once() {
        let weeks_later = at("2026-02-15T10:00:30.5Z");
        let again = next_in(&berlin(), &pattern("* * * * *").unwrap(), weeks_later).unwrap();
        assert_eq!(again, at("2026-02-15T10:01:00Z"));
    }

    #[test]
    fn no_moment_is_beyond_the_calendar() {
        assert!(rfc3339_in(&berlin(), Moment(u64::MAX)).starts_with("9999-"));
        assert_eq!(next_in(&TimeZone::UTC, &pattern("* * * * *").unwrap(), Moment(u64::MAX)), None);
        assert_eq!(rfc3339_in(&TimeZone::UTC, Moment(0)), "1970-01-01T00:00:00+00:00");
    }

    #[test]
    fn the_rarest_day_is_found_soon() {
        let begun = std::time::Instant::now();
        let leap = next_in(&TimeZone::UTC, &pattern("0 0 29 2 *").unwrap(), at("2096-03-01T00:00:00Z")).unwrap();
        assert_eq!(rfc3339_in(&TimeZone::UTC, leap), "2104-02-29T00:00:00+00:00");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn the_hosts_zone_is_taken() {
        let now = Moment::now();
        let (due, every) = first(None, None, Some("* * * * *"), now).unwrap();
        assert!(due > now && due.since(now) <= Duration::from_secs(60));
        assert!(next(&every.unwrap(), due).is_some_and(|again| again.since(due) == Duration::from_secs(60)));
        assert_eq!(moment(&rfc3339(now)).unwrap().0, now.0 / 1000 * 1000);
    }

    proptest! {
        #[test]
        fn any_pattern_is_refused_or_is_due_later_and_at_most_once_a_minute(
            fields in prop::collection::vec("[0-9]{1,2}|\\*|\\*/[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}(/[0-9])?|mon|feb|[0-9*,/-]{0,6}", 5),
            after in 0_u64..4_000_000_000_000,
        ) {
            if let Ok(pattern) = pattern(&fields.join(" ")) {
                let one = next_in(&berlin(), &pattern, Moment(after));
                prop_assert!(one.is_some_and(|one| one.0 > after && one.0 % 60_000 == 0));
                let two = next_in(&berlin(), &pattern, one.unwrap()).unwrap();
                prop_assert!(two.since(one.unwrap()) >= Duration::from_secs(60));
            }
        }

        #[test]
        fn no_text_is_a_surprise(text in "\\PC{0,40}|[0-9TZ:+. -]{0,40}|[0-9*,/a-z -]{0,40}") {
            for when in [[Some(&*text), None, None], [None, Some(&*text), None], [None, None, Some(&*text)]] {
                if let Ok((due, _)) = first_in(&berlin(), when, Moment(1_000)) {
                    prop_assert!(due > Moment(1_000) && due.0 <= 1_000 + AHEAD_MAX.as_millis() as u64);
                }
            }
        }
    }
}
