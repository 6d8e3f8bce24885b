//! The name of a tool: of its manifest, of its socket and of its wrapper.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes: a socket's path has room for 107 (unix(7)).
pub const NAME_MAX: usize = 32;

/// A tool's name: a lower-case letter or digit, then such, `-`, `_` or `.`; at most [`NAME_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolName(String);

/// Not a tool's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tool's name has 1 to {NAME_MAX} lower-case letters, digits, '-', '_' and '.', and begins with a letter or digit"
)]
pub struct BadName;

impl ToolName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ToolName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ToolName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = text.len() <= NAME_MAX
            && text.bytes().next().is_some_and(alphanumeric)
            && text.bytes().all(|byte| alphanumeric(byte) || b"-_.".contains(&byte));
        if good { Ok(Self(text)) } else { Err(BadName) }
    }
}

impl From<ToolName> for String {
    fn from(name: ToolName) -> Self {
        name.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_file_name() {
        for good in ["git", "g", "7z", "npm-registry", "python3.12", &"a".repeat(32)] {
            good.parse::<ToolName>().unwrap();
        }
        for bad in ["", ".", "..", "-x", ".git", "Git", "a/b", "a b", "a\0", "ä", &"a".repeat(33)] {
            assert_eq!(bad.parse::<ToolName>(), Err(BadName), "{bad:?}");
        }
    }
}
