//! What carries out a plan: rcc itself, or a container engine.

pub mod apple;
pub mod choice;
#[cfg(target_os = "linux")]
pub mod embedded;
#[cfg(target_os = "linux")]
pub mod engine;
pub mod machine;

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// What the user wants sandboxes to be made by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The one that needs the least.
    #[default]
    Auto,
    /// rcc itself.
    Embedded,
    /// Podman without root.
    Podman,
    /// Docker.
    Docker,
    /// OrbStack's Docker.
    Orbstack,
    /// Apple's `container`.
    Apple,
}

/// All of them, by name.
const NAMES: [(&str, Runtime); 6] = [
    ("auto", Runtime::Auto),
    ("embedded", Runtime::Embedded),
    ("podman", Runtime::Podman),
    ("docker", Runtime::Docker),
    ("orbstack", Runtime::Orbstack),
    ("apple", Runtime::Apple),
];

/// No runtime is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"auto\", \"embedded\", \"podman\", \"docker\", \"orbstack\" or \"apple\"")]
pub struct UnknownRuntime;

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<Self, UnknownRuntime> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, runtime)| *runtime).ok_or(UnknownRuntime)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, runtime)| runtime == self).map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

/// The name of an image as engines take it: `localhost/agent:1`, `name@sha256:...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(String);

/// What no engine would take for the name of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of an image has at most {IMAGE_MAX} characters out of a-z, A-Z, 0-9, '.', '_', '-', '/', ':' and '@', \
     begins with a letter or a digit, and has no '..'"
)]
pub struct BadImage;

/// A host name, a path, a tag and a digest have 255, 255, 128 and 135 at most.
const IMAGE_MAX: usize = 512;

impl FromStr for Image {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<Self, BadImage> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
        let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let good = begins && text.len() <= IMAGE_MAX && text.bytes().all(plain) && !text.contains("..");
        if good { Ok(Self(text.to_owned())) } else { Err(BadImage) }
    }
}

impl Image {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_called_what_it_is_printed_as() {
        for (name, runtime) in NAMES {
            assert_eq!(name.parse(), Ok(runtime));
            assert_eq!(runtime.to_string(), name);
        }
        assert_eq!("Podman".parse::<Runtime>(), Err(UnknownRuntime));
    }

    #[test]
    fn an_image_is_no_option_no_query_and_no_way_up() {
        for name in ["localhost/agent", "quay.io:443/a/b_c:1.0", "agent@sha256:0123"] {
            assert_eq!(name.parse::<Image>().unwrap().as_str(), name);
        }
        for name in ["", "--privileged", "/etc", "a b", "a?all=true", "a%2f", "a/../../info", "a\n"] {
            assert_eq!(name.parse::<Image>(), Err(BadImage), "{name:?}");
        }
    }
}
