//! What holds for any bytes of a client's: for `cargo fuzz run relay_line`, and for the test here.

use super::name::ProjectName;
use super::text::{Roots, clean, one_line, quoted};
use super::timing;
use super::wire::{Lines, Malformed, Reply, Request, Response, parse};
use crate::moment::Moment;
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

/// Bytes of a line. Longer ones are refused before they are looked at.
pub const LINE_MAX: usize = 16 << 10;
/// Bytes of the answer to a line that is no request.
const ANSWER_MAX: usize = 8 << 10;

static PROJECT: LazyLock<ProjectName> = LazyLock::new(|| "api".parse().expect("a name"));

/// Puts bytes through what a client's bytes go through before the relay decides anything, and checks what must
/// hold. The number of requests among them.
///
/// # Panics
/// If a rule is broken: a request that is another one when it is read again, an answer larger than allowed, a
/// text that is not clean when it was cleaned.
pub fn exercise(bytes: &[u8]) -> usize {
    let (mut lines, mut requests) = (Lines::default(), 0);
    // In two reads, so that a line begins in one and ends in the other.
    for read in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
        lines.push(read);
        while let Ok(Some(line)) = lines.line(LINE_MAX) {
            requests += usize::from(understood(line));
        }
    }
    requests
}

fn understood(line: &[u8]) -> bool {
    match parse(line) {
        Ok((envelope, mut request)) => {
            if let Request::Response(answer) = &mut request {
                answer.data.iter_mut().for_each(without_fractions);
            }
            let mut value = serde_json::to_value(&request).expect("a request is JSON");
            let tags =
                [("request", envelope.request.clone()), ("internal_id", envelope.internal_id.clone().map(Into::into))];
            for (name, tag) in tags {
                if let Some(tag) = tag {
                    value[name] = Value::String(tag);
                }
            }
            let again = parse(value.to_string().as_bytes());
            assert_eq!(again.as_ref(), Ok(&(envelope, request.clone())), "read again it is another one");
            texts(&request).into_iter().for_each(cleaned);
            if let Request::Schedule(schedule) = &request {
                let when = [&schedule.at, &schedule.in_, &schedule.every].map(Option::as_deref);
                due(when);
            }
            true
        }
        Err(malformed) => {
            refused(malformed);
            false
        }
    }
}

/// serde_json reads a fraction to the last digit but one unless it is told to take more time.
fn without_fractions(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => *value = 0.into(),
        Value::Array(values) => values.iter_mut().for_each(without_fractions),
        Value::Object(fields) => fields.values_mut().for_each(without_fractions),
        _ => {}
    }
}

fn refused(Malformed { request, word, refusal }: Malformed) {
    let line = Reply::Response(Response::refused(word.unwrap_or_default(), request, refusal)).line();
    assert!(line.len() <= ANSWER_MAX, "an answer of {} bytes", line.len());
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "an answer is one line");
}

fn texts(request: &Request) -> Vec<&str> {
    match request {
        Request::Prompt(prompt) => vec![&prompt.text],
        Request::Command(command) => vec![&command.name, &command.text],
        Request::Eval(eval) => vec![&eval.code],
        Request::Send(send) => vec![&send.text],
        Request::Response(answer) => vec![&answer.text, answer.error.as_deref().unwrap_or_default()],
        Request::Schedule(schedule) => vec![&schedule.text],
        _ => Vec::new(),
    }
}

fn cleaned(text: &str) {
    let roots =
        Roots { root: Some(Path::new("/home/al/api")), project: Some(&PROJECT), home: Some(Path::new("/home/al")) };
    // At most ten bytes stand for one that is escaped, and five for a path that is one character longer.
    let Ok(once) = clean(text, Some(&roots), 10 * LINE_MAX) else { panic!("no text of a line grows so much") };
    let again = clean(&once.text, Some(&roots), 10 * LINE_MAX);
    assert!(again.is_ok_and(|again| again.text == once.text), "what is clean stays as it is");
    assert!(quoted(&once.text).lines().all(|line| line.starts_with("> ")));
    assert!(!one_line(text, 80).contains('\n'));
}

fn due([at, in_, every]: [Option<&str>; 3]) {
    let now = Moment(1_800_000_000_000);
    if let Ok((due, _)) = timing::first(at, in_, every, now) {
        assert!(due > now && due.since(now) <= timing::AHEAD_MAX, "due {due:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: [&str; 20] = [
        r#"{"type":"register","name":"n","session_id":"x","secret":"s","version":1,"timestamp":1700000000000}"#,
        r#"{"type":"associate","internal_id":"a-1","session_id":"x"}"#,
        r#"{"type":"heartbeat","data":{"context_used":1,"context_size":200000,"model":"m"},"timestamp":"2026-01-01T00:00:00Z"}"#,
        r#"{"type":"prompt","session_id":"a-1","text":"see /home/al/api/x","request":"7"}"#,
        r#"{"type":"command","session_id":"project:api@build","name":"clear","text":""}"#,
        r#"{"type":"eval","session_id":"group:g","code":"1+1"}"#,
        r#"{"type":"query","query":"session_path","session_id":"a-1"}"#,
        r#"{"type":"query","query":"list_sessions","request":"r"}"#,
        r#"{"type":"response","reply_to":"m1","text":"t","data":{"a":[1,null,true,{"b":"c"}]},"error":null}"#,
        r#"{"type":"send","to":"user","text":"\u001b[31m/home/bob\u202e \ud83d\ude00","kind":"prompt","id":"m","reply_to":"m","seq":3,"expires_in":60}"#,
        r#"{"type":"inbox","limit":10,"after":"m","all":true}"#,
        r#"{"type":"ack","ids":["m1","m2","m3"]}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"schedule","to":"a-1","text":"t","at":"2027-03-01T09:00:00+01:00","id":"s"}"#,
        r#"{"type":"schedule","to":"a-1","text":"t","in":"1h30m"}"#,
        r#"{"type":"schedule","to":"a-1","text":"t","every":"30 9 * * mon-fri"}"#,
        r#"{"type":"cancel","id":"s"}"#,
        r#"{"type":"open","session":"a-1","root":"/home/al/api","project":"api","home":"/home/al"}"#,
        r#"{"type":"close","session":"a-1"}"#,
        r#"{"type":"stop"}"#,
    ];

    /// Values that are too large, too deep, of another type, or none.
    fn values() -> Vec<Vec<u8>> {
        let text = |text: &str| text.as_bytes().to_vec();
        let mut values: Vec<Vec<u8>> = [
            "null",
            "true",
            "0",
            "-1",
            "-0",
            "1.5",
            "1e999",
            "1e-999",
            "18446744073709551615",
            "18446744073709551616",
            "01",
            "{}",
            "[]",
            "\"\"",
            "\"a\"",
            "\"/home/al\"",
            "\"\\ud800\"",
            "\"\\u0000\\n\"",
            "\"\\ufe0f\\u200b\"",
            "\"a\"b\"",
            "\"user\"",
            "\"project:p@h\"",
            "\"0 0 30 2 *\"",
            "\"9999999999999999d\"",
            "\"eval\"",
            "\"register\"",
            "NaN",
            "",
        ]
        .map(text)
        .to_vec();
        values.push(text(&"9".repeat(320)));
        values.push(text(&format!("{}{}", "[".repeat(120), "]".repeat(120))));
        values.push(text(&"[".repeat(200)));
        values.push(text(&"{\"a\":".repeat(130)));
        values.push(text(&format!("\"{}\"", "x".repeat(300))));
        values.push(text(&format!("\"{}\"", "\u{301}".repeat(150))));
        values.push(vec![b'"', 0xff, 0xc0, 0xaf, 0xed, 0xa0, 0x80, b'"']);
        values
    }

    /// xorshift64* (Vigna, 2016): the same mutations each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
        }

        fn range(&mut self, end: usize) -> std::ops::Range<usize> {
            let from = self.below(end + 1);
            from..(from + self.below(20)).min(end)
        }
    }

    type Field = (String, Vec<u8>);

    /// The fields of a valid request, each value as it is written.
    fn fields(line: &str) -> Vec<Field> {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        fields.into_iter().map(|(name, value)| (name, value.to_string().into_bytes())).collect()
    }

    fn written(fields: &[Field]) -> Vec<u8> {
        let mut line = vec![b'{'];
        for (at, (name, value)) in fields.iter().enumerate() {
            line.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\":");
            line.extend_from_slice(value);
        }
        line.push(b'}');
        line
    }

    /// Changes a field: none, twice, another's name or value, or another request's.
    fn mutate_fields(dice: &mut Dice, fields: &mut Vec<Field>, others: &[Vec<Field>], values: &[Vec<u8>]) {
        let at = dice.below(fields.len());
        let other = &others[dice.below(others.len())];
        let theirs = &other[dice.below(other.len())];
        match dice.below(6) {
            0 if fields.len() > 1 => drop(fields.remove(at)),
            1 => fields.push(fields[at].clone()),
            2 => fields[at].0.clone_from(&theirs.0),
            3 => fields[at].1.clone_from(&theirs.1),
            4 => fields.push(theirs.clone()),
            _ => fields[at].1.clone_from(&values[dice.below(values.len())]),
        }
    }

    /// Changes bytes: flips, cuts, doubles, removes or puts in.
    fn mutate_bytes(dice: &mut Dice, line: &mut Vec<u8>, values: &[Vec<u8>]) {
        let at = dice.below(line.len());
        match dice.below(6) {
            0 if !line.is_empty() => line[at] ^= 1 << dice.below(8),
            1 => line.truncate(at),
            2 => {
                let range = dice.range(line.len());
                line.extend_from_within(range);
            }
            3 => drop(line.drain(dice.range(line.len()))),
            4 => drop(line.splice(at..at, values[dice.below(values.len())].iter().copied())),
            _ => drop(line.splice(at..at, [b'\n', 0xf0, b'"', b'\\', b','][dice.below(5)..].iter().take(1).copied())),
        }
    }

    /// How many of so many mutations are requests.
    fn mutations(seed: u64, count: u32) -> usize {
        let (mut dice, values) = (Dice(seed), values());
        let seeds: Vec<Vec<Field>> = REQUESTS.iter().map(|line| fields(line)).collect();
        let mut requests = 0;
        for _ in 0..count {
            let mut request = seeds[dice.below(seeds.len())].clone();
            (0..dice.below(3)).for_each(|_| mutate_fields(&mut dice, &mut request, &seeds, &values));
            let mut line = written(&request);
            (0..dice.below(3)).for_each(|_| mutate_bytes(&mut dice, &mut line, &values));
            line.push(b'\n');
            requests += exercise(&line);
        }
        requests
    }

    #[test]
    fn a_million_mutations_of_requests_are_no_surprise() {
        let requests: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(move || mutations(seed, 250_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // Otherwise it would try nothing but the parser of JSON.
        assert!(requests > 100_000, "{requests} requests");
    }

    #[test]
    fn each_request_is_understood() {
        for line in REQUESTS {
            assert_eq!(exercise(format!("{line}\n").as_bytes()), 1, "{line}");
        }
    }
}
