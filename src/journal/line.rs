//! The form of one line. What stands before the event has one spelling alone, so that it can be read without
//! the rest.

use super::Recorded;
use super::hash::{DIGITS, Hash};
use crate::moment::Moment;
use serde::Serialize;
use std::io::Write;

/// Bytes of a line, without its end, above which none is written and none is read. The text of a message has
/// at most 1 MiB if nothing else is configured, and JSON makes six bytes of some.
pub const LINE_MAX: usize = 16 << 20;

/// One thing that happened, and where in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<E> {
    /// Counts up by one from 1, for ever.
    pub n: u64,
    /// When, by the host's clock, which may go backwards.
    pub at: Moment,
    /// The hash of the line before.
    pub prev: Hash,
    /// What.
    pub event: E,
}

/// What stands before the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub n: u64,
    pub at: Moment,
    pub prev: Hash,
    /// Where in the line the event begins, at the comma before it.
    body: usize,
}

/// Adds a line, without its end.
pub(super) fn write(
    text: &mut Vec<u8>,
    n: u64,
    at: Moment,
    prev: &Hash,
    event: &impl Serialize,
) -> Result<(), serde_json::Error> {
    write!(text, "{{\"n\":{n},\"at\":{},\"prev\":\"", at.0).map_err(serde_json::Error::io)?;
    prev.write(text);
    text.push(b'"');
    let body = text.len();
    serde_json::to_writer(&mut *text, event)?;
    // The event's own fields are the entry's: its brace becomes the comma before them.
    text[body] = b',';
    Ok(())
}

/// Reads what stands before the event; the beginning of the line is enough.
pub(super) fn header(line: &[u8]) -> Option<Header> {
    let (n, rest) = number(line.strip_prefix(b"{\"n\":")?)?;
    let (at, rest) = number(rest.strip_prefix(b",\"at\":")?)?;
    let (digits, rest) = rest.strip_prefix(b",\"prev\":\"")?.split_at_checked(DIGITS)?;
    let body = line.len() - rest.strip_prefix(b"\"")?.len();
    (n > 0 && line.get(body) == Some(&b',')).then_some(())?;
    Some(Header { n, at: Moment(at), prev: Hash::from_digits(digits)?, body })
}

/// Bytes that hold any header.
pub(super) const HEADER_MAX: usize = 160;

/// Reads the event of a line whose header was read. Leaves the line changed.
pub(super) fn event<E: Recorded>(header: &Header, line: &mut [u8]) -> Result<E, serde_json::Error> {
    line[header.body] = b'{';
    serde_json::from_slice(&line[header.body..])
}

/// A decimal number as it is written: no sign, and no zero in front.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let plain = digits.len() == 1 || digits.first() != Some(&b'0');
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    plain.then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::event::Event;

    #[test]
    fn a_line_is_one_json_object_and_is_read_as_it_was_written() {
        let event = Event::Started { version: "1\n\"x\u{1b}".into() };
        let (mut line, prev) = (Vec::new(), Hash::of(b"before"));
        write(&mut line, 7, Moment(9), &prev, &event).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&value["n"], &value["at"], &value["event"]), (&7.into(), &9.into(), &"started".into()));
        assert_eq!(value["prev"], prev.to_string());
        let header = header(&line[..HEADER_MAX.min(line.len())]).unwrap();
        assert_eq!((header.n, header.at, header.prev), (7, Moment(9), prev));
        assert_eq!(super::event::<Event>(&header, &mut line).unwrap(), event);
    }

    #[test]
    fn the_longest_header_is_read_from_its_beginning_alone() {
        let mut line = Vec::new();
        write(&mut line, u64::MAX, Moment(u64::MAX), &Hash::default(), &Event::Mended { what: "x".repeat(99) })
            .unwrap();
        assert_eq!(header(&line[..HEADER_MAX]).unwrap().n, u64::MAX);
    }

    #[test]
    fn another_spelling_is_no_entry() {
        let hash = "0".repeat(64);
        let good = format!(r#"{{"n":1,"at":2,"prev":"{hash}","event":"started","version":"1"}}"#);
        assert!(header(good.as_bytes()).is_some());
        for (from, to) in [
            ("\"n\":1", "\"n\":01"),
            ("\"n\":1", "\"n\":0"),
            ("\"n\":1", "\"n\":-1"),
            ("\"n\":1", "\"n\":1.0"),
            ("\"n\":1", "\"n\": 1"),
            ("\"n\":1", "\"n\":99999999999999999999"),
            ("\"at\":2,", ""),
            ("0\",", "A\","),
            ("0\",", "\","),
            (",\"event", " \"event"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert!(header(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
