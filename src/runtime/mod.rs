//! What carries out a plan. The embedded runtime is made of Linux namespaces.

#[cfg(target_os = "linux")]
pub mod embedded;
