//! Ceilings of a relay.

use super::super::reader::Value;
use super::super::values::parse_size;
use super::Keys;
use crate::relay::policy::Limits;
use crate::timespan;
use std::ops::RangeInclusive;
use std::time::Duration;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// The longest that anything is kept: ten years.
const LONGEST: u64 = 3_653 * DAY;

/// Bytes of a message's text.
const MESSAGE_SIZE: RangeInclusive<u64> = 1 << 10..=4 << 20;
/// Bytes that wait in a mailbox; whatever the largest message is, one fits.
const STORED_BYTES: RangeInclusive<u64> = 16 << 20..=1 << 40;
/// Messages in a minute, or at once.
const RATE: RangeInclusive<u64> = 1..=1_000_000;
/// Messages that wait in a mailbox.
const STORED_MESSAGES: RangeInclusive<u64> = 1..=10_000_000;
/// Sessions of a user. Each is a socket that the relay holds open, of the 524288 that its unit allows.
const SESSIONS: RangeInclusive<u64> = 1..=100_000;
/// Schedules of a session; none may be wanted.
const SCHEDULES: RangeInclusive<u64> = 0..=100_000;
/// Seconds that the audit is kept.
pub(super) const RETENTION: RangeInclusive<u64> = DAY..=LONGEST;
/// Seconds that a message waits, and that a session is silent.
const WAITING: RangeInclusive<u64> = MINUTE..=LONGEST;
/// Seconds between two signs of life.
const HEARTBEAT: RangeInclusive<u64> = 5..=DAY;

/// Takes the ceilings. What was sent cannot wait for longer than the audit of it is kept: the audit is what the
/// relay rebuilds its store from.
pub(super) fn take(keys: &mut Keys<'_, '_, '_>, limits: &mut Limits, retention: Duration) {
    keys.set("max_message_size", &mut limits.message_size, |value| {
        size(value, MESSAGE_SIZE).and_then(|bytes| usize::try_from(bytes).ok())
    });
    keys.set("rate_limit", &mut limits.rate, |value| count(value, "messages a minute", RATE));
    limits.burst = limits.rate;
    keys.set("rate_burst", &mut limits.burst, |value| count(value, "messages at once", RATE));
    keys.set("stored_messages", &mut limits.stored_messages, |value| count(value, "messages", STORED_MESSAGES));
    keys.set("stored_bytes", &mut limits.stored_bytes, |value| size(value, STORED_BYTES));
    limits.message_expiry = limits.message_expiry.min(retention);
    keys.bounded_time("message_expiry", &mut limits.message_expiry, WAITING, |value, time| {
        let most = timespan::written(retention);
        let message = format_args!("the audit is kept for {most}, and no message waits for longer than that");
        let allowed = format_args!("at most {most}, or a longer `audit_retention`");
        fits(value, time <= retention, message, allowed)
    });
    keys.time("session_timeout", &mut limits.session_timeout, WAITING);
    let timeout = limits.session_timeout;
    limits.heartbeat_expiry = limits.heartbeat_expiry.min(timeout);
    keys.bounded_time("heartbeat_expiry", &mut limits.heartbeat_expiry, HEARTBEAT, |value, time| {
        let most = timespan::written(timeout);
        let message = format_args!("a session that was silent for {most} is ended, and cannot be away before");
        let allowed = format_args!("at most {most}, or a longer `session_timeout`");
        fits(value, time <= timeout, message, allowed)
    });
    keys.set("max_sessions", &mut limits.sessions, |value| count(value, "sessions of one user", SESSIONS));
    keys.set("max_schedules", &mut limits.schedules, |value| count(value, "schedules of one session", SCHEDULES));
}

fn fits(
    value: &Value<'_, '_>,
    condition: bool,
    message: std::fmt::Arguments<'_>,
    allowed: std::fmt::Arguments<'_>,
) -> bool {
    if !condition {
        value.error(message, allowed);
    }
    condition
}

fn count(value: &Value<'_, '_>, what: &str, bounds: RangeInclusive<u64>) -> Option<u32> {
    let expected = format!("a number of {what} from {} to {}", bounds.start(), bounds.end());
    u32::try_from(value.integer(&expected, bounds)?).ok()
}

/// Bytes, as a number or with a unit.
fn size(value: &Value<'_, '_>, bounds: RangeInclusive<u64>) -> Option<u64> {
    let range = format!("from {} to {}", in_units(*bounds.start()), in_units(*bounds.end()));
    if value.is_integer() {
        return value.integer(&format!("a number of bytes {range}"), bounds);
    }
    value.parse("an amount of bytes like \"1MiB\"", |text| {
        let bytes = parse_size(text).filter(|bytes| bounds.contains(bytes));
        bytes.ok_or_else(|| format!("write bytes, or a number with KiB, MiB, GiB, kB, MB or GB, {range}"))
    })
}

/// A bound, which is a whole number of one of these.
fn in_units(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}
