//! The broker: one process of the user's, without privileges, outside of every sandbox.

mod audit;
mod sessions;

pub use audit::{Audit, AuditError, Unrecorded};
