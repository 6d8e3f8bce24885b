//! Credentials from the environment that the broker starts with, which has them no longer afterwards.
//!
//! Removing a variable leaves the bytes that execve(2) put on the stack, and `/proc/PID/environ` shows those for as
//! long as the process lives. So they are overwritten where they are.

use super::secret::{Secret, SecretError};
use super::wipe;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

/// Longer than any line of it: 52 numbers and a name of 15 bytes (proc_pid_stat(5)).
const STAT_MAX: usize = 4096;

/// What was taken.
#[derive(Debug, Default)]
pub struct Taken(BTreeMap<String, Secret>);

impl Taken {
    /// By the variable's name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }
}

/// Variables could not be taken; they may still be in the environment, so nothing must be started.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Another thread could read the environment meanwhile.
    #[error("credentials cannot be taken out of the environment once there are threads; this is a bug of rcc")]
    Threads,
    /// proc(5).
    #[error("cannot find the process's environment in /proc/self/stat, to take credentials out of it: {0}")]
    Stat(#[source] io::Error),
    /// It is not one that can be kept.
    #[error("the credential in the variable {name} cannot be kept: {source}")]
    Unusable {
        /// The variable.
        name: String,
        /// Why.
        #[source]
        source: SecretError,
    },
}

/// Takes the variables out of the environment. Variables that are not set, or empty, are not among what is returned.
/// To be called before there is a second thread.
///
/// Programs that started this one still have theirs (a shell that exported the variable, most likely), and where
/// systemd has it from `Environment=`, `systemctl show` tells it to everybody.
///
/// # Errors
/// See [`TakeError`].
pub fn take_environment(names: &BTreeSet<String>) -> Result<Taken, TakeError> {
    if names.is_empty() {
        return Ok(Taken::default());
    }
    if std::fs::read_dir("/proc/self/task").map_err(TakeError::Stat)?.count() != 1 {
        return Err(TakeError::Threads);
    }
    // SAFETY: there is no other thread, and nothing in this one keeps a reference into the environment.
    unsafe { take(names) }
}

/// # Safety
/// Nothing else reads or writes the environment meanwhile, or has a reference into it.
unsafe fn take(names: &BTreeSet<String>) -> Result<Taken, TakeError> {
    let (start, length) = initial_block().map_err(TakeError::Stat)?;
    let mut taken = BTreeMap::new();
    for name in names.iter().filter(|name| !name.is_empty() && !name.contains(['=', '\0'])) {
        // SAFETY: the caller's promise.
        for value in unsafe { values(name) } {
            let mut copy = value.to_vec();
            wipe(value);
            // The first is the one that counts (getenv(3)); an empty one is as good as none.
            if copy.is_empty() || taken.contains_key(name) {
                wipe(&mut copy);
                continue;
            }
            let unusable = |source| TakeError::Unusable { name: name.clone(), source };
            taken.insert(name.clone(), Secret::take(&mut copy).map_err(unusable)?);
        }
        // SAFETY: the caller's promise.
        unsafe { std::env::remove_var(name) };
        // SAFETY: the kernel's word for where the block is: on the stack, above everything that runs. Nothing refers
        // to it, by the caller's promise.
        erase(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length) }, name);
    }
    Ok(Taken(taken))
}

/// The values that a variable has, in the order of the environment, where they are. setenv(3) may have put them
/// elsewhere than they were at first.
///
/// # Safety
/// As for [`take`], as long as the values are used.
unsafe fn values<'a>(name: &str) -> Vec<&'a mut [u8]> {
    unsafe extern "C" {
        /// environ(7).
        static mut environ: *mut *mut libc::c_char;
    }
    let mut found = Vec::new();
    // SAFETY: reading a pointer that nobody writes meanwhile.
    let mut next = unsafe { environ };
    while !next.is_null() {
        // SAFETY: the array ends with a null pointer, which was not met yet.
        let entry = unsafe { *next };
        if entry.is_null() {
            break;
        }
        // SAFETY: every other entry is a string that ends with a NUL.
        let text = unsafe { CStr::from_ptr(entry) }.to_bytes();
        let value = text.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if let Some(length) = value.map(<[u8]>::len) {
            // SAFETY: the end of that string, which is writable (environ(7)); no two entries share it.
            found.push(unsafe { std::slice::from_raw_parts_mut(entry.add(text.len() - length).cast::<u8>(), length) });
        }
        // SAFETY: as above; the entry was not the last.
        next = unsafe { next.add(1) };
    }
    found
}

/// Overwrites what a variable had when the process started.
fn erase(block: &mut [u8], name: &str) {
    for entry in block.split_mut(|byte| *byte == 0) {
        let value = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if let Some(length) = value.map(<[u8]>::len) {
            let from = entry.len() - length;
            wipe(&mut entry[from..]);
        }
    }
}

/// Where the kernel put the environment, which is what `/proc/self/environ` shows.
fn initial_block() -> io::Result<(NonNull<u8>, usize)> {
    use std::io::Read;
    let mut stat = Vec::with_capacity(STAT_MAX);
    std::fs::File::open("/proc/self/stat")?.take(STAT_MAX as u64).read_to_end(&mut stat)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "it has no env_start and env_end");
    let [start, end] = bounds(&stat).ok_or_else(bad)?;
    let length = end.checked_sub(start).ok_or_else(bad)?;
    let start = NonNull::new(std::ptr::with_exposed_provenance_mut(start)).ok_or_else(bad)?;
    Ok((start, length))
}

/// Fields 50 and 51 of proc_pid_stat(5). The second field is a name in parentheses, which may hold anything.
fn bounds(stat: &[u8]) -> Option<[usize; 2]> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = OsStr::from_bytes(&stat[after..]).to_str()?;
    let mut fields = text.split_ascii_whitespace().skip(50 - 3).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const CHILD: &str = "RCC_TEST_TAKES";
    const CANARY: &str = "canary-7d1f";

    #[test]
    fn the_bounds_are_found_behind_any_name() {
        let numbers = |from: u32| (from..=52).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        for name in ["rcc", ") 1 2 (", "a b c"] {
            let stat = format!("7 ({name}) S {}\n", numbers(4));
            assert_eq!(bounds(stat.as_bytes()), Some([50, 51]), "{name}");
        }
        assert_eq!(bounds(b"7 (rcc) S 4 5"), None);
        assert_eq!(bounds(b""), None);
    }

    #[test]
    fn every_value_of_the_name_is_erased_and_no_other() {
        let mut block = *b"TOK=one\0TOKEN=two\0XTOK=three\0TOK=four\0TOK\0TOK=\0";
        erase(&mut block, "TOK");
        assert_eq!(&block, b"TOK=\0\0\0\0TOKEN=two\0XTOK=three\0TOK=\0\0\0\0\0TOK\0TOK=\0");
    }

    #[test]
    fn once_there_are_threads_nothing_is_taken() {
        let other = std::thread::spawn(std::thread::park);
        let taken = take_environment(&BTreeSet::from(["RCC_TEST_NONE".to_owned()]));
        assert!(matches!(taken, Err(TakeError::Threads)));
        other.thread().unpark();
        other.join().unwrap();
    }

    /// This very test in another process, whose environment nothing else uses.
    #[test]
    fn what_is_taken_is_in_no_environment_any_more() {
        if std::env::var_os(CHILD).is_some() {
            return in_the_child();
        }
        let test = "plugin::credential::environment::tests::what_is_taken_is_in_no_environment_any_more";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--test-threads=1"])
            .env(CHILD, "1")
            .env("RCC_TEST_TOKEN", CANARY)
            .env("RCC_TEST_OTHER", "kept")
            .env("RCC_TEST_EMPTY", "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }

    fn in_the_child() {
        // Once more elsewhere than at first, as a program that sets it anew leaves it.
        let moved = format!("{CANARY}-moved");
        // SAFETY: the only test of this process.
        unsafe { std::env::set_var("RCC_TEST_TOKEN", &moved) };
        assert!(contains(&std::fs::read("/proc/self/environ").unwrap(), CANARY));
        let names = ["RCC_TEST_TOKEN", "RCC_TEST_EMPTY", "RCC_TEST_UNSET", "", "A=B"].map(str::to_owned).into();
        // SAFETY: as above.
        let taken = unsafe { take(&names) }.unwrap();
        assert_eq!(taken.0.keys().collect::<Vec<_>>(), ["RCC_TEST_TOKEN"]);
        assert_eq!(taken.get("RCC_TEST_TOKEN").unwrap().expose(), moved.as_bytes());
        assert!(!format!("{taken:?}").contains("canary"));
        let block = std::fs::read("/proc/self/environ").unwrap();
        assert!(!contains(&block, "canary"));
        assert!(contains(&block, "RCC_TEST_OTHER=kept\0"));
        assert_eq!(std::env::var_os("RCC_TEST_TOKEN"), None);
        assert_eq!(std::env::var("RCC_TEST_OTHER").unwrap(), "kept");
        let child = Command::new("/usr/bin/env").stderr(Stdio::inherit()).output().unwrap();
        assert!(!contains(&child.stdout, "canary") && contains(&child.stdout, "RCC_TEST_OTHER=kept"));
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }
}
