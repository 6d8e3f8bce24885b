//! Plugins of kind `http`: requests to one upstream, with a header that the client has not.
//!
//! ```text
//! client ─ Unix socket ─ HTTP/1.1 ─ rules (method, path) ─ headers: the client's own out, the credential in
//!                                      │                     │
//!                                     403                   TLS, to the upstream alone
//!        ◄─────────── headers, body: credential taken out ◄──┘
//! ```
//!
//! A request is read and written anew, so what the upstream gets is what was decided on, whatever the client's
//! framing. The connection to the upstream is TLS with its certificate verified; the header goes nowhere else, and
//! no redirect is followed. Nothing is asked for that cannot be scanned for the credential (compressed bodies, parts
//! of them). Memory is constant: bodies flow through as they come.
//!
//! It runs in the plugin's sandbox, never in the broker: a process for each connection ([`serve`]), which gets the
//! client's socket itself and tells the broker of each request before it is forwarded ([`task`]).

#[cfg(target_os = "linux")]
mod body;
#[cfg(target_os = "linux")]
mod forward;
#[cfg(target_os = "linux")]
mod headers;
#[cfg(target_os = "linux")]
pub mod own;
pub mod rules;
#[cfg(target_os = "linux")]
pub mod serve;
#[cfg(target_os = "linux")]
mod stalled;
#[cfg(target_os = "linux")]
pub mod task;
#[cfg(target_os = "linux")]
mod upstream;

#[cfg(target_os = "linux")]
pub use forward::{Audit, Forwarder, HttpError, Outcome, Record, ServeError};
#[cfg(target_os = "linux")]
pub use upstream::{BadUpstream, Resolve, UpstreamError, by_resolver, system_roots};

#[cfg(all(test, target_os = "linux"))]
mod tests;
