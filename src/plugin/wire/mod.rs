//! What goes over a plugin's socket. `docs/plugin-protocol.md` is the same for whoever writes a client.
//!
//! Every frame is its length, four bytes big-endian, and as many bytes. The first frame of a connection is JSON
//! and decides the form:
//!
//! | first frame | form |
//! |---|---|
//! | `{"action":"exec",…}` | simple: one [`Response`] for each [`Request`], one after the other |
//! | `{"action":"stream",…}` | streaming: one call, after [`Welcome`] frames of one tag byte and a payload |
//!
//! In the streaming form the tag tells what the payload is ([`Tag`]). Standard input is sent against credit
//! ([`Event::Credit`]), so that a signal never waits behind input that nobody reads.
//!
//! ```text
//! message, words ── what is said (plain data), and what is wrong with it
//! frames ────────── bytes to frames and back: pure, capped and charged
//! stream, client ── the two over a socket: for the broker, for everybody else
//! ```

pub mod allowance;
pub mod client;
#[cfg(test)]
mod documented;
pub mod exercise;
pub mod frames;
mod message;
pub mod stream;
mod words;

pub use frames::Tag;
pub use message::{
    Control, Event, First, Greeting, Mode, Request, Response, Service, Signal, Stream, Terminal, Welcome,
};
pub use words::Malformed;

/// The longest frame from a client, in bytes; in the streaming form, of a [`Control`] with its tag.
pub const REQUEST_MAX: usize = 1 << 20;
/// The longest frame to a client in the simple form, in bytes: two outputs of [`CAPTURED_MAX`] as JSON.
pub const RESPONSE_MAX: usize = 64 << 20;
/// What the simple form returns of each output, in bytes; more is an error of the call.
pub const CAPTURED_MAX: usize = 4 << 20;
/// The longest payload of a frame of the streaming form but a client's [`Control`], in bytes.
pub const CHUNK_MAX: usize = 256 << 10;
/// Arguments of one call.
pub const ARGUMENTS_MAX: usize = 4096;
/// Variables of one call.
pub const VARIABLES_MAX: usize = 256;
/// The longest argument, in bytes, and the longest variable with its name and `=`: the kernel's `MAX_ARG_STRLEN`
/// (execve(2)) without the NUL.
pub const WORD_MAX: usize = (128 << 10) - 1;
/// The longest path, in bytes: the kernel's `PATH_MAX` without the NUL.
pub const PATH_MAX: usize = 4095;
/// The longest URL of a remote, in bytes.
pub const URL_MAX: usize = 4096;
/// Bytes of standard input that may be on their way at most. At first there may be none.
pub const INPUT_WINDOW: u32 = 1 << 20;
/// The version of the streaming form.
pub const VERSION: u32 = 1;
