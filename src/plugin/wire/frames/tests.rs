//! Frames that are cut, claimed and mixed in every way.

use super::*;
use crate::plugin::wire::{Control, Event, First, Signal};

fn decoder(sender: Sender) -> Decoder {
    Decoder::new(sender, &Allowance::of(2 * RESPONSE_MAX))
}

/// Reads all of it in reads of this size; the most that was held meanwhile.
fn feed(decoder: &mut Decoder, mut bytes: &[u8], read: usize, take: &mut dyn FnMut(&mut Decoder)) -> usize {
    let mut most = 0;
    while !bytes.is_empty() {
        let space = decoder.space().unwrap();
        let count = bytes.len().min(space.len()).min(read);
        assert!(count > 0, "there is no room");
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        decoder.filled(count);
        most = most.max(decoder.charge.bytes());
        take(decoder);
    }
    most
}

fn refused(sender: Sender, bytes: &[u8], tagged: bool) -> Option<BadFrame> {
    let (mut decoder, mut error) = (decoder(sender), None);
    feed(&mut decoder, bytes, usize::MAX, &mut |decoder| {
        error = if tagged { decoder.frame().err() } else { decoder.message().err() };
    });
    error
}

fn framed(tag: Tag, bytes: &[u8]) -> Vec<u8> {
    chunks(tag, bytes).flat_map(|(header, payload)| [&header, payload].concat()).collect()
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let big: Vec<u8> = (0..CHUNK_MAX + 70_000).map(|at| (at % 251) as u8).collect();
    let signal = control(Sender::Client, &Control::Signal { signal: Signal::Int }).unwrap();
    let sent = [framed(Tag::Input, b"a"), signal.clone(), framed(Tag::Input, &big), framed(Tag::Input, b"")].concat();
    for read in [1, 2, 3, 5, 4096, 4099, 65_536, usize::MAX] {
        let (mut input, mut controls, mut empty) = (Vec::new(), 0, 0);
        feed(&mut decoder(Sender::Client), &sent, read, &mut |decoder| {
            while let Some(frame) = decoder.frame().unwrap() {
                match frame.tag {
                    Tag::Control => controls += usize::from(frame.payload == &signal[HEADER..]),
                    _ if frame.payload.is_empty() => empty += 1,
                    _ => input.extend_from_slice(frame.payload),
                }
            }
        });
        assert_eq!((controls, empty, input.len()), (1, 1, 1 + big.len()), "reads of {read}");
        assert!(input[0] == b'a' && input[1..] == big);
    }
}

#[test]
fn the_form_changes_between_two_frames_of_one_read() {
    let first = message(Sender::Client, &First::Stream { version: 1 }).unwrap();
    let mut decoder = decoder(Sender::Client);
    feed(&mut decoder, &[first, framed(Tag::Input, b"x")].concat(), usize::MAX, &mut |decoder| {
        assert_eq!(decoder.message().unwrap().map(First::parse), Some(Ok(First::Stream { version: 1 })));
        assert_eq!(decoder.frame().unwrap(), Some(Frame { tag: Tag::Input, payload: b"x" }));
        assert_eq!(decoder.frame().unwrap(), None);
    });
}

#[test]
fn a_length_is_judged_before_its_body_is_there() {
    use Sender::{Broker, Client};
    let claim = |length: usize| (length as u32).to_be_bytes().to_vec();
    let too_long = |length, limit| Some(BadFrame::TooLong { length, limit });
    assert_eq!(refused(Client, &claim(0), false), Some(BadFrame::Empty));
    assert_eq!(refused(Client, &claim(0), true), Some(BadFrame::Empty));
    for giant in [REQUEST_MAX + 1, 1 << 31, u32::MAX as usize] {
        assert_eq!(refused(Client, &claim(giant), false), too_long(giant, REQUEST_MAX));
        assert_eq!(refused(Client, &claim(giant), true), too_long(giant, REQUEST_MAX));
    }
    assert_eq!(refused(Broker, &claim(RESPONSE_MAX + 1), false), too_long(RESPONSE_MAX + 1, RESPONSE_MAX));
    assert_eq!(refused(Client, &claim(REQUEST_MAX), false), None);
    let tagged = |length, tag: u8| [claim(length), vec![tag]].concat();
    assert_eq!(refused(Client, &tagged(REQUEST_MAX, b'c'), true), None);
    assert_eq!(refused(Client, &tagged(1 + CHUNK_MAX, b'0'), true), None);
    assert_eq!(refused(Client, &tagged(2 + CHUNK_MAX, b'0'), true), too_long(2 + CHUNK_MAX, 1 + CHUNK_MAX));
    assert_eq!(refused(Broker, &tagged(2 + CHUNK_MAX, b'c'), true), too_long(2 + CHUNK_MAX, 1 + CHUNK_MAX));
}

#[test]
fn a_tag_of_the_other_side_is_none() {
    for (sender, good) in [(Sender::Client, "c0"), (Sender::Broker, "c12")] {
        for tag in 0..=u8::MAX {
            let unknown = refused(sender, &[0, 0, 0, 1, tag], true) == Some(BadFrame::UnknownTag(tag));
            assert_eq!(unknown, !good.contains(tag as char) || !tag.is_ascii(), "{sender:?} {tag}");
        }
    }
}

#[test]
fn memory_follows_what_has_come_and_not_what_is_claimed() {
    let mut decoder = decoder(Sender::Client);
    let claim = [&(REQUEST_MAX as u32).to_be_bytes()[..], b"c"].concat();
    let held = feed(&mut decoder, &claim, usize::MAX, &mut |decoder| assert_eq!(decoder.frame(), Ok(None)));
    assert_eq!(held, FIRST);
    let body = vec![b' '; REQUEST_MAX - 2];
    let held = feed(&mut decoder, &body, 1000, &mut |decoder| assert_eq!(decoder.frame(), Ok(None)));
    assert_eq!(held, LENGTH + REQUEST_MAX);
}

#[test]
fn a_million_small_frames_take_the_memory_of_one_read() {
    let sent = framed(Tag::Input, b"x").repeat(1_000_000);
    let mut frames = 0;
    let held = feed(&mut decoder(Sender::Client), &sent, usize::MAX, &mut |decoder| {
        while decoder.frame().unwrap().is_some() {
            frames += 1;
        }
    });
    assert_eq!((frames, held <= AHEAD), (1_000_000, true), "{held} bytes were held");
}

#[test]
fn connections_of_one_peer_share_what_it_may_hold() {
    let allowance = Allowance::of(3 * FIRST);
    let mut first = Decoder::new(Sender::Client, &allowance);
    let mut second = Decoder::new(Sender::Client, &allowance);
    let unfinished = vec![1; FIRST];
    first.space().unwrap().copy_from_slice(&unfinished);
    first.filled(FIRST);
    first.space().unwrap();
    second.space().unwrap();
    second.filled(FIRST);
    assert_eq!(second.space(), Err(BadFrame::NoAllowance));
    drop(first);
    second.space().unwrap();
    drop(second);
    assert_eq!(allowance.left(), 3 * FIRST);
}

#[test]
fn an_idle_connection_holds_nothing() {
    let mut decoder = decoder(Sender::Client);
    let sent = framed(Tag::Input, &[7; 100_000]);
    feed(&mut decoder, &sent[..50_000], usize::MAX, &mut |decoder| assert_eq!(decoder.frame(), Ok(None)));
    decoder.rest();
    assert!(decoder.charge.bytes() > 0, "what came of a frame is kept");
    let mut frames = 0;
    let mut count = |decoder: &mut Decoder| frames += usize::from(decoder.frame() != Ok(None));
    feed(&mut decoder, &sent[50_000..], usize::MAX, &mut count);
    decoder.rest();
    assert_eq!((decoder.charge.bytes(), decoder.held.capacity()), (0, 0));
    feed(&mut decoder, &framed(Tag::Input, b"x"), 1, &mut count);
    assert!(frames == 2 && !decoder.is_unfinished());
}

#[test]
fn what_is_too_long_is_not_written_either() {
    let error = "x".repeat(CHUNK_MAX);
    let refused = control(Sender::Broker, &Event::Refused { exit_code: 126, error });
    assert!(matches!(refused, Err(BadFrame::TooLong { .. })));
}

#[test]
fn the_rest_of_a_piece_of_output_may_be_read_by_other_means() {
    let bytes = [framed(Tag::Output, b"0123456789"), framed(Tag::Error, b"x")].concat();
    for come in 0..HEADER + 10 {
        let mut decoder = decoder(Sender::Broker);
        feed(&mut decoder, &bytes[..come], usize::MAX, &mut |_| {});
        assert_eq!(decoder.split_frame(|_| false).unwrap(), None, "after {come} bytes");
        let Some(((tag, range), missing)) = decoder.split_frame(|tag| tag == Tag::Output).unwrap() else {
            assert!(come < HEADER, "after {come} bytes");
            continue;
        };
        let has = come - HEADER;
        assert_eq!((tag, decoder.at(range), missing), (Tag::Output, &b"0123456789"[..has], 10 - has));
        assert!(!decoder.is_unfinished());
        feed(&mut decoder, &bytes[HEADER + 10..], usize::MAX, &mut |_| {});
        let ((tag, range), missing) = decoder.split_frame(|_| true).unwrap().unwrap();
        assert_eq!((tag, decoder.at(range), missing), (Tag::Error, &b"x"[..], 0));
    }
}
