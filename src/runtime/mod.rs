//! What carries out a plan. The embedded runtime is made of Linux namespaces.

#[cfg(target_os = "linux")]
//! Where the agent runs.

pub mod embedded;
