//! What holds for any bytes of a client's: for `cargo fuzz run plugin_frames`, and for the test here.

use super::allowance::Allowance;
use super::frames::{self, BadFrame, Decoder, Sender, Tag};
use super::{Control, First, Malformed};

/// Bytes that one connection may have the broker hold here.
const ALLOWED: usize = 4 << 20;
/// Bytes of what is wrong, told to a client: a few for each of the characters that are kept.
const WRONG_MAX: usize = 4096;

/// Puts bytes through what a client's bytes go through before the broker decides anything, cut
/// differently, and checks what must hold. The number of requests among them.
///
/// # Panics
/// If a rule is broken: frames that depend on how they were cut, a request that is another one when it is read
/// again, more memory than was allowed.
pub fn exercise(bytes: &[u8]) -> usize {
    let allowance = Allowance::of(ALLOWED);
    let whole = read(bytes, usize::MAX, &allowance);
    // In two reads, so that a frame begins in one and ends in the other.
    let cut = (bytes.len() / 2).max(1);
    assert_eq!(whole, read(bytes, cut, &allowance), "it depends on how it was cut");
    assert_eq!(allowance.left(), ALLOWED, "what was charged was not given back");
    whole.0
}

/// Requests, bytes of input, and how it ended.
type Sum = (usize, usize, Option<BadFrame>);

fn read(mut bytes: &[u8], read: usize, allowance: &Allowance) -> Sum {
    let mut decoder = Decoder::new(Sender::Client, allowance);
    let (mut requests, mut input, mut streaming) = (0, 0, false);
    while !bytes.is_empty() {
        let count = match decoder.space() {
            Ok(space) => {
                let count = bytes.len().min(read).min(space.len());
                assert!(count > 0, "there is no room for the next read");
                space[..count].copy_from_slice(&bytes[..count]);
                count
            }
            Err(error) => return (requests, input, Some(error)),
        };
        bytes = &bytes[count..];
        decoder.filled(count);
        loop {
            match next(&mut decoder, &mut streaming) {
                Ok(Some(Heard::Request)) => requests += 1,
                Ok(Some(Heard::Input(length))) => input += length,
                Ok(Some(Heard::Nothing)) => {}
                Ok(None) => break,
                Err(error) => return (requests, input, Some(error)),
            }
        }
        decoder.rest();
    }
    (requests, input, None)
}

enum Heard {
    Request,
    Nothing,
    Input(usize),
}

fn next(decoder: &mut Decoder, streaming: &mut bool) -> Result<Option<Heard>, BadFrame> {
    if *streaming {
        let Some(frame) = decoder.frame()? else { return Ok(None) };
        return Ok(Some(if frame.tag == Tag::Control {
            control(frame.payload)
        } else {
            Heard::Input(frame.payload.len())
        }));
    }
    let Some(message) = decoder.message()? else { return Ok(None) };
    Ok(Some(match First::parse(message) {
        Ok(first) => {
            *streaming = matches!(first, First::Stream { .. });
            if let Ok(again) = frames::message(Sender::Client, &first) {
                assert_eq!(First::parse(&again[4..]), Ok(first), "read again it is another one");
            }
            Heard::Request
        }
        Err(malformed) => refused(&malformed),
    }))
}

fn control(payload: &[u8]) -> Heard {
    match Control::parse(payload) {
        Ok(said) => {
            // JSON with escapes may be longer than it was.
            if let Ok(again) = frames::control(Sender::Client, &said) {
                assert_eq!(Control::parse(&again[frames::HEADER..]), Ok(said), "read again it is another one");
            }
            Heard::Request
        }
        Err(malformed) => refused(&malformed),
    }
}

fn refused(malformed: &Malformed) -> Heard {
    let told = malformed.to_string();
    assert!(told.len() <= WRONG_MAX, "{} bytes of what is wrong", told.len());
    assert!(!told.chars().any(crate::shown::is_unseen), "{told:?}");
    Heard::Nothing
}

#[cfg(test)]
mod tests;
