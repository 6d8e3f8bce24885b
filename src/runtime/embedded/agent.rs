//! Becoming the agent's program, inside the finished sandbox.

use crate::output;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The command is there and cannot be executed; what shells and env(1) say.
const CANNOT_EXECUTE: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

/// Executes the command, found by the `PATH` of its environment unless it has a slash. Returns
/// only if that fails: the exit status, after a word on standard error.
pub fn execute(command: &[OsString], environment: &BTreeMap<OsString, OsString>) -> u8 {
    let Some(name) = command.first() else { return NOT_FOUND };
    let variables = environment.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let (Some(arguments), Some(variables)) =
        (c_strings(command.iter().map(|word| word.as_bytes().to_vec())), c_strings(variables))
    else {
        return complain(name, "a NUL in the command or its environment", CANNOT_EXECUTE);
    };
    let mut failure = Errno::NOENT;
    for candidate in candidates(name, environment.get(OsStr::new("PATH"))) {
        let Ok(path) = CString::new(candidate) else { continue };
        match execve(&path, &arguments, &variables) {
            Errno::NOENT | Errno::NOTDIR => (),
            // A later directory may have one that works; if none does, this is what to tell.
            Errno::ACCESS => failure = Errno::ACCESS,
            error => {
                failure = error;
                break;
            }
        }
    }
    match failure {
        Errno::NOENT => complain(
            name,
            "not found in the sandbox, which has the system's programs; those of your home need [[mounts]] in \
             ~/.config/rcc/config.toml",
            NOT_FOUND,
        ),
        error => complain(name, &error.to_string(), CANNOT_EXECUTE),
    }
}

fn complain(name: &OsStr, why: &str, status: u8) -> u8 {
    output::tell_line(format_args!("rcc: cannot run {}: {why}", crate::shown::terminal(name.as_ref())));
    status
}

fn candidates(name: &OsStr, path: Option<&OsString>) -> Vec<Vec<u8>> {
    if name.as_bytes().contains(&b'/') {
        return vec![name.as_bytes().to_vec()];
    }
    let path = path.map_or(b"/usr/bin:/bin".as_slice(), |path| path.as_bytes());
    let dirs = path.split(|byte| *byte == b':').filter(|dir| !dir.is_empty());
    dirs.map(|dir| [dir, b"/", name.as_bytes()].concat()).collect()
}

fn c_strings(words: impl Iterator<Item = Vec<u8>>) -> Option<Vec<CString>> {
    words.map(|word| CString::new(word).ok()).collect()
}

fn execve(path: &CString, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with NULL and point to strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    fn status(command: &[&str]) -> u8 {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let environment = BTreeMap::from([(OsString::from("PATH"), OsString::from("/nonexistent:/usr/bin:/bin"))]);
        let child = process::fork(|| execute(&command, &environment)).unwrap();
        process::exit_byte(process::wait(child).unwrap())
    }

    #[test]
    fn the_status_tells_what_went_wrong() {
        assert_eq!(status(&["sh", "-c", "exit 7"]), 7);
        assert_eq!(status(&["/bin/sh", "-c", "kill -9 $$"]), 137);
        assert_eq!(status(&["no-such-command"]), 127);
        assert_eq!(status(&["/etc/passwd"]), 126);
        assert_eq!(status(&["/etc"]), 126);
    }
}
