//! Requests that the upstream must not see, or not so.

use super::world::{BODY_MAX, World, ok, run};
use crate::plugin::http::Outcome;

async fn world() -> World {
    World::new(|_| ok("", "fine")).await
}

#[test]
fn what_no_rule_allows_is_answered_here_with_the_reason() {
    run(async {
        let world = world().await;
        for (line, headers, reason) in [
            ("DELETE /v1/x HTTP/1.1", "", "no rule of the plugin allows DELETE /v1/x"),
            ("GET /v1/admin/keys HTTP/1.1", "", "blocks GET /v1/admin/keys"),
            ("GET /v1/%61dmin HTTP/1.1", "", "blocks GET /v1/admin"),
            ("GET /v1/../admin HTTP/1.1", "", "a component"),
            ("GET //v1 HTTP/1.1", "", "an empty component"),
            ("GET /v1/x%2fadmin HTTP/1.1", "", "an encoded slash"),
            ("GET https://evil.example/v1 HTTP/1.1", "", "only api.example"),
            ("GET http://api.example/v1 HTTP/1.1", "", "only api.example"),
            ("GET https://api.example@evil.example/v1 HTTP/1.1", "", "only api.example"),
            ("CONNECT evil.example:443 HTTP/1.1", "", "CONNECT is never forwarded"),
            ("TRACE /v1 HTTP/1.1", "", "TRACE is never forwarded"),
            ("OPTIONS * HTTP/1.1", "", "no slash"),
            ("GET /v1 HTTP/1.1", "connection: Upgrade\r\nupgrade: websocket\r\n", "change of the protocol"),
            ("GET /v1 HTTP/1.1", "upgrade: h2c\r\n", "change of the protocol"),
        ] {
            let got = world.ask(format!("{line}\r\nhost: x\r\n{headers}connection: close\r\n\r\n")).await;
            assert!(got.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{line}: {got}");
            let body = got.split("\r\n\r\n").nth(1).unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{line}: {got}"));
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains(reason) && body["error"]["type"] == "rcc_refused", "{line}: {message}");
        }
        assert_eq!((world.seen(), world.connections()), (vec![], 0));
        assert!(world.records().iter().all(|(_, outcome)| matches!(outcome, Outcome::Refused(_))));
    });
}

#[test]
fn the_upstream_by_its_own_name_is_no_other_host() {
    run(async {
        let world = world().await;
        let host = {
            world.ask("GET /v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            let seen = world.seen().remove(0);
            seen.split("host: ").nth(1).unwrap().split('\r').next().unwrap().to_owned()
        };
        let got = world.ask(format!("GET http://{host}/v1/x HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n")).await;
        assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
        assert!(world.seen()[1].starts_with("GET /v1/x HTTP/1.1\r\n"), "{:?}", world.seen());
    });
}

#[test]
fn a_body_that_is_too_long_does_not_arrive() {
    run(async {
        let world = world().await;
        let long = "x".repeat(BODY_MAX as usize + 1);
        let post = "POST /v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        let got = world.ask(format!("{post}content-length: {}\r\n\r\n{long}", long.len())).await;
        assert!(got.starts_with("HTTP/1.1 413 ") && got.contains("body_max"), "{got}");
        assert_eq!(world.connections(), 0);
        let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
        let got = world.ask(format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}")).await;
        assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
        assert_eq!(world.seen(), [""; 0]);
        let fits = &long[1..];
        let got = world.ask(format!("{post}transfer-encoding: chunked\r\n\r\n3e8\r\n{fits}\r\n0\r\n\r\n")).await;
        assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
        assert!(world.seen()[0].ends_with(fits));
    });
}

/// Requests whose length two readers could take for two different ones, with a request for what is blocked where one of
/// them ends. The upstream of the tests reads strictly, and panics where there are two lengths.
#[test]
fn no_request_is_smuggled_behind_another() {
    const HIDDEN: &str = "GET /v1/admin HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = HIDDEN.len();
    let chunked = format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    let cases: Vec<(&str, String)> = vec![
        ("both, length first", format!("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        (
            "both, chunked first",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("both, long chunk", format!("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{chunked}")),
        ("two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        ("two lengths in one", format!("content-length: 0, {length}\r\n\r\n{HIDDEN}")),
        ("a signed length", format!("content-length: +0\r\n\r\n{HIDDEN}")),
        ("a negative length", format!("content-length: -1\r\n\r\n{HIDDEN}")),
        ("a length with a space", format!("content-length: 0 {length}\r\n\r\n{HIDDEN}")),
        ("a length that is too large", format!("content-length: 18446744073709551616\r\n\r\n{HIDDEN}")),
        ("an encoding after chunked", format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("another encoding", format!("transfer-encoding: xchunked\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        ("a tab in the encoding", format!("transfer-encoding:\tchunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("a vertical tab", format!("transfer-encoding: \x0bchunked\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        (
            "a space before the colon",
            format!("transfer-encoding : chunked\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        ),
        ("a folded header", format!("x: y\r\n transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        ("two encodings", format!("transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("bare line feeds", format!("x: y\ntransfer-encoding: chunked\r\n\r\n0\n\n{HIDDEN}")),
        (
            "a bare carriage return",
            format!("x: y\rtransfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        ),
        ("a NUL", format!("x: \0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        ("a chunk's extension", format!("transfer-encoding: chunked\r\n\r\n0;\n{HIDDEN}\r\n\r\n")),
        ("a chunk's size that overflows", format!("transfer-encoding: chunked\r\n\r\n10000000000000000\r\n{HIDDEN}")),
        ("a chunk that is longer than its size", format!("transfer-encoding: chunked\r\n\r\n1\r\nxx\r\n{HIDDEN}")),
        ("a trailer", format!("transfer-encoding: chunked\r\n\r\n0\r\nauthorization: x\r\n\r\n{HIDDEN}")),
        ("an expectation", format!("expect: 100-continue\r\ncontent-length: {length}\r\n\r\n{HIDDEN}")),
        (
            "the length named as the connection's",
            format!("connection: content-length\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        ),
        ("nothing but another request", format!("\r\n{HIDDEN}")),
    ];
    run(async {
        let tried = cases.into_iter().map(|(name, rest)| async move {
            let world = world().await;
            let got = world.ask(format!("POST /v1/first HTTP/1.1\r\nhost: x\r\n{rest}")).await;
            for request in world.seen() {
                assert!(request.starts_with("POST /v1/first HTTP/1.1\r\n"), "{name}: {request}");
                let head = request.split("\r\n\r\n").next().unwrap();
                assert!(!head.contains("admin") && !head.contains("100-continue"), "{name}: {request}");
            }
            assert!(world.seen().len() <= 1, "{name}: {:?}", world.seen());
            // The hidden one is part of the first's body, or is judged by itself, or nothing is read any more.
            for (what, outcome) in world.records() {
                let refused = matches!(outcome, Outcome::Refused(_));
                assert_eq!(refused, what.ends_with("admin"), "{name}: {what} {outcome:?}");
            }
            assert!(!got.is_empty(), "{name}");
        });
        futures_util::future::join_all(tried).await;
    });
}
