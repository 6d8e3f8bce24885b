//! What the upstream gets, and what the client gets, over a real TLS connection.

mod refused;
mod world;

use super::Outcome;
use crate::plugin::credential::MARK;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use world::{CANARY, Step, Twist, World, ok, run};

const GET: &str = "GET /v1/x?q=1 HTTP/1.1\r\nhost: anything\r\nconnection: close\r\n\r\n";

#[test]
fn the_upstream_gets_the_credential_and_none_of_the_clients() {
    run(async {
        let world = World::new(|_| ok("", "fine")).await;
        let got = world
            .ask(
                "POST /v1/messages?beta=true HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer mine\r\n\
                 X-Api-Key: mine\r\nCookie: mine\r\nConnection: close, x-hop\r\nX-Hop: mine\r\nAnthropic-Version: 1\r\n\
                 Content-Length: 4\r\n\r\nbody",
            )
            .await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("fine"), "{got}");
        let [request] = &world.seen()[..] else { panic!("{:?}", world.seen()) };
        assert!(request.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\nbody"), "{request}");
        for header in [
            format!("\r\nauthorization: Bearer {CANARY}\r\n"),
            "\r\nhost: api.example:".to_owned(),
            "\r\nanthropic-version: 1\r\n".to_owned(),
            "\r\naccept-encoding: identity\r\n".to_owned(),
            "\r\ncontent-length: 4\r\n".to_owned(),
        ] {
            assert_eq!(request.matches(&header).count(), 1, "{header} in {request}");
        }
        for absent in ["mine", "evil", "x-api-key", "cookie", "x-hop"] {
            assert!(!request.to_ascii_lowercase().contains(absent), "{absent} in {request}");
        }
        assert_eq!(request.matches("uthorization").count(), 1, "{request}");
    });
}

#[test]
fn the_client_gets_the_credential_in_no_part_of_a_response() {
    run(async {
        let basic = data_encoding::BASE64.encode(format!("x-access-token:{CANARY}").as_bytes());
        let echoed = basic.clone();
        let world = World::new(move |request| {
            let head = format!(
                "HTTP/1.1 418 {CANARY}\r\nx-echo: {CANARY}\r\nx-{CANARY}: 1\r\nset-cookie: session=1\r\n\
                 location: https://elsewhere.example/?t={CANARY}\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            let body = format!("{request}|{echoed}|{CANARY}");
            // Every byte in a chunk of its own, and the credential in the trailer too.
            let chunks: String = body.chars().map(|byte| format!("1;x={CANARY}\r\n{byte}\r\n")).collect();
            vec![Step::Send(format!("{head}{chunks}0\r\nx-trailer: {CANARY}\r\n\r\n").into_bytes())]
        })
        .await;
        let got = world.ask(GET).await;
        assert!(got.starts_with("HTTP/1.1 418 I'm a teapot\r\n"), "{got}");
        let (head, chunks) = got.split_once("\r\n\r\n").unwrap();
        let text = head.to_owned() + &world::unchunked(chunks);
        for form in [CANARY, &CANARY.to_ascii_lowercase(), &CANARY[..14], &basic[22..40], "anary-SGVs", "session=1"] {
            assert!(!text.contains(form), "{form} in {text}");
        }
        assert!(got.contains(&format!("x-echo: {MARK}\r\n")), "{got}");
        assert!(got.contains(&format!("location: https://elsewhere.example/?t={MARK}\r\n")), "{got}");
        assert!(text.contains(&format!("|{MARK}")) && text.contains("GET /v1/x?q=1"), "{text}");
        let (_, last) = world.records().pop().unwrap();
        let Outcome::Answered { status: 418, removed: 6, whole: true, .. } = last else { panic!("{last:?}") };
    });
}

#[test]
fn events_reach_the_client_as_they_come() {
    run(async {
        let gate = Arc::new(Notify::new());
        let theirs = gate.clone();
        let world = World::new(move |_| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let first = format!("{head}d\r\ndata: first\n\n\r\n");
            let second = "e\r\ndata: second\n\n\r\n0\r\n\r\n".to_owned();
            vec![Step::Send(first.into()), Step::Wait(theirs.clone()), Step::Send(second.into())]
        })
        .await;
        let mut client = world.client();
        client.write_all(GET.as_bytes()).await.unwrap();
        let mut got = String::new();
        while !got.contains("data: first\n\n") {
            let mut buffer = [0; 1024];
            let count = client.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "{got}");
            got.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(!got.contains("second"));
        gate.notify_one();
        client.read_to_string(&mut got).await.unwrap();
        assert!(got.contains("data: second\n\n"), "{got}");
    });
}

#[test]
fn requests_of_a_client_share_a_connection_until_the_upstream_closes_it() {
    run(async {
        let world = World::new(|request| {
            let mut steps = ok("", "fine");
            if request.contains("/v1/last") {
                steps.push(Step::Close);
            }
            steps
        })
        .await;
        let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut client = world.client();
        for (path, connections) in [("/v1/a", 1), ("/v1/b", 1), ("/v1/last", 1), ("/v1/c", 2)] {
            client.write_all(one(path).as_bytes()).await.unwrap();
            let mut got = String::new();
            while !got.contains("fine") {
                let mut buffer = [0; 1024];
                let count = client.read(&mut buffer).await.unwrap();
                assert_ne!(count, 0, "{got}");
                got.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            assert_eq!(world.connections(), connections, "{path}");
            // The end of the connection takes a moment to arrive.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_response_that_cannot_be_scanned_is_not_passed_on() {
    run(async {
        for head in [
            "200 OK\r\ncontent-encoding: gzip",
            "200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: br",
            "206 Partial Content\r\ncontent-range: bytes 0-4/9",
            "101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x",
        ] {
            let world = World::new(move |_| {
                vec![Step::Send(format!("HTTP/1.1 {head}\r\ncontent-length: 5\r\n\r\n{CANARY:.5}").into()), Step::Close]
            })
            .await;
            let got = world.ask(GET).await;
            assert!(got.starts_with("HTTP/1.1 502 ") && got.contains("rcc_failed"), "{head}: {got}");
            assert!(!got.contains("canar"), "{head}: {got}");
        }
    });
}

#[test]
fn nobody_but_the_upstream_by_its_certificate_gets_a_byte() {
    run(async {
        for twist in
            [Twist { trusted: false, ..Twist::default() }, Twist { certified: "evil.example", ..Twist::default() }]
        {
            let world = World::twisted(twist, |_| ok("", "fine")).await;
            let got = world.ask(GET).await;
            assert!(got.starts_with("HTTP/1.1 502 ") && got.contains("cannot be sure to talk to api.example"), "{got}");
            assert_eq!(world.seen(), [""; 0]);
            assert_eq!(world.connections(), 1);
        }
    });
}

#[test]
fn no_redirect_is_followed() {
    run(async {
        let world = World::new(|_| {
            let head = "HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n";
            vec![Step::Send(head.into())]
        })
        .await;
        let got = world.ask(GET).await;
        assert!(got.starts_with("HTTP/1.1 302 ") && got.contains("location: https://evil.example/\r\n"), "{got}");
        assert_eq!(world.seen().len(), 1);
    });
}

#[test]
fn a_call_takes_as_long_as_it_may_and_no_longer() {
    run(async {
        let short = || Twist { timeout: Duration::from_millis(600), ..Twist::default() };
        let world = World::twisted(short(), |_| vec![Step::Hang]).await;
        let got = world.ask(GET).await;
        assert!(got.starts_with("HTTP/1.1 504 ") && got.contains("timeout"), "{got}");
        let world = World::twisted(short(), |_| {
            vec![Step::Send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun".into()), Step::Hang]
        })
        .await;
        let got = world.ask(GET).await;
        assert!(got.contains("begun") && !got.ends_with("0\r\n\r\n"), "{got}");
        let (_, last) = world.records().pop().unwrap();
        assert!(matches!(last, Outcome::Answered { received: 5, whole: false, .. }), "{last:?}");
    });
}

#[test]
fn a_request_is_on_record_before_and_after_and_otherwise_not_forwarded() {
    run(async {
        let world = World::new(|_| ok("", "fine")).await;
        let body = "POST /v1/a%20b?secret=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
        world.ask(body).await;
        world.ask("GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let records = world.records();
        let expected = Outcome::Answered { status: 200, sent: 3, received: 4, removed: 0, whole: true };
        assert_eq!(records[0], ("POST /v1/a%20b".to_owned(), Outcome::Allowed));
        assert_eq!(records[1], ("POST /v1/a%20b".to_owned(), expected));
        assert!(matches!(&records[2..], [(what, Outcome::Refused(_))] if what == "GET /v2"), "{records:?}");
        let long = "/v1/".to_owned() + &"a".repeat(5000);
        world.ask(format!("GET {long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(world.records()[3].0, format!("GET {}", &long[..1024]));
        world.unrecordable.store(true, std::sync::atomic::Ordering::Relaxed);
        let got = world.ask(GET).await;
        assert!(got.starts_with("HTTP/1.1 503 ") && got.contains("on record"), "{got}");
        assert_eq!(world.seen().len(), 2);
    });
}

#[test]
fn a_request_for_the_headers_alone_tells_the_bodys_length() {
    run(async {
        let world = World::new(|_| vec![Step::Send("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".into())]).await;
        let got = world.ask("HEAD /v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(got.contains("content-length: 7\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    });
}
