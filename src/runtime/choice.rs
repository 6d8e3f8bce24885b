//! Which runtime a run takes, and why. Pure.

use super::{Image, Runtime};
use serde::Serialize;

/// What makes the sandbox of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Choice {
    /// rcc itself, with the host's own system files.
    Embedded {
        /// Why this one.
        why: &'static str,
    },
    /// Podman without root, with an image's system files.
    Podman {
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
    #[diagnostic(help("on Linux `--runtime embedded`, which needs no image, and `--runtime podman` are"))]
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
    /// Root's Podman is another thing: its containers' users are the host's.
    #[error("the runtime 'podman' is for ordinary users: root's containers share the users of the host")]
    #[diagnostic(help("run rcc as an ordinary user, or with `--runtime embedded`"))]
    Root,
}

/// The runtime for a user with this uid.
pub fn choose(runtime: Runtime, image: Option<&Image>, uid: u32) -> Result<Choice, ChoiceError> {
    match runtime {
        Runtime::Auto => Ok(Choice::Embedded { why: "auto: it needs neither an engine nor an image" }),
        Runtime::Embedded => Ok(Choice::Embedded { why: "it was asked for" }),
        Runtime::Podman if uid == 0 => Err(ChoiceError::Root),
        Runtime::Podman => match image {
            Some(image) => Ok(Choice::Podman { image: image.clone(), why: "it was asked for" }),
            None => Err(ChoiceError::NoImage { runtime }),
        },
        Runtime::Docker | Runtime::Orbstack | Runtime::Apple => Err(ChoiceError::NotYet { runtime }),
    }
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
        assert_eq!(choose(Runtime::Podman, None, 1000), Err(ChoiceError::NoImage { runtime: Runtime::Podman }));
        assert_eq!(choose(Runtime::Podman, Some(&image), 0), Err(ChoiceError::Root));
        for runtime in [Runtime::Docker, Runtime::Orbstack, Runtime::Apple] {
            assert_eq!(choose(runtime, Some(&image), 1000), Err(ChoiceError::NotYet { runtime }));
        }
        assert!(matches!(choose(Runtime::Podman, Some(&image), 1000), Ok(Choice::Podman { .. })));
    }
}
