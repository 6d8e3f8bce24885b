//! `docs/relay-protocol.md` against the types: whoever writes a client has nothing else.

use super::{Reason, Reply, parse};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/relay-protocol.md");

/// The lines of the examples, without the marks of who says them.
fn examples() -> Vec<&'static str> {
    let line = |line: &'static str| line.strip_prefix("> ").or(line.strip_prefix("< ")).unwrap_or(line);
    PAGE.lines().map(line).filter(|line| line.starts_with('{')).collect()
}

#[test]
fn every_example_is_a_line_of_the_protocol() {
    let mut requests = 0;
    for line in examples() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        // An answer has the word of one of the requests.
        if value["type"] == "message"
            || value["type"] == "notice"
            || value["query"].is_string() && value["timestamp"].is_u64()
        {
            let reply: Reply = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(serde_json::to_value(reply).unwrap(), value, "{line}");
        } else {
            parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}"));
            requests += 1;
        }
    }
    assert!(requests >= 20, "{requests}");
}

#[test]
fn every_reason_is_explained() {
    use Reason::*;
    for reason in [
        Malformed,
        TooLarge,
        RateLimited,
        Quota,
        Unauthenticated,
        NotAllowed,
        NoRecipient,
        Ambiguous,
        Replayed,
        NotFound,
        Storage,
        Closing,
    ] {
        let word = json!(reason);
        let row = format!("\n| `{}` | ", word.as_str().unwrap());
        assert!(PAGE.contains(&row), "{word}");
    }
}

#[test]
fn every_request_is_explained() {
    for word in [
        "register",
        "associate",
        "heartbeat",
        "prompt",
        "command",
        "eval",
        "query",
        "response",
        "send",
        "inbox",
        "ack",
        "subscribe",
        "schedule",
        "cancel",
        "open",
        "close",
        "stop",
        "link",
        "carry",
        "put",
        "remove",
    ] {
        let shown = examples().iter().any(|line| line.contains(&format!(r#""type":"{word}""#)));
        assert!(shown, "there is no example of {word}");
    }
}
