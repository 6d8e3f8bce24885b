//! Where the agent runs.

pub mod embedded;
