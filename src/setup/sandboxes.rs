//! Which processes hold a network identity: those of running sandboxes.

use crate::policy::identity::{BLOCK_END, BLOCK_START};
use std::path::Path;
use std::time::{Duration, Instant};

/// Process ids below `/proc` whose uids lie in the block of network identities.
///
/// # Errors
/// If the directory can't be listed. Processes that end meanwhile are passed over.
pub fn running(proc: &Path) -> std::io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(proc)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if holds_identity(&status) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// proc_pid_status(5): `Uid:` with the real, effective, saved and file system uid.
fn holds_identity(status: &str) -> bool {
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().filter_map(|uid| uid.parse::<u32>().ok()).any(|uid| (BLOCK_START..BLOCK_END).contains(&uid))
}

/// How long the kernel may take to dismantle the network of a sandbox that has just ended.
const SETTLING: Duration = Duration::from_secs(1);

/// [`running`], after those that are ending have ended.
///
/// # Errors
/// As there.
pub fn settled(proc: &Path) -> std::io::Result<Vec<i32>> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let running = running(proc)?;
        if running.is_empty() || Instant::now() >= deadline {
            return Ok(running);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_with_an_identity_are_found() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, uid) in [("7", BLOCK_START), ("8", 1000), ("9", BLOCK_END), ("self", BLOCK_START)] {
            std::fs::create_dir(proc.path().join(pid)).unwrap();
            let status = format!("Name:\tUid:\nUid:\t1000\t{uid}\t1000\t1000\nGid:\t{BLOCK_START}\n");
            std::fs::write(proc.path().join(pid).join("status"), status).unwrap();
        }
        std::fs::create_dir(proc.path().join("10")).unwrap();
        assert_eq!(running(proc.path()).unwrap(), [7]);
    }
}
