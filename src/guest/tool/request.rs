//! What the broker is asked for: the arguments, where, and the variables that it takes.

use crate::plugin::wire::{ARGUMENTS_MAX, Request, VARIABLES_MAX, WORD_MAX, Welcome};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What was typed, or is around, cannot be said to a plugin.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// JSON has no bytes.
    #[error("argument {0} is not UTF-8, and a plugin takes nothing else")]
    Argument(usize),
    /// Likewise.
    #[error("the variable {0} is not UTF-8, and a plugin takes nothing else: unset it, or run `env -u {0} …`")]
    Variable(String),
    /// Likewise.
    #[error("the current directory's path is not UTF-8, and a plugin takes nothing else")]
    Directory,
    /// Removed, most likely.
    #[error("cannot tell the current directory: {0}")]
    NoDirectory(#[source] io::Error),
    /// More than the protocol takes.
    #[error("there are more than {limit} {what}, which a plugin does not take")]
    TooMany {
        /// Arguments or variables.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Longer than the protocol takes.
    #[error("an argument or a variable has more than {WORD_MAX} bytes, which a plugin does not take: give it a file")]
    TooLong,
}

/// The request of a process with these.
pub(super) fn make(
    arguments: impl Iterator<Item = OsString>,
    directory: io::Result<PathBuf>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    welcome: &Welcome,
) -> Result<Request, RequestError> {
    let mut args = Vec::new();
    for (at, argument) in arguments.enumerate() {
        args.push(argument.into_string().map_err(|_| RequestError::Argument(at + 1))?);
    }
    let directory = directory.map_err(RequestError::NoDirectory)?;
    let cwd = directory.into_os_string().into_string().map_err(|_| RequestError::Directory)?;
    let mut env = BTreeMap::new();
    for (name, value) in variables {
        // A name that is not UTF-8 is none that the broker has named.
        let Some(name) = name.into_string().ok().filter(|name| welcome.takes(name)) else { continue };
        match value.into_string() {
            Ok(value) => drop(env.insert(name, value)),
            Err(_) => return Err(RequestError::Variable(name)),
        }
    }
    bounded(&args, &env)?;
    Ok(Request { args, cwd, env })
}

fn bounded(args: &[String], env: &BTreeMap<String, String>) -> Result<(), RequestError> {
    for (what, count, limit) in [("arguments", args.len(), ARGUMENTS_MAX), ("variables", env.len(), VARIABLES_MAX)] {
        if count > limit {
            return Err(RequestError::TooMany { what, limit });
        }
    }
    let variables = env.iter().map(|(name, value)| name.len() + 1 + value.len());
    let longest = args.iter().map(String::len).chain(variables).max();
    if longest > Some(WORD_MAX) { Err(RequestError::TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn made(arguments: &[&[u8]], directory: &[u8], variables: &[(&str, &[u8])]) -> Result<Request, String> {
        let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let environment = ["TERM", "LC_*"].map(str::to_owned).to_vec();
        let welcome = Welcome { version: 1, tool: "gh".into(), environment };
        let arguments = arguments.iter().map(|argument| os(argument));
        let variables = variables.iter().map(|(name, value)| (name.into(), os(value)));
        make(arguments, Ok(os(directory).into()), variables, &welcome).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_variables_that_the_broker_names_are_sent() {
        let secret = b"\xff not even text";
        let request = made(&[b"pr", b""], b"/api", &[("TERM", b"dumb"), ("LC_ALL", b"C"), ("TOKEN", secret)]).unwrap();
        assert_eq!(request.args, ["pr", ""]);
        let sent: Vec<(&str, &str)> = request.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((request.cwd.as_str(), sent), ("/api", vec![("LC_ALL", "C"), ("TERM", "dumb")]));
    }

    #[test]
    fn what_cannot_be_said_is_named() {
        assert!(made(&[b"a", b"\xff"], b"/", &[]).unwrap_err().contains("argument 2 is not UTF-8"));
        assert!(made(&[], b"/\xff", &[]).unwrap_err().contains("directory"));
        assert!(made(&[], b"/", &[("TERM", b"\xff")]).unwrap_err().contains("env -u TERM"));
        assert!(made(&vec![&b"x"[..]; 4097], b"/", &[]).unwrap_err().contains("4096 arguments"));
        assert!(made(&[&vec![b'x'; WORD_MAX + 1]], b"/", &[]).unwrap_err().contains("bytes"));
        made(&[&vec![b'x'; WORD_MAX]], b"/", &[]).unwrap();
    }
}
