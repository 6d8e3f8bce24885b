//! The resolver of all sandboxes, a thread of the service `rcc-firewall`.
//!
//! ```text
//! sandbox ─ pasta ─ listen ─ asker: whose socket? (sock_diag) ─ question
//!                                          │
//!               decision (pure): view of the policy × name × type
//!                  │                       │
//!           no such name        cache, or upstream ─ exchange ─ answer
//!                                          │
//!               present (pure): what this profile sees of it, and what must be opened
//!                                          │
//!                           granting: the kernel has it ─ reply
//! ```
//!
//! Addresses are open in the kernel before an answer leaves. An answer is kept once for everybody and
//! filtered each time that it is given. What no rule names does not exist (NXDOMAIN; glibc waits on
//! REFUSED); a name whose addresses all lie in denied space exists without any.

mod addresses;
pub mod alive;
mod answer;
mod asker;
pub mod bell;
mod budget;
mod cache;
mod core;
mod decision;
mod exchange;
mod fair;
mod granting;
pub mod hosts;
mod limits;
mod listen;
mod present;
mod question;
mod repeated;
mod reply;
mod seen;
mod service;
mod shared;
mod space;
mod upstream;
#[doc(hidden)]
pub mod wire;

pub use addresses::addresses;
pub use decision::{Asker, Decision, Denial, Rules, Scope, View};
pub use granting::Opener;
pub use seen::{Denied, NameDenial};
pub use service::{Config, Resolver, ResolverError};
pub use space::{Space, Verdict};

#[cfg(test)]
mod tests;
