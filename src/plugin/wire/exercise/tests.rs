//! Structured mutations: frames whose parts are good one by one, and wrong together.

use super::*;
use crate::plugin::wire::{CHUNK_MAX, REQUEST_MAX};

const FIRSTS: [&str; 5] = [
    r#"{"action":"stream","version":1}"#,
    r#"{"action":"stream","version":2}"#,
    r#"{"action":"exec","args":["pr","list"],"cwd":"/home/al/api","env":{"TERM":"dumb","A":""}}"#,
    r#"{"action":"exec","args":[],"cwd":"/"}"#,
    r#"{"cwd":"/a","env":{},"args":["\u0000","\ud83d\ude00"],"action":"exec"}"#,
];

const CONTROLS: [&str; 8] = [
    r#"{"action":"exec","args":["x"],"cwd":"/a","terminal":{"rows":1,"columns":2,"stdin":true,"stdout":true,"stderr":false}}"#,
    r#"{"action":"connect","service":"git-upload-pack","url":"https://h/o/r","mode":"stateless"}"#,
    r#"{"action":"connect","service":"git-receive-pack","url":"git@h:o/r","mode":"connect"}"#,
    r#"{"action":"signal","signal":"INT"}"#,
    r#"{"action":"signal","signal":"WINCH"}"#,
    r#"{"action":"resize","rows":65535,"columns":0}"#,
    r#"{"action":"close","stream":"stderr"}"#,
    r#"{"action":"exec","args":["-c"],"cwd":"/","env":{"LC_ALL":"C"},"terminal":null}"#,
];

/// Pieces of JSON that are put where they do not belong.
const VALUES: [&[u8]; 22] = [
    b"null",
    b"true",
    b"-1",
    b"65536",
    b"1e999",
    b"18446744073709551616",
    b"{}",
    b"[]",
    b"\"\"",
    b"\"/\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"\"\xff\xc0\xaf\"",
    b"\"exec\"",
    b"\"action\":\"signal\",",
    b"\"env\":{\"A\":\"\",\"A\":\"\"},",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"\x1b]52;c;x\x07",
    b"\xe2\x80\xae",
    b",",
    b"}",
    b"\0",
];

/// xorshift64* (Vigna, 2016): the same mutations each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len());
    match dice.below(5) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..(at + dice.below(12)).min(bytes.len()))),
        3 => bytes.extend_from_within(at..(at + dice.below(30)).min(bytes.len())),
        _ => drop(bytes.splice(at..at, dice.one(&VALUES).iter().copied())),
    }
}

/// A frame with this body, and most times with its length.
fn frame(dice: &mut Dice, body: &[u8], out: &mut Vec<u8>) {
    let length = match dice.below(24) {
        0 => body.len() + 1,
        1 => body.len().saturating_sub(1),
        2 => dice.one(&[0, REQUEST_MAX, REQUEST_MAX + 1, CHUNK_MAX + 1, CHUNK_MAX + 2, u32::MAX as usize, 1 << 31]),
        _ => body.len(),
    };
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(body);
}

fn connection(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    let first = if dice.below(2) == 0 { FIRSTS[0] } else { dice.one(&FIRSTS) };
    let mut body = first.as_bytes().to_vec();
    if dice.below(4) == 0 {
        mutate(dice, &mut body);
    }
    frame(dice, &body, &mut bytes);
    for _ in 0..dice.below(4) {
        let mut body = match dice.below(8) {
            0 => dice.one(&FIRSTS).as_bytes().to_vec(),
            1 => [&b"0"[..], dice.one(&VALUES)].concat(),
            2 => vec![dice.one(b"012c\0\xff")],
            _ => [&b"c"[..], dice.one(&CONTROLS).as_bytes()].concat(),
        };
        (0..dice.below(3)).for_each(|_| mutate(dice, &mut body));
        frame(dice, &body, &mut bytes);
    }
    if dice.below(8) == 0 {
        mutate(dice, &mut bytes);
    }
    bytes
}

#[test]
fn a_million_mutations_of_connections_are_no_surprise() {
    let requests: usize = std::thread::scope(|scope| {
        let mutations = |seed| {
            let mut dice = Dice(seed);
            (0..250_000).map(|_| exercise(&connection(&mut dice))).sum::<usize>()
        };
        let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(move || mutations(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Otherwise it would try nothing but the first frame.
    assert!(requests > 1_000_000, "{requests} requests");
}

#[test]
fn each_of_them_is_understood() {
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes(), body].concat();
    let stream = framed(FIRSTS[0].as_bytes());
    for control in CONTROLS {
        let body = [&b"c"[..], control.as_bytes()].concat();
        assert_eq!(exercise(&[stream.clone(), framed(&body)].concat()), 2, "{control}");
    }
    for first in &FIRSTS[..4] {
        assert_eq!(exercise(&framed(first.as_bytes())), 1, "{first}");
    }
}
