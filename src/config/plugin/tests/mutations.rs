//! Texts that nobody would write, and the longest ones.

use super::super::{MANIFEST_MAX, Origin};
use super::{EXEC, GIT, HOST, HTTP};
use crate::plugin::manifest::shipped::SHIPPED;
use proptest::prelude::*;
use std::time::Duration;

/// Pieces that a mutation puts in.
const PIECES: [&str; 24] = [
    "[[",
    "]]",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'''",
    "=",
    ".",
    ",",
    "\n",
    "\\",
    "*",
    "-",
    "\0",
    "\u{202e}",
    "99999999999999999999",
    "1e9",
    "[command.\"a *\"]\n",
    "flags = [\"-a\"]\n",
    "program = \"/proc/self/exe\"\n",
    "~",
    "\u{1f980}",
];

/// One change of a text, at a part of its length.
fn mutated(text: &str, at: f64, length: usize, kind: u8) -> String {
    let floor = |mut offset: usize| {
        offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = floor((at * text.len() as f64) as usize);
    let end = floor(start + length);
    let (head, part, tail) = (&text[..start], &text[start..end], &text[end..]);
    match kind % 4 {
        0 => format!("{head}{tail}"),
        1 => format!("{head}{part}{part}{tail}"),
        2 => format!("{head}{}{tail}", PIECES[usize::from(kind) % PIECES.len()]),
        _ => format!("{head}{}{part}{tail}", PIECES[usize::from(kind) % PIECES.len()]),
    }
}

/// Processor time of this thread, which a busy machine does not stretch.
fn spent(act: impl FnOnce()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
    };
    let before = now();
    act();
    now() - before
}

fn many() -> ProptestConfig {
    // PROPTEST_CASES asks for more.
    ProptestConfig { cases: ProptestConfig::default().cases.max(3000), failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn no_text_is_a_surprise(
        seed in 0..SHIPPED.len() + 2,
        changes in proptest::collection::vec((0.0..1.0, 0..40_usize, any::<u8>()), 1..8),
    ) {
        let mut seeds = SHIPPED.iter().map(|shipped| shipped.text).chain([GIT, HTTP]);
        let text = seeds.nth(seed).unwrap().to_owned();
        let text = changes.iter().fold(text, |text, (at, length, kind)| mutated(&text, *at, *length, *kind));
        let took = spent(|| match HOST.read_as(Origin::Admin, "tool", &text) {
            Ok(loaded) => drop(format!("{:?}", loaded.manifest)),
            Err(error) => drop(format!("{:?}", miette::Report::new(error))),
        });
        prop_assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn the_most_that_a_manifest_can_ask_for_is_read_in_time() {
    let fill = |head: &str, line: &dyn Fn(usize) -> String| {
        let mut text = format!("{EXEC}{head}\n");
        for at in 0.. {
            let line = line(at);
            if text.len() + line.len() > MANIFEST_MAX {
                return text;
            }
            text += &line;
        }
        text
    };
    let options: Vec<String> = (0..1024).map(|at| format!("\"--{at}\"")).collect();
    let flags = format!("[options]\nflags = [{}]\nvalues = [\"--x\"]", options.join(","));
    for text in [
        fill(&flags, &|at| format!("[command.c{at}]\nblocked=[\"--q\"]\n")),
        fill("[commands]\nblocked = [\"x\"]\n[commands.aliases]", &|at| format!("a{at} = \"b\"\n")),
        fill("", &|at| format!("[credentials.c{at}]\nfile=\"/a\"\n")),
        fill("[environment.set]", &|at| format!("A{at} = \"\"\n")),
        fill("", &|at| format!("k{at} = {{}}\n")),
        format!("{EXEC}profile = {}", "[".repeat(100_000)),
        GIT.replacen("[push]", &format!("[push]\nmessage = \"{}\"", "(a{9}){9}".repeat(100)), 1),
    ] {
        let took = spent(|| drop(HOST.read_as(Origin::Admin, "tool", &text)));
        assert!(took < Duration::from_secs(10), "{took:?}: {}", &text[..80]);
    }
    let long = format!("{EXEC}#{}", "x".repeat(MANIFEST_MAX));
    assert!(HOST.read_as(Origin::Admin, "tool", &long).unwrap_err().to_string().contains("larger than 256 KiB"));
}
