//! The embedded runtime: Linux namespaces without any helper program.

mod devices;
mod mounts;
mod processes;
pub mod root;
pub mod watch;
