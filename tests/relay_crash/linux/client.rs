//! A client that speaks the protocol and nothing else, and whose relay may go at any moment.

use rcc::relay::client::stream;
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a read waits, so that whoever reads looks up now and then.
const LOOK: Duration = Duration::from_millis(50);

pub struct Client {
    lines: BufReader<UnixStream>,
    line: Vec<u8>,
}

/// What comes of waiting for a line.
pub enum Heard {
    Line(Value),
    Nothing,
    /// The relay is gone.
    Gone,
}

impl Client {
    /// Where somebody listens.
    pub fn connect(socket: &Path) -> Option<Self> {
        let stream = stream(socket).ok()?;
        stream.set_read_timeout(Some(LOOK)).expect("a socket");
        Some(Self { lines: BufReader::new(stream), line: Vec::new() })
    }

    /// A relay that is gone is found out by who reads.
    pub fn say(&mut self, request: &Value) {
        let _ = self.lines.get_mut().write_all(format!("{request}\n").as_bytes());
    }

    pub fn hear(&mut self) -> Heard {
        match self.lines.read_until(b'\n', &mut self.line) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Ok(_) if self.line.ends_with(b"\n") => {
                let line = std::mem::take(&mut self.line);
                Heard::Line(serde_json::from_slice(&line).expect("a line is JSON"))
            }
            Ok(_) | Err(_) => Heard::Gone,
        }
    }

    /// Whether a whole line was read already.
    pub fn more(&self) -> bool {
        self.lines.buffer().contains(&b'\n')
    }

    /// The answer to a request to a relay that stays.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.say(request);
        loop {
            match self.hear() {
                Heard::Line(answer) if answer["type"] == "response" => {
                    assert!(answer.get("error").is_none(), "{request}: {answer}");
                    return answer["data"].clone();
                }
                Heard::Line(_) | Heard::Nothing => {}
                Heard::Gone => panic!("the relay is gone"),
            }
        }
    }
}
