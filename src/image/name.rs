//! The names of images, taken apart.

use crate::runtime::Image;

/// The repository of the images that rcc builds: of no registry.
pub const OWN: &str = "localhost/rcc";

/// The image that this version of rcc builds.
pub fn default_name() -> String {
    format!("{OWN}:{}", env!("CARGO_PKG_VERSION"))
}

/// An image's name: `REPOSITORY[:TAG][@DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it is from, and what it is called there.
    pub repository: String,
    /// Which of them.
    pub tag: Option<String>,
    /// This very one: `sha256:...`.
    pub digest: Option<String>,
}

impl From<&Image> for Reference {
    fn from(image: &Image) -> Self {
        let (name, digest) = match image.as_str().split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (image.as_str(), None),
        };
        // A colon before the last slash is that of a registry's port.
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[last..].split_once(':') {
            Some((end, tag)) => (&name[..last + end.len()], Some(tag.to_owned())),
            None => (name, None),
        };
        Self { repository: repository.to_owned(), tag, digest }
    }
}

impl Reference {
    /// What an engine is asked to pull: by digest, or else by one tag. Without either it would pull all tags.
    pub fn pulled(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, tag) => format!("{}:{}", self.repository, tag.as_deref().unwrap_or("latest")),
        }
    }
}

/// Whether this names one image for ever: by its digest or its id.
pub fn is_pinned(image: &Image) -> bool {
    let digest = |text: &str| text.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64));
    match image.as_str().split_once('@') {
        Some((_, text)) => digest(text),
        None => digest(image.as_str()) || is_hex(image.as_str(), 64),
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An image's id, `sha256:` or not, as 64 hexadecimal digits.
pub fn hex_of(id: &str) -> Option<&str> {
    Some(id.strip_prefix("sha256:").unwrap_or(id)).filter(|hex| is_hex(hex, 64))
}

/// The name that pins what `wanted` was pulled as: of its repository if the engine knows a digest there, else the first
/// that it knows; its id where there is none, as for what was built here by Docker.
pub fn pin(wanted: &Image, digests: &[String], id: &str) -> Option<Image> {
    let repository = Reference::from(wanted).repository;
    let named = digests.iter().filter_map(|name| name.parse::<Image>().ok()).filter(is_pinned);
    // Engines complete what was typed: docker.io/library/debian.
    let same = |name: &Image| {
        let known = Reference::from(name).repository;
        known == repository || known.ends_with(&format!("/{repository}"))
    };
    let (mut same, mut other): (Vec<Image>, Vec<Image>) = named.partition(same);
    let first = same.drain(..).chain(other.drain(..)).next();
    first.or_else(|| format!("sha256:{}", hex_of(id)?).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> Image {
        name.parse().unwrap()
    }

    #[test]
    fn a_registrys_port_is_no_tag() {
        let parts = |name: &str| {
            let Reference { repository, tag, digest } = Reference::from(&image(name));
            (repository, tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        let expect = |repository: &str, tag: &str, digest: &str| (repository.into(), tag.into(), digest.into());
        assert_eq!(parts("quay.io:443/a/b"), expect("quay.io:443/a/b", "", ""));
        assert_eq!(parts("quay.io:443/a/b:1@sha256:ab"), expect("quay.io:443/a/b", "1", "sha256:ab"));
        assert_eq!(parts("debian:stable"), expect("debian", "stable", ""));
    }

    #[test]
    fn one_image_is_pulled_and_never_all_tags() {
        let pulled = |name: &str| Reference::from(&image(name)).pulled();
        assert_eq!(pulled("a/b"), "a/b:latest");
        assert_eq!(pulled("a/b:1"), "a/b:1");
        assert_eq!(pulled("a/b:1@sha256:ab"), "a/b@sha256:ab");
    }

    #[test]
    fn a_pin_is_a_whole_digest_or_id() {
        let hex = "0123456789abcdef".repeat(4);
        for pinned in [format!("a@sha256:{hex}"), format!("sha256:{hex}"), hex.clone()] {
            assert!(is_pinned(&image(&pinned)), "{pinned}");
        }
        for loose in ["a".to_owned(), format!("a:{hex}"), format!("a@sha256:{}", &hex[1..]), format!("a@md5:{hex}")] {
            assert!(!is_pinned(&image(&loose)), "{loose}");
        }
    }

    #[test]
    fn a_pin_is_of_the_repository_that_was_asked_for() {
        let hex = "ab".repeat(32);
        let digests = [format!("other.example/x@sha256:{hex}"), format!("docker.io/library/debian@sha256:{hex}")];
        let pinned = pin(&image("debian:stable"), &digests, &hex).unwrap();
        assert_eq!(pinned.as_str(), digests[1]);
        assert_eq!(pin(&image("mine"), &digests, &hex).unwrap().as_str(), digests[0]);
        assert_eq!(pin(&image("mine"), &["<none>@<none>".to_owned()], &hex).unwrap().as_str(), format!("sha256:{hex}"));
        assert_eq!(pin(&image("mine"), &[], "--all"), None);
    }
}
