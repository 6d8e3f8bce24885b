//! The command line: what was typed, and what it means.

pub mod init;
pub mod setup;
