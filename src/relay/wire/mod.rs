//! What goes over the relay's sockets: JSON, one object a line (RFC 8259; a line ends with LF). The words
//! `register`, `associate`, `heartbeat`, `prompt`, `command`, `eval`, `query` and `response` and their
//! fields are those of ccc-statusd. `docs/relay-protocol.md` describes all of it.

pub mod answer;
#[cfg(test)]
mod documented;
mod lines;
mod message;
mod reply;
mod request;

pub use lines::{LineTooLong, Lines};
pub use message::{BadKind, Kind, Message, Sender};
pub use reply::{Notice, Reason, Refusal, Reply, Response};
pub use request::{
    Ack, Associate, Cancel, Carry, Close, Command, Envelope, Eval, Figures, Heartbeat, Inbox, Link, Malformed, Open,
    Prompt, Put, Query, Question, Register, Remove, Request, Respond, Schedule, Send, Stop, Subscribe, parse,
};

/// The version of the protocol, in every answer to `register`.
pub const VERSION: u32 = 1;
