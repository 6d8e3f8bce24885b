//! The file promises, proven from inside the sandbox's file system.
#![cfg(target_os = "linux")]

mod excludes;
mod handover;
mod mounts;
mod repositories;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod view;

use sandbox::Who;

const EVERYONE: [Who; 2] = [Who::User, Who::Root];

fn assert_not_built(output: &std::process::Output, says: &str) {
    assert_eq!(output.status.code(), Some(sandbox::NOT_BUILT));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains(says), "{message}");
}
