//! Which runtime a run takes, and why. Pure.

use super::{Image, Runtime};
use serde::Serialize;

/// An engine that rcc can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Podman without root.
    Podman,
    /// Docker without root.
    Docker,
}

impl EngineName {
    /// As its makers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Podman => "Podman",
            Self::Docker => "Docker",
        }
    }
}

/// What makes the sandbox of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Choice {
    /// rcc itself, with the host's own system files.
    Embedded {
        /// Why this one.
        why: &'static str,
    },
    /// A container engine, with an image's system files.
    #[serde(untagged)]
    Engine {
        /// Which.
        name: EngineName,
        /// The image.
        image: Image,
        /// Why this one.
        why: &'static str,
    },
}

/// Why no runtime can be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ChoiceError {
    /// A known one that rcc cannot use yet.
    #[error("the runtime '{runtime}' is not there yet")]
    #[diagnostic(help(
        "on Linux `--runtime embedded`, which needs no image, `--runtime podman` and `--runtime docker` are"
    ))]
    NotYet {
        /// Which.
        runtime: Runtime,
    },
    /// An engine without an image.
    #[error("the runtime '{runtime}' needs an image")]
    #[diagnostic(help(
        "`rcc image build` makes one and `rcc image pull NAME` fetches one; name it with --image or, for all runs, by `image` \
         in the user's configuration"
    ))]
    NoImage {
        /// Which.
        runtime: Runtime,
    },
    /// Root's engine is another thing: its containers' users are the host's.
    #[error("the runtime '{runtime}' is for ordinary users: root's containers share the users of the host")]
    #[diagnostic(help("run rcc as an ordinary user, or with `--runtime embedded`"))]
    Root {
        /// Which.
        runtime: Runtime,
    },
}

/// The runtime for a user with this uid.
pub fn choose(runtime: Runtime, image: Option<&Image>, uid: u32) -> Result<Choice, ChoiceError> {
    match runtime {
        Runtime::Auto => Ok(Choice::Embedded { why: "auto: it needs neither an engine nor an image" }),
        Runtime::Embedded => Ok(Choice::Embedded { why: "it was asked for" }),
        Runtime::Podman => engine(EngineName::Podman, runtime, image, uid),
        Runtime::Docker => engine(EngineName::Docker, runtime, image, uid),
        Runtime::Orbstack | Runtime::Apple => Err(ChoiceError::NotYet { runtime }),
    }
}

fn engine(name: EngineName, runtime: Runtime, image: Option<&Image>, uid: u32) -> Result<Choice, ChoiceError> {
    if uid == 0 {
        return Err(ChoiceError::Root { runtime });
    }
    let image = image.ok_or(ChoiceError::NoImage { runtime })?.clone();
    Ok(Choice::Engine { name, image, why: "it was asked for" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_needs_no_image_and_ignores_one() {
        let image: Image = "agent".parse().unwrap();
        for image in [None, Some(&image)] {
            assert!(matches!(choose(Runtime::Auto, image, 1000), Ok(Choice::Embedded { .. })));
        }
    }

    #[test]
    fn an_engine_is_never_silently_replaced() {
        let image: Image = "agent".parse().unwrap();
        for (runtime, expected) in [(Runtime::Podman, EngineName::Podman), (Runtime::Docker, EngineName::Docker)] {
            assert_eq!(choose(runtime, None, 1000), Err(ChoiceError::NoImage { runtime }));
            assert_eq!(choose(runtime, Some(&image), 0), Err(ChoiceError::Root { runtime }));
            let chosen = choose(runtime, Some(&image), 1000);
            assert!(matches!(chosen, Ok(Choice::Engine { name, .. }) if name == expected));
        }
        for runtime in [Runtime::Orbstack, Runtime::Apple] {
            assert_eq!(choose(runtime, Some(&image), 1000), Err(ChoiceError::NotYet { runtime }));
        }
    }

    #[test]
    fn a_plan_names_every_runtime_in_the_same_way() {
        let image: Image = "agent".parse().unwrap();
        for (runtime, name) in [(Runtime::Auto, "embedded"), (Runtime::Podman, "podman"), (Runtime::Docker, "docker")] {
            let chosen = serde_json::to_value(choose(runtime, Some(&image), 1000).unwrap()).unwrap();
            assert_eq!(chosen["name"], name);
            assert_eq!(chosen.get("image").is_some(), name != "embedded");
        }
    }
}
