//! The broker: one process of the user's, without privileges, outside of every sandbox.

mod audit;
mod sessions;
mod streams;

pub use audit::{Audit, AuditError, Unrecorded};
