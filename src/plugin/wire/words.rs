//! What a client says, read strictly: fields that are not known, words that no program could be given and counts
//! beyond bounds are refused, and nothing is kept of them while they are read.

use super::message::{Control, First, Mode, Request, Service, Signal, Stream as Output, Terminal};
use super::{ARGUMENTS_MAX, PATH_MAX, URL_MAX, VARIABLES_MAX, WORD_MAX};
use crate::shown;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// Characters of what is wrong that are told: it quotes what the client wrote.
const WRONG_MAX: usize = 300;

/// What a client said is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is not understood: {0}")]
pub struct Malformed(String);

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FirstAction {
    Exec,
    Stream,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ControlAction {
    Exec,
    Connect,
    Signal,
    Resize,
    Close,
}

/// Which of several it is. The other fields are passed over here.
#[derive(serde::Deserialize)]
struct Which<A> {
    action: A,
}

/// The fields of each, with the one that was read before.
macro_rules! fields {
    ($($name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { #[serde(rename = "action")] _action: IgnoredAny, $($(#[$meta])* $field: $type,)* }
    )*};
}

fields! {
    Exec {
        #[serde(deserialize_with = "arguments")]
        args: Vec<String>,
        #[serde(deserialize_with = "directory")]
        cwd: String,
        #[serde(default, deserialize_with = "variables")]
        env: BTreeMap<String, String>,
        #[serde(default)]
        terminal: Option<Terminal>,
    }
    Stream { version: u32, }
    Connect {
        service: Service,
        #[serde(deserialize_with = "url")]
        url: String,
        mode: Mode,
    }
    Sent { signal: Signal, }
    Resize { rows: u16, columns: u16, }
    Close { stream: Output, }
}

impl First {
    /// Reads the first frame of a connection, and every further one of the simple form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        match read::<Which<FirstAction>>(frame)?.action {
            FirstAction::Exec => match read(frame)? {
                Exec { args, cwd, env, terminal: None, .. } => Ok(Self::Exec(Request { args, cwd, env })),
                _ => Err(Malformed("there is a `terminal` in the streaming form only".into())),
            },
            FirstAction::Stream => read(frame).map(|Stream { version, .. }| Self::Stream { version }),
        }
    }
}

impl Control {
    /// Reads the payload of a frame with the tag for it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        Ok(match read::<Which<ControlAction>>(payload)?.action {
            ControlAction::Exec => {
                let Exec { args, cwd, env, terminal, .. } = read(payload)?;
                Self::Exec { request: Request { args, cwd, env }, terminal }
            }
            ControlAction::Connect => {
                let Connect { service, url, mode, .. } = read(payload)?;
                Self::Connect { service, url, mode }
            }
            ControlAction::Signal => Self::Signal { signal: read::<Sent>(payload)?.signal },
            ControlAction::Resize => {
                let Resize { rows, columns, .. } = read(payload)?;
                Self::Resize { rows, columns }
            }
            ControlAction::Close => Self::Close { stream: read::<Close>(payload)?.stream },
        })
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(json).map_err(|error| {
        let shown = shown::text(&error.to_string());
        let cut = shown.char_indices().nth(WRONG_MAX).map_or(shown.as_str(), |(end, _)| &shown[..end]);
        Malformed(cut.to_owned())
    })
}

/// At most [`ARGUMENTS_MAX`], each of at most [`WORD_MAX`] bytes and without a NUL.
pub(super) fn arguments<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Arguments;
    impl<'de> Visitor<'de> for Arguments {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {ARGUMENTS_MAX} texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut arguments = Vec::new();
            while let Some(argument) = sequence.next_element::<String>()? {
                if arguments.len() == ARGUMENTS_MAX {
                    return Err(A::Error::custom(format_args!("there are more than {ARGUMENTS_MAX} arguments")));
                }
                word("an argument", &argument, argument.len(), WORD_MAX)?;
                arguments.push(argument);
            }
            Ok(arguments)
        }
    }
    from.deserialize_seq(Arguments)
}

/// At most [`VARIABLES_MAX`], none of them twice.
pub(super) fn variables<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Variables;
    impl<'de> Visitor<'de> for Variables {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object of at most {VARIABLES_MAX} texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut variables = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                if variables.len() == VARIABLES_MAX {
                    return Err(A::Error::custom(format_args!("there are more than {VARIABLES_MAX} variables")));
                }
                if name.is_empty() || name.contains(['=', '\0']) {
                    return Err(A::Error::custom("a variable's name is empty, or has a `=` or a NUL"));
                }
                word("a variable", &value, name.len() + 1 + value.len(), WORD_MAX)?;
                match variables.entry(name) {
                    Entry::Vacant(place) => place.insert(value),
                    Entry::Occupied(_) => return Err(A::Error::custom("a variable is given twice")),
                };
            }
            Ok(variables)
        }
    }
    from.deserialize_map(Variables)
}

/// An absolute path of at most [`PATH_MAX`] bytes.
pub(super) fn directory<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let path = String::deserialize(from)?;
    word("`cwd`", &path, path.len(), PATH_MAX)?;
    if path.starts_with('/') { Ok(path) } else { Err(D::Error::custom("`cwd` is not an absolute path")) }
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let url = String::deserialize(from)?;
    word("`url`", &url, url.len(), URL_MAX)?;
    if url.is_empty() || url.starts_with('-') || url.chars().any(char::is_control) {
        return Err(D::Error::custom("`url` is empty, begins with a `-` or has control characters"));
    }
    Ok(url)
}

fn word<E: Error>(what: &str, text: &str, length: usize, limit: usize) -> Result<(), E> {
    if length > limit {
        return Err(E::custom(format_args!("{what} has more than {limit} bytes")));
    }
    if text.contains('\0') { Err(E::custom(format_args!("{what} has a NUL in it"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn first(value: &Value) -> Result<First, String> {
        First::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    fn control(value: &Value) -> Result<Control, String> {
        Control::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let env = BTreeMap::from([("TERM".to_owned(), "dumb".to_owned())]);
        let request = Request { args: vec!["pr".into(), "ünï".into()], cwd: "/home/al/api".into(), env };
        let said = First::Exec(request.clone());
        assert_eq!(first(&json!(said)), Ok(said));
        let terminal = Some(Terminal { rows: 24, columns: 80, stdin: true, stdout: true, stderr: false });
        for said in [
            Control::Exec { request: request.clone(), terminal },
            Control::Exec { request, terminal: None },
            Control::Connect { service: Service::UploadPack, url: "git@h:a/b".into(), mode: Mode::Stateless },
            Control::Signal { signal: Signal::Int },
            Control::Resize { rows: 1, columns: u16::MAX },
            Control::Close { stream: Output::Stdout },
        ] {
            assert_eq!(control(&json!(said)), Ok(said));
        }
        assert!(first(&json!({"action": "exec", "args": [], "cwd": "/"})).is_ok(), "`env` may be left out");
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_reason() {
        for (said, reason) in [
            (json!({"action": "dance"}), "dance"),
            (json!({"args": [], "cwd": "/"}), "action"),
            (json!({"action": "exec", "args": []}), "cwd"),
            (json!({"action": "exec", "args": [], "cwd": "/", "stdin": "x"}), "stdin"),
            (json!({"action": "exec", "args": ["a", 1], "cwd": "/"}), "expected a string"),
            (json!({"action": "exec", "args": [], "cwd": "/", "env": {"A": null}}), "expected a string"),
            (json!({"action": "exec", "args": [], "cwd": "a"}), "absolute"),
            (json!({"action": "exec", "args": [], "cwd": "/a\0"}), "NUL"),
            (json!({"action": "exec", "args": ["\0"], "cwd": "/"}), "NUL"),
            (json!({"action": "exec", "args": [], "cwd": "/", "env": {"A=B": ""}}), "name"),
            (json!({"action": "exec", "args": [], "cwd": "/", "env": {"": ""}}), "name"),
            (json!({"action": "exec", "args": [], "cwd": "/", "env": {"A": "\0"}}), "NUL"),
            (json!({"action": "stream", "version": -1}), "version"),
            (json!([]), "invalid"),
        ] {
            let refused = first(&said).unwrap_err();
            assert!(refused.contains(reason) || reason == "version" || reason == "invalid", "{said}: {refused}");
        }
        let terminal = json!({"rows": 1, "columns": 1, "stdin": true, "stdout": true, "stderr": true});
        let said = json!({"action": "exec", "args": [], "cwd": "/", "terminal": terminal});
        assert!(control(&said).is_ok() && first(&said).unwrap_err().contains("streaming form"));
        for said in [
            json!({"action": "signal", "signal": "STOP"}),
            json!({"action": "signal", "signal": "SIGINT"}),
            json!({"action": "signal", "signal": 9}),
            json!({"action": "resize", "rows": 65536, "columns": 1}),
            json!({"action": "close", "stream": "stdin"}),
            json!({"action": "connect", "service": "git-upload-archive", "url": "https://h/x", "mode": "connect"}),
            json!({"action": "connect", "service": "git-upload-pack", "url": "--exec=x", "mode": "connect"}),
            json!({"action": "connect", "service": "git-upload-pack", "url": "https://h/\n", "mode": "connect"}),
            json!({"action": "connect", "service": "git-upload-pack", "url": "", "mode": "connect"}),
            json!({"action": "stream", "version": 1}),
        ] {
            control(&said).unwrap_err();
        }
    }

    #[test]
    fn nothing_is_given_twice() {
        for said in [
            r#"{"action":"exec","action":"exec","args":[],"cwd":"/"}"#,
            r#"{"action":"exec","args":[],"args":["x"],"cwd":"/"}"#,
            r#"{"action":"exec","args":[],"cwd":"/","env":{"A":"1","A":"2"}}"#,
            r#"{"action":"exec","args":[],"cwd":"/"}{"action":"exec","args":[],"cwd":"/"}"#,
        ] {
            First::parse(said.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn counts_and_lengths_have_bounds() {
        let args = |count: usize, length: usize| json!({"action": "exec", "args": vec!["x".repeat(length); count], "cwd": "/"});
        first(&args(ARGUMENTS_MAX, 1)).unwrap();
        first(&args(1, WORD_MAX)).unwrap();
        assert!(first(&args(ARGUMENTS_MAX + 1, 1)).unwrap_err().contains("4096"));
        assert!(first(&args(1, WORD_MAX + 1)).unwrap_err().contains("131071"));
        let env = |count: usize, length: usize| {
            let env: BTreeMap<String, String> =
                (0..count).map(|at| (format!("V{at:03}"), "x".repeat(length))).collect();
            json!({"action": "exec", "args": [], "cwd": "/", "env": env})
        };
        first(&env(VARIABLES_MAX, 1)).unwrap();
        first(&env(1, WORD_MAX - 5)).unwrap();
        first(&env(VARIABLES_MAX + 1, 1)).unwrap_err();
        first(&env(1, WORD_MAX - 4)).unwrap_err();
        let cwd = |length: usize| json!({"action": "exec", "args": [], "cwd": "/".repeat(length)});
        first(&cwd(PATH_MAX)).unwrap();
        first(&cwd(PATH_MAX + 1)).unwrap_err();
        first(&cwd(0)).unwrap_err();
    }

    #[test]
    fn what_is_wrong_is_told_in_one_short_line() {
        let said = json!({"action": "exec", "args": [], "cwd": "/", "\u{1b}]52;c;x\n\u{202e}".repeat(9999): 1});
        let refused = first(&said).unwrap_err();
        assert!(refused.chars().count() < WRONG_MAX + 50, "{}", refused.len());
        assert!(!refused.chars().any(shown::is_unseen), "{refused}");
    }
}
