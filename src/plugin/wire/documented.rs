//! `docs/plugin-protocol.md` against the types and constants: whoever writes a client has nothing else.

use super::*;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/plugin-protocol.md");

fn examples() -> Vec<(&'static str, Value)> {
    let lines = PAGE.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| (line, serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))).collect()
}

/// What it is, if it is read as that and written again the same.
fn understood(line: &str, value: &Value) -> Option<&'static str> {
    fn same<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> bool {
        serde_json::from_value::<T>(value.clone()).is_ok_and(|read| json!(read) == *value)
    }
    let control = Control::parse(line.as_bytes()).is_ok_and(|mut said| {
        let mut written = json!(said);
        if let Control::Exec { request, .. } = &mut said
            && request.env.is_empty()
        {
            written.as_object_mut().unwrap().remove("env");
        }
        written == *value
    });
    let first = First::parse(line.as_bytes());
    match value {
        _ if value["event"].is_string() => same::<Event>(value).then_some("event"),
        _ if value["success"].is_boolean() => same::<Response>(value).then_some("response"),
        _ if value["tool"].is_string() => same::<Welcome>(value).then_some("welcome"),
        _ if value["action"] == "stream" => first.is_ok_and(|first| json!(first) == *value).then_some("stream"),
        _ if value["action"] == "exec" && value.get("terminal").is_none() => {
            (control && first.is_ok()).then_some("exec")
        }
        _ => control.then_some("control"),
    }
}

#[test]
fn every_example_is_understood_and_written_so() {
    for (line, value) in examples() {
        assert!(understood(line, &value).is_some(), "{line}");
    }
    let blocks = PAGE.matches("```json\n").count();
    assert!(blocks >= 15 && examples().len() > blocks, "{blocks} blocks");
}

#[test]
fn everything_that_can_be_said_has_an_example() {
    let shown = |key: &str, word: &str| examples().iter().any(|(_, value)| value[key] == word);
    for action in ["exec", "stream", "connect", "signal", "resize", "close"] {
        assert!(shown("action", action), "{action}");
    }
    for event in ["started", "fallback", "credit", "input-closed", "stopped", "exited", "refused"] {
        assert!(shown("event", event), "{event}");
    }
    for signal in Signal::ALL {
        let word = json!(signal);
        assert!(PAGE.contains(&format!("`{}`", word.as_str().unwrap())), "{word}");
    }
    for tag in [Tag::Control, Tag::Input, Tag::Output, Tag::Error] {
        assert!(PAGE.contains(&format!("| `{}`, {:#04x} | ", char::from(tag as u8), tag as u8)), "{tag:?}");
    }
}

#[test]
fn the_bounds_are_those_of_the_page() {
    let spaced = |number: usize| {
        let digits = number.to_string();
        let first = (digits.len() - 1) % 3 + 1;
        let groups = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]);
        std::iter::once(&digits[..first]).chain(groups).collect::<Vec<_>>().join(" ")
    };
    for (bound, around) in [
        (spaced(REQUEST_MAX), "from a client, JSON | {}"),
        (spaced(RESPONSE_MAX), "simple form | {}"),
        (spaced(1 + CHUNK_MAX), "JSON to the client | {}"),
        (ARGUMENTS_MAX.to_string(), "at most {}, each of"),
        (VARIABLES_MAX.to_string(), "At most {}, each of"),
        (spaced(WORD_MAX), "each of at most {} bytes, without NUL"),
        (spaced(WORD_MAX), "each of at most {} bytes with its name"),
        (PATH_MAX.to_string(), "of at most {} bytes; it has to be"),
        (URL_MAX.to_string(), "of at most {} bytes. `mode`"),
        (spaced(INPUT_WINDOW as usize), "\n{}; who sends more"),
        ((CAPTURED_MAX >> 20).to_string(), "At most {} MiB each"),
        (stream::PATIENCE.as_secs().to_string(), "whole within {} seconds"),
    ] {
        assert!(PAGE.contains(&around.replace("{}", &bound)), "{around} {bound}");
    }
}
