//! The embedded runtime: Linux namespaces, without a container engine.

pub mod idmap;
pub mod process;
pub mod report;
pub mod supervisor;
pub mod verifier;
