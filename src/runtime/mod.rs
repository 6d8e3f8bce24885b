//! What carries out a plan.

//! What runs a sandbox: here, the namespaces of this very kernel.

#[cfg(target_os = "linux")]
pub mod embedded;
