//! Values that several kinds of configuration files share: amounts, names, paths, patterns.

use super::reader::Value;
use crate::policy::{BadName, ProfileName};
use crate::timespan;
use globset::GlobBuilder;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Bytes; decimal units by the SI, binary ones by IEC 80000-13, `K`, `M`, `G`, `T` as binary.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start_matches(' ') {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A span of time with these bounds, in seconds.
pub(super) fn time(value: &Value<'_, '_>, bounds: RangeInclusive<u64>) -> Option<Duration> {
    let written = |seconds: &u64| timespan::written(Duration::from_secs(*seconds));
    let range = format!("from {} to {}", written(bounds.start()), written(bounds.end()));
    value.parse("a span of time that is possible here", |text| {
        let time = timespan::parse(text).map_err(|reason| format!("{reason}, {range}"))?;
        if bounds.contains(&time.as_secs()) { Ok(time) } else { Err(format!("write a time {range}")) }
    })
}

/// A network profile that a file chooses.
pub(super) fn profile_name(value: &Value<'_, '_>) -> Option<ProfileName> {
    value.parse("the name of a network profile", |text| -> Result<_, BadName> { ProfileName::new(text) })
}

/// Login names as useradd(8) takes them, and as the NSS of other directories gives them.
pub(super) fn login_name(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
    let head = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if plain && head && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err(
            "a login name has 1 to 64 characters out of a-z, A-Z, 0-9, '.', '_', '-' and '@', and starts with a letter \
             or '_'",
        )
    }
}

/// Longest pattern in bytes (`PATH_MAX`, linux/limits.h).
const PATTERN_MAX: usize = 4096;

/// Why an exclude pattern was refused. The text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing there.
    #[error("a pattern is not empty; to exclude the whole project, don't run an agent in it")]
    Empty,
    /// Longer than a path can be.
    #[error("a pattern has at most {PATTERN_MAX} bytes")]
    Long,
    /// Newlines, escapes, NUL.
    #[error("a pattern has no control characters")]
    Control,
    /// Patterns are relative to the project.
    #[error("a pattern stays inside the project: no '..' and no '.' between slashes")]
    Dots,
    /// globset's own reason.
    #[error("{0}")]
    Glob(String),
}

/// A pattern as in `.gitignore`, `!` first for an exception from the patterns before it.
pub(super) fn pattern(text: &str) -> Result<String, BadPattern> {
    let glob = text.strip_prefix('!').unwrap_or(text);
    let path = glob.strip_prefix('/').unwrap_or(glob);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Err(BadPattern::Empty);
    }
    if text.len() > PATTERN_MAX {
        return Err(BadPattern::Long);
    }
    if text.chars().any(char::is_control) {
        return Err(BadPattern::Control);
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(BadPattern::Dots);
    }
    match GlobBuilder::new(path).literal_separator(true).backslash_escape(true).build() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(BadPattern::Glob(error.kind().to_string())),
    }
}

/// Why the name or value of an environment variable was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVariable {
    /// POSIX.1-2024, 8.1, "Environment Variable Definition".
    #[error("a name has 1 to 255 characters out of A-Z, a-z, 0-9 and '_', and does not start with a digit")]
    Name,
    /// execve(2): `MAX_ARG_STRLEN` is 128 KiB, and NUL ends a string.
    #[error("a value has no NUL and at most 131000 bytes")]
    Value,
}

/// The name of an environment variable.
pub(super) fn variable_name(text: &str) -> Result<String, BadVariable> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let ok = plain && (1..=255).contains(&text.len()) && !text.starts_with(|first: char| first.is_ascii_digit());
    if ok { Ok(text.to_owned()) } else { Err(BadVariable::Name) }
}

/// The value of an environment variable.
pub(super) fn variable_value(text: &str) -> Result<String, BadVariable> {
    if text.len() <= 131_000 && !text.contains('\0') { Ok(text.to_owned()) } else { Err(BadVariable::Value) }
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Neither `/...` nor `~/...`.
    #[error("write an absolute path, or one that starts with \"~/\"")]
    Relative,
    /// `..` would make the path mean something else after a symlink.
    #[error("write the path without '..'")]
    Parent,
    /// NUL ends a path, and no other control character belongs there.
    #[error("a path has no control characters")]
    Control,
    /// [`relative_path`] only.
    #[error("write a path relative to the project, like \".claude\"")]
    Absolute,
}

/// An absolute path, with `~/` for the user's home, without `.`, `..` and doubled slashes.
pub(super) fn absolute_path(text: &str, home: &Path) -> Result<PathBuf, BadPath> {
    let path = match text.strip_prefix("~/") {
        Some(rest) => home.join(clean(rest)?),
        None if text == "~" => home.to_owned(),
        None if text.starts_with('/') => Path::new("/").join(clean(text)?),
        None => return Err(BadPath::Relative),
    };
    Ok(path)
}

/// A path below the project.
pub(super) fn relative_path(text: &str) -> Result<String, BadPath> {
    if text.starts_with(['/', '~']) {
        return Err(BadPath::Absolute);
    }
    let path = clean(text)?;
    path.to_str().filter(|path| !path.is_empty()).map(str::to_owned).ok_or(BadPath::Absolute)
}

/// The normal components, joined; relative.
fn clean(text: &str) -> Result<PathBuf, BadPath> {
    if text.chars().any(char::is_control) {
        return Err(BadPath::Control);
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => return Err(BadPath::Parent),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_decimal_and_binary_units() {
        for (text, bytes) in [
            ("8GiB", 8 << 30),
            ("8G", 8 << 30),
            ("512MB", 512_000_000),
            ("512 MiB", 512 << 20),
            ("5000000", 5_000_000),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "8 Gigs", "8gib", "99999999999999999999", "99999999999TiB", "0x10"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_stay_inside_the_project() {
        for text in [".env", "!.env.example", "/secrets/", "**/*.key", "a/b", "[a-z]*", "\\!odd", "{a,b}.txt"] {
            assert_eq!(pattern(text).as_deref(), Ok(text));
        }
        for text in ["", "!", "/", "!/", "..", "../x", "a/../b", "a//b", "./a", "a\nb", "a\0", "[", "{a", "\\"] {
            assert!(pattern(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths_are_absolute_and_without_steps_up() {
        let home = Path::new("/home/alice");
        assert_eq!(absolute_path("~/x//./y/", home), Ok("/home/alice/x/y".into()));
        assert_eq!(absolute_path("~", home), Ok(home.into()));
        assert_eq!(absolute_path("/a", home), Ok("/a".into()));
        assert_eq!(absolute_path("~bob/x", home), Err(BadPath::Relative));
        assert_eq!(absolute_path("/a/../b", home), Err(BadPath::Parent));
        assert_eq!(absolute_path("/a\0", home), Err(BadPath::Control));
        assert_eq!(relative_path("./.claude/"), Ok(".claude".into()));
        for text in ["", ".", "/etc", "~/x", "../x"] {
            assert!(relative_path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn variable_names_cannot_carry_an_assignment() {
        assert!(variable_name("RUST_LOG").is_ok());
        for text in ["", "A=B", "1A", "A B", "A\0", "ä", &"A".repeat(256)] {
            assert!(variable_name(text).is_err(), "{text:?}");
        }
    }
}
