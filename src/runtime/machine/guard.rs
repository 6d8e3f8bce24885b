//! The rules inside an engine's machine, by two containers of a moment: one in the machine's own network namespace,
//! in which the sandboxes' bridge is, and one in an empty namespace, which shows what the same rules look like there.
//!
//! Both run the image's nft. They live for two minutes at the most: what a killed rcc leaves goes by itself.

use crate::firewall::machine::{LIST, LOAD};
use crate::policy::ruleset::Version;
use crate::runtime::Image;
use serde::Serialize;
use serde_json::{Value, json};

/// Every Docker since 20.10 speaks it.
const API: &str = "/v1.41";
/// On each of these containers: the version of the rules that it is for.
pub const LABEL: &str = "rcc.guard";
/// Seconds after which a container ends by itself.
const LIFE: &str = "120";

/// Where a container's network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the machine's own namespace.
    Machine,
    /// Nowhere: in an empty one.
    Alone,
}

/// One call of Docker's API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    /// What is sent, as JSON.
    pub body: Option<Value>,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self { method: "GET", path: format!("{API}{path}"), body: None }
    }

    pub(super) fn post(path: String, body: Option<Value>) -> Self {
        Self { method: "POST", path: format!("{API}{path}"), body }
    }
}

/// What one container does, in this order. Whatever comes out, the container is removed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Loads the rules from its standard input.
    Load(Place),
    /// Lists what is loaded.
    List(Place),
}

/// Looks first, and changes nothing where the rules are in force.
pub const LOOK: [Step; 3] = [Step::Load(Place::Alone), Step::List(Place::Alone), Step::List(Place::Machine)];
/// What follows where they are not; the listing must then be theirs.
pub const MEND: [Step; 2] = [Step::Load(Place::Machine), Step::List(Place::Machine)];

impl Step {
    /// Where.
    pub fn place(self) -> Place {
        match self {
            Self::Load(place) | Self::List(place) => place,
        }
    }

    /// The command that does it.
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Self::Load(_) => &LOAD,
            Self::List(_) => &LIST,
        }
    }
}

/// Describes the machine; the answer is [`super::judge::Info`].
pub fn info() -> Call {
    Call::get("/info".to_owned())
}

/// Makes a container. Of all capabilities it has the one that nft needs, and nothing of the host or the machine is in
/// it but, in the machine's place, its network.
pub fn create(place: Place, image: &Image, version: &Version) -> Call {
    let network = match place {
        Place::Machine => "host",
        Place::Alone => "none",
    };
    let body = json!({
        "Image": image.as_str(),
        "Entrypoint": ["sleep"],
        "Cmd": [LIFE],
        "User": "0:0",
        "WorkingDir": "/",
        "Env": ["LC_ALL=C"],
        "Labels": { LABEL: version.to_string() },
        "Tty": false,
        "OpenStdin": false,
        "Healthcheck": { "Test": ["NONE"] },
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "NetworkMode": network,
            "UsernsMode": "host",
            "Privileged": false,
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": true,
            "Binds": [],
            "Mounts": [],
            "Devices": [],
            "PidsLimit": 16,
            "Memory": 256 << 20,
            "AutoRemove": true,
            "RestartPolicy": { "Name": "no" },
            "LogConfig": { "Type": "none" },
        },
    });
    Call::post("/containers/create".to_owned(), Some(body))
}

/// Starts what was made.
pub fn start(id: &Id) -> Call {
    Call::post(format!("/containers/{}/start", id.0), None)
}

/// Prepares a step in a running container.
pub fn prepare(id: &Id, step: Step) -> Call {
    let body = json!({
        "Cmd": step.command(),
        "User": "0:0",
        "WorkingDir": "/",
        "Env": ["LC_ALL=C"],
        "Privileged": false,
        "Tty": false,
        "AttachStdin": matches!(step, Step::Load(_)),
        "AttachStdout": true,
        "AttachStderr": true,
    });
    Call::post(format!("/containers/{}/exec", id.0), Some(body))
}

/// Carries a prepared step out: the connection becomes its standard streams, framed.
pub fn run(exec: &Id) -> Call {
    Call::post(format!("/exec/{}/start", exec.0), Some(json!({ "Detach": false, "Tty": false })))
}

/// How a step that was run has ended; the answer's `ExitCode` is 0 or it has failed.
pub fn ended(exec: &Id) -> Call {
    Call::get(format!("/exec/{}/json", exec.0))
}

/// Ends and removes a container, whatever it is doing.
pub fn remove(id: &Id) -> Call {
    Call { method: "DELETE", path: format!("{API}/containers/{}?force=true&v=true", id.0), body: None }
}

/// A name that the engine gave to a container or a step. It becomes a part of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

/// The engine's answer has no name that could be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's answer names nothing, or something else than 12 to 64 hexadecimal digits")]
pub struct BadId;

impl Id {
    /// From an answer to [`create`] or [`prepare`].
    pub fn of(answer: &Value) -> Result<Self, BadId> {
        let id = answer.get("Id").and_then(Value::as_str).ok_or(BadId)?;
        let good = (12..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if good { Ok(Self(id.to_owned())) } else { Err(BadId) }
    }
}

/// What a step wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// On its standard output.
    pub out: Vec<u8>,
    /// On its standard error.
    pub error: Vec<u8>,
}

/// The stream is not in Docker's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Neither output nor errors.
    #[error("the engine sends a frame of the unknown kind {0}")]
    Kind(u8),
    /// It ends within a frame.
    #[error("the engine's stream ends within a frame")]
    Cut,
}

/// Divides what came: frames of a kind (1 byte), three zeros, a length (4 bytes, the highest first), and as many
/// bytes (Docker's API, `ContainerAttach`). Who reads the stream has capped it.
pub fn divide(mut stream: &[u8]) -> Result<Output, StreamError> {
    let mut output = Output::default();
    while let Some((header, rest)) = stream.split_first_chunk::<8>() {
        let [kind, _, _, _, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| StreamError::Cut)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(StreamError::Cut)?;
        match kind {
            1 => output.out.extend_from_slice(content),
            2 => output.error.extend_from_slice(content),
            kind => return Err(StreamError::Kind(kind)),
        }
        stream = rest;
    }
    if stream.is_empty() { Ok(output) } else { Err(StreamError::Cut) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn lines(calls: &[Call]) -> String {
        let line =
            |call: &Call| json!({ "method": call.method, "path": call.path, "body": call.body }).to_string() + "\n";
        calls.iter().map(line).collect()
    }

    #[test]
    fn the_calls_are_as_they_were() {
        let (image, version) = ("localhost/rcc@sha256:00".parse().unwrap(), Version::new([7; 32]));
        let id = Id::of(&json!({ "Id": ID, "Warnings": [] })).unwrap();
        let mut calls = vec![info()];
        calls.extend([Place::Alone, Place::Machine].map(|place| create(place, &image, &version)));
        calls.push(start(&id));
        for step in LOOK.into_iter().chain(MEND) {
            calls.push(prepare(&id, step));
        }
        calls.extend([run(&id), ended(&id), remove(&id)]);
        crate::golden::assert_golden("src/runtime/machine/guard.jsonl", &lines(&calls));
    }

    #[test]
    fn rules_are_loaded_in_the_machine_only_after_a_look() {
        assert!(!LOOK.contains(&Step::Load(Place::Machine)));
        assert_eq!(MEND, [Step::Load(Place::Machine), Step::List(Place::Machine)]);
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_none() {
        for id in [json!(""), json!("../../images/prune"), json!("0123456789ab?x=y"), json!(7), json!("0".repeat(65))] {
            assert_eq!(Id::of(&json!({ "Id": id })), Err(BadId), "{id}");
        }
        assert_eq!(Id::of(&json!({})), Err(BadId));
        assert_eq!(Id::of(&json!([])), Err(BadId));
    }

    fn frame(kind: u8, length: u32, content: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0][..], &length.to_be_bytes(), content].concat()
    }

    #[test]
    fn output_and_errors_are_told_apart() {
        let stream = [frame(1, 3, b"{\"a"), frame(2, 1, b"!"), frame(1, 0, b""), frame(1, 2, b"\"}")].concat();
        assert_eq!(divide(&stream), Ok(Output { out: b"{\"a\"}".to_vec(), error: b"!".to_vec() }));
        assert_eq!(divide(b""), Ok(Output::default()));
    }

    #[test]
    fn a_stream_that_lies_about_its_length_is_no_output() {
        for stream in [frame(1, 4, b"abc"), frame(1, u32::MAX, b"abc"), b"\x01\0\0".to_vec(), frame(1, 1, b"ab")] {
            assert_eq!(divide(&stream), Err(StreamError::Cut), "{stream:?}");
        }
        assert_eq!(divide(&frame(3, 1, b"a")), Err(StreamError::Kind(3)));
        assert_eq!(divide(&frame(0, 1, b"a")), Err(StreamError::Kind(0)));
    }
}
