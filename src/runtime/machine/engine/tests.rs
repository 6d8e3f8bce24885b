//! An engine of a few lines, with a machine whose rules are what real nft lists.

use super::*;
use crate::firewall::machine::tests::{listed, rules};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream as Stream};
use std::sync::{Arc, Mutex};

/// What the engine is, and what it has heard.
#[derive(Default)]
struct Machine {
    /// What nft lists of the rules where nobody else is.
    alone: Vec<u8>,
    /// What it lists in the machine.
    listing: Vec<u8>,
    /// Whether loading in the machine does what it should.
    obeys: bool,
    /// The status of every command.
    status: i64,
    /// The places of the containers that were made, by their order.
    places: Vec<String>,
    /// Commands that were prepared, with the container.
    steps: Vec<(usize, bool)>,
    /// What came on standard input in the machine.
    loaded: Vec<u8>,
    removed: usize,
    /// The description of the only network.
    network: Option<Value>,
}

fn id(number: usize) -> String {
    format!("{number:012x}")
}

fn number(path: &str) -> usize {
    let id = path.split('/').nth(3).unwrap().split('?').next().unwrap();
    usize::from_str_radix(id, 16).unwrap()
}

fn json(stream: &mut Stream, answer: &Value) {
    status(stream, 200, answer);
}

fn status(stream: &mut Stream, status: u16, answer: &Value) {
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all((head + &text).as_bytes()).unwrap();
}

impl Machine {
    fn answer(&mut self, stream: &mut Stream, method: &str, path: &str, body: &Value) {
        match (method, path.trim_start_matches("/v1.41")) {
            ("GET", "/info") => json(stream, &serde_json::json!({ "Name": "orbstack", "OperatingSystem": "OrbStack" })),
            ("POST", "/containers/create") => {
                self.places.push(body["HostConfig"]["NetworkMode"].as_str().unwrap().to_owned());
                json(stream, &serde_json::json!({ "Id": id(self.places.len() - 1) }));
            }
            ("GET", rest) if rest.starts_with("/networks/") => match &self.network {
                Some(network) => json(stream, network),
                None => status(stream, 404, &serde_json::json!({ "message": "network not found" })),
            },
            ("POST", "/networks/create") => {
                self.network = Some(body.clone());
                status(stream, 201, &serde_json::json!({ "Id": id(7) }));
            }
            ("POST", rest) if rest.ends_with("/start") && rest.starts_with("/containers") => json(stream, &Value::Null),
            ("POST", rest) if rest.ends_with("/exec") => {
                self.steps.push((number(path), body["AttachStdin"].as_bool().unwrap()));
                json(stream, &serde_json::json!({ "Id": id(self.steps.len() - 1) }));
            }
            ("POST", rest) if rest.starts_with("/exec") => self.run(stream, number(path)),
            ("GET", _) => json(stream, &serde_json::json!({ "ExitCode": self.status })),
            ("DELETE", _) => {
                self.removed += 1;
                json(stream, &Value::Null);
            }
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self, stream: &mut Stream, step: usize) {
        stream.write_all(b"HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n").unwrap();
        let (container, loads) = self.steps[step];
        let machine = self.places[container] == "host";
        let mut input = Vec::new();
        stream.read_to_end(&mut input).unwrap();
        let mut out = Vec::new();
        if loads && machine {
            self.loaded = input;
            if self.obeys {
                self.listing = self.alone.clone();
            }
        } else if !loads {
            out = if machine { self.listing.clone() } else { self.alone.clone() };
        }
        for piece in out.chunks(1000) {
            stream.write_all(&[1, 0, 0, 0]).unwrap();
            stream.write_all(&u32::try_from(piece.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(piece).unwrap();
        }
    }
}

/// Serves until the test ends.
fn serve(machine: Machine) -> (tempfile::TempDir, Engine, Arc<Mutex<Machine>>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine");
    let listener = UnixListener::bind(&socket).unwrap();
    let machine = Arc::new(Mutex::new(machine));
    let served = Arc::clone(&machine);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            assert!(reader.buffer().is_empty(), "input comes after the answer");
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            served.lock().unwrap().answer(&mut stream, method, path, &body);
        }
    });
    let engine = Engine::new(socket).unwrap();
    (directory, engine, machine)
}

fn image() -> Image {
    "localhost/rcc".parse().unwrap()
}

#[test]
fn absent_rules_are_loaded_and_whole_ones_are_left_alone() {
    let rules = rules();
    let alone = listed(&rules, ":");
    let (_directory, engine, machine) = serve(Machine { alone, obeys: true, ..Machine::default() });
    assert_eq!(engine.info().unwrap().operating_system, "OrbStack");
    assert_eq!(engine.guard(&rules, &image()).unwrap(), State::Absent);
    assert_eq!(machine.lock().unwrap().loaded, rules.text());
    assert_eq!(engine.guard(&rules, &image()).unwrap(), State::InForce);
    let machine = machine.lock().unwrap();
    assert_eq!((machine.places.len(), machine.removed), (4, 4));
    assert_eq!(machine.steps.len(), LOOK.len() + MEND.len() + LOOK.len());
}

#[test]
fn rules_that_do_not_come_into_force_are_an_error_and_nothing_is_left_behind() {
    let rules = rules();
    let drifted = listed(&rules, "nft insert rule inet rcc profile-public accept");
    let alone = listed(&rules, ":");
    let (_directory, engine, machine) = serve(Machine { alone, listing: drifted, ..Machine::default() });
    let error = engine.guard(&rules, &image()).unwrap_err();
    assert!(matches!(error, GuardError::Overwritten { state: State::Drifted }), "{error}");
    assert_eq!(machine.lock().unwrap().removed, 2);
}

#[test]
fn an_image_without_nft_is_named() {
    let (_directory, engine, machine) = serve(Machine { status: 127, ..Machine::default() });
    let error = engine.guard(&rules(), &image()).unwrap_err();
    assert!(error.to_string().contains("'localhost/rcc' ended with 127"), "{error}");
    assert_eq!(machine.lock().unwrap().removed, 2);
}

#[test]
fn a_network_is_made_once_and_one_that_the_rules_would_miss_is_refused() {
    let (_directory, engine, machine) = serve(Machine::default());
    for _ in 0..2 {
        engine.network(&ProfileName::public(), 0).unwrap();
    }
    machine.lock().unwrap().network.as_mut().unwrap()["Options"] = Value::Null;
    let error = engine.network(&ProfileName::public(), 0).unwrap_err();
    assert!(matches!(error, GuardError::Network(_)), "{error}");
}
