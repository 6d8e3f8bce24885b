//! Masks paths that tell of the host: where the project lies, who its users are, where rcc keeps its things.
//! An agent that wants to tell them finds a way; this is for those that don't think of it.
//!
//! | in the text | becomes |
//! |---|---|
//! | the sender's project root | `[api]`, with the project's name |
//! | the sender's home | `~` |
//! | `/home/X`, `/Users/X`, `/var/home/X`, `/root` | `[HOME]` |
//! | `/run/user/N` | `[RUN]` |
//! | `/run/rcc-relay`, `/var/lib/rcc-relay`, `/run/rcc/N` | `[RCC]` |
//!
//! What follows stays, so `[api]/src/main.rs` still reads as a path. No project has a name of capitals.
//!
//! A path is found where one can begin: not inside of `src/home/x`, but in `-I/home/al`, in `\n/home/al` with
//! the two characters of an escape, and after the host in `file://host/home/al`. `/` may be doubled, `%2F` or
//! `\/`, other characters percent-encoded (RFC 3986, 2.1).
//!
//! Masking what is masked changes nothing. Each decision looks at what was written before it and at what
//! follows; a mask begins with `~` or `[`, after which no path begins, and known paths in which one of them
//! stands where a mask could be are not looked for (see [`Known`]): the home around them still is.

use super::TooLong;
use crate::relay::name::ProjectName;
use std::path::{Component, Path};

/// What is the sender's own on the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Roots<'a> {
    /// The root of its project.
    pub root: Option<&'a Path>,
    /// Its project's name.
    pub project: Option<&'a ProjectName>,
    /// Its user's home.
    pub home: Option<&'a Path>,
}

/// The user's name, or number, in a general path.
const ANY: &str = "*";
const NUMBER: &str = "#";
/// Paths that tell of the host whoever sends them.
const GENERAL: [(&[&str], &str); 8] = [
    (&["home", ANY], "[HOME]"),
    (&["Users", ANY], "[HOME]"),
    (&["var", "home", ANY], "[HOME]"),
    (&["root"], "[HOME]"),
    (&["run", "user", NUMBER], "[RUN]"),
    (&["run", "rcc-relay"], "[RCC]"),
    (&["var", "lib", "rcc-relay"], "[RCC]"),
    (&["run", "rcc", NUMBER], "[RCC]"),
];
/// The longest path that is looked for: PATH_MAX (linux/limits.h).
const KNOWN_MAX: usize = 4096;
/// Bytes of a word in front of a path, such as `-isystem`.
const WORD_MAX: usize = 16;
/// Bytes of a host's name (RFC 1035, 2.3.4).
const HOST_MAX: usize = 255;

/// A path of the sender's, and what is written instead.
struct Known {
    parts: Vec<String>,
    mask: String,
}

impl Known {
    fn new(path: &Path, mask: String) -> Option<Self> {
        let text = path.to_string_lossy();
        let parts: Option<Vec<String>> = path
            .components()
            .filter(|part| *part != Component::RootDir)
            .map(|part| match part {
                Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        let parts = parts.filter(|parts| !parts.is_empty())?;
        // A path that could be made by masking another, or that reads in two ways. None of them is one that a
        // careful person gives to a project.
        let odd = |(at, c): (usize, char)| match c {
            '~' | '[' => can_begin(&text[..at]),
            _ => matches!(c, '%' | '\\' | ':') || c.is_control(),
        };
        let plain = path.is_absolute() && text.len() <= KNOWN_MAX && !text.char_indices().any(odd);
        plain.then_some(Self { parts, mask })
    }

    /// How much of the text is this path.
    fn length(&self, text: &str) -> Option<usize> {
        let mut at = 0;
        for part in &self.parts {
            at += between(&text[at..])?;
            at += literal(&text[at..], part)?;
            if !ends(&text[at..]) {
                return None;
            }
        }
        Some(at)
    }
}

/// Masks paths, and counts them.
pub(super) fn mask(text: String, roots: &Roots<'_>, limit: usize) -> Result<(String, u32), TooLong> {
    let project = || roots.project.map_or("[PROJECT]".to_owned(), |name| format!("[{name}]"));
    let root = roots.root.and_then(|root| Known::new(root, project()));
    let home = roots.home.and_then(|home| Known::new(home, "~".to_owned()));
    let mut known: Vec<Known> = root.into_iter().chain(home).collect();
    // The project lies in the home as a rule; a project that is the home is the project.
    known.sort_by_key(|known| std::cmp::Reverse(known.parts.len()));

    let mut out = String::with_capacity(text.len());
    let (mut rest, mut masked) = (text.as_str(), 0);
    while let Some(begin) = memchr::memchr3(b'/', b'%', b'\\', rest.as_bytes()) {
        out.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let mut run = separators(rest);
        if run == 0 {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        }
        // The two slashes before a host are none of the path's: `file:///home`.
        if out.ends_with(':') && rest.starts_with("//") {
            out.push_str("//");
            (rest, run) = (&rest[2..], run - 2);
        }
        let found = if run > 0 && (can_begin(&out) || is_after_host(&out)) { find(rest, &known) } else { None };
        match found {
            Some((length, mask)) => {
                out.push_str(mask);
                rest = &rest[length..];
                masked += 1;
            }
            None => {
                out.push_str(&rest[..run]);
                rest = &rest[run..];
            }
        }
        if out.len() > limit {
            return Err(TooLong { limit });
        }
    }
    out.push_str(rest);
    if out.len() > limit { Err(TooLong { limit }) } else { Ok((out, masked)) }
}

fn find<'k>(text: &str, known: &'k [Known]) -> Option<(usize, &'k str)> {
    let own = known.iter().find_map(|known| Some((known.length(text)?, known.mask.as_str())));
    own.or_else(|| GENERAL.iter().find_map(|(parts, mask)| Some((general(text, parts)?, *mask))))
}

/// How much of the text is such a path.
fn general(text: &str, parts: &[&str]) -> Option<usize> {
    let mut at = 0;
    for part in parts {
        at += between(&text[at..])?;
        let rest = &text[at..];
        at += match *part {
            ANY => name(rest)?,
            NUMBER => Some(rest.bytes().take_while(u8::is_ascii_digit).count()).filter(|digits| *digits > 0)?,
            part => literal(rest, part)?,
        };
        if !ends(&text[at..]) {
            return None;
        }
    }
    Some(at)
}

/// The length of the separators with which the text begins.
fn separators(text: &str) -> usize {
    let mut rest = text;
    loop {
        let next = ["/", "\\/", "%2f", "%2F"].iter().find_map(|form| rest.strip_prefix(form));
        match next {
            Some(next) => rest = next,
            None => return text.len() - rest.len(),
        }
    }
}

/// [`separators`], of which there must be one.
fn between(text: &str) -> Option<usize> {
    Some(separators(text)).filter(|length| *length > 0)
}

/// The length of what spells this in the text, percent-encoded or not.
fn literal(text: &str, wanted: &str) -> Option<usize> {
    let mut at = 0;
    for byte in wanted.bytes() {
        at += match text.as_bytes().get(at)? {
            found if *found == byte => 1,
            b'%' if encoded(&text.as_bytes()[at..]) == Some(byte) => 3,
            _ => return None,
        };
    }
    Some(at)
}

/// The octet of a `%41`.
fn encoded(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let octet = (text.first() == Some(&b'%')).then_some(digit(1)? << 4 | digit(2)?)?;
    u8::try_from(octet).ok()
}

/// The length of a user's name: a directory's name as far as it needs no quotes, without the dot that ends a
/// sentence.
fn name(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at += match c {
            '%' if encoded(&text.as_bytes()[at..]).is_some_and(|octet| octet != b'/') => 3,
            c if c.is_alphanumeric() || "_-.+@".contains(c) => c.len_utf8(),
            _ => break,
        };
    }
    let length = text[..at].trim_end_matches('.').len();
    match length {
        0 => None,
        _ if separators(&text[at..]) > 0 => Some(at),
        _ => Some(length),
    }
}

/// Whether a directory's name can end before this text: it does not go on, but for the dot that ends a
/// sentence.
fn ends(text: &str) -> bool {
    let after = text.trim_start_matches('.');
    match after.chars().next() {
        None => true,
        Some('%') => after.len() == text.len() && encoded(after.as_bytes()).is_none_or(|octet| octet == b'/'),
        Some(c) if c.is_alphanumeric() || "_-+@~".contains(c) => false,
        Some(_) => after.len() == text.len() || separators(after) == 0,
    }
}

/// Whether an absolute path can begin after this text.
fn can_begin(before: &str) -> bool {
    let bytes = before.as_bytes();
    let word = bytes.iter().rev().take(WORD_MAX + 1).take_while(|byte| goes_on(**byte)).count();
    let (front, word) = bytes.split_at(bytes.len() - word);
    match word {
        // Also after `}`, if it ends what was escaped.
        b"" => front.last() != Some(&b'}') || is_escape(front),
        b"n" | b"r" | b"t" if front.ends_with(b"\\") => true,
        [b'-', option @ ..] => (1..WORD_MAX).contains(&option.len()) && option.iter().all(u8::is_ascii_alphabetic),
        // The end of a terminal's escape sequence: `[1;31m`.
        [digits @ .., b'm'] if digits.iter().all(u8::is_ascii_digit) => front.ends_with(b"[") || front.ends_with(b";"),
        // A character that is percent-encoded.
        [_, _] => encoded(&bytes[bytes.len().saturating_sub(3)..]).is_some_and(|octet| !goes_on(octet)),
        _ => false,
    }
}

/// Whether this text ends with the host of a URL whose path is one of files: `file://HOST`, `vscode://file`,
/// and any without a host.
fn is_after_host(before: &str) -> bool {
    let host =
        before.bytes().rev().take(HOST_MAX).take_while(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
    let (front, host) = before.split_at(before.len() - host.count());
    front.strip_suffix("://").is_some_and(|scheme| {
        let file = scheme.len().checked_sub(4).and_then(|at| scheme.get(at..));
        host.is_empty() || host == "file" || file.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file"))
    })
}

/// Whether a path goes on after this byte rather than begins.
fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.~]+@*#)/".contains(&byte)
}

fn is_escape(text: &[u8]) -> bool {
    let digits = text[..text.len() - 1].iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count();
    digits > 0 && digits <= 6 && text[..text.len() - 1 - digits].ends_with(b"\\u{")
}
