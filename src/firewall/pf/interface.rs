//! Names of network interfaces, as pf takes them.

use std::fmt;

/// The name of one interface: lower-case letters and a number, 15 bytes at the most (`IFNAMSIZ`,
/// net/if.h). Without a number pf would take it for the name of a group of interfaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

/// The name is not that of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an interface is named by lower-case letters and a number, 15 characters at the most")]
pub struct BadInterface;

impl InterfaceName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// The name is not that of one interface.
    pub fn new(text: &str) -> Result<Self, BadInterface> {
        let number = text.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let letters = text.len() - number.len();
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if letters > 0 && numbered && text.len() <= 15 { Ok(Self(text.to_owned())) } else { Err(BadInterface) }
    }

    pub(super) fn numbered(kind: &'static str, number: u32) -> Self {
        Self(format!("{kind}{number}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_or_more_than_a_name_is_no_interface() {
        for name in ["bridge100", "en0", "vmenet12345678"] {
            assert_eq!(InterfaceName::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "bridge",
            "100",
            "en0 quick",
            "en0\npass all",
            "$ext",
            "EN0",
            "en-0",
            "!en0",
            "{en0}",
            "vmenet1234567890",
        ] {
            assert_eq!(InterfaceName::new(name), Err(BadInterface), "{name:?}");
        }
    }
}
