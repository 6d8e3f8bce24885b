//! What rcc needs of an engine, whichever it is.

use super::api::ApiError;
use super::spec::Spec;
use crate::runtime::choice::EngineName;
use rustix::process::Pid;
use serde::Deserialize;

/// On every container of rcc's: the session's name.
pub const LABEL: &str = "rcc.session";
/// Likewise: the runtime directory of the launcher, which alone can tell whether the session lives.
pub const PLACE: &str = "rcc.runtime-dir";

/// An engine's API. The agent starts when the launcher greets the container's first process, which is rcc, and not
/// before: however early an engine starts that process, it does nothing but wait.
pub trait Engine {
    /// Which it is.
    fn name(&self) -> EngineName;

    /// Whether the first process has the user's number from the start. If not it is 0, which is the user outside.
    fn keeps_id(&self) -> bool;

    /// What it says of itself.
    fn info(&self) -> Result<Info, ApiError>;

    /// What an image has; `None` if there is none of this name.
    fn image(&self, name: &str) -> Result<Option<ImageFacts>, ApiError>;

    /// Makes a container, which has no process yet. Returns the engine's name for it.
    fn create(&self, spec: &Spec<'_>) -> Result<String, ApiError>;

    /// Makes its namespaces and its first process, which waits.
    fn ready(&self, id: &str) -> Result<(), ApiError>;

    /// The process that waits, in the caller's pid namespace.
    fn process(&self, id: &str) -> Result<Option<Pid>, ApiError>;

    /// Lets it speak to the launcher, where [`Engine::ready`] has not.
    fn let_go(&self, id: &str) -> Result<(), ApiError>;

    /// Ends it and removes it, whatever it is doing.
    fn remove(&self, id: &str) -> Result<(), ApiError>;

    /// All containers of rcc's, of this user.
    fn ours(&self) -> Result<Vec<Ours>, ApiError>;
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether it has no root.
    pub rootless: bool,
    /// Its OCI runtime.
    pub runtime: String,
    /// What that says of its version.
    pub runtime_version: String,
    /// What cgroups can limit there.
    pub controllers: Vec<String>,
    /// Whom its user namespace knows, if it tells.
    pub ids: Option<Ids>,
}

impl Info {
    /// Whether it tells that its user namespace, which lasts as long as the engine or any of its containers, does not
    /// know this number as that of a user and of a group.
    pub fn lacks(&self, id: u32) -> bool {
        let within = |mapping: &Mapping| id.checked_sub(mapping.host_id).is_some_and(|offset| offset < mapping.size);
        self.ids.as_ref().is_some_and(|ids| !(ids.uids.iter().any(within) && ids.gids.iter().any(within)))
    }
}

/// Users and groups that a user namespace knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The users.
    pub uids: Vec<Mapping>,
    /// The groups.
    pub gids: Vec<Mapping>,
}

/// Ids of the host that a user namespace knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Mapping {
    pub(super) host_id: u32,
    pub(super) size: u32,
}

/// What an image has that matters for a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its variables, as `NAME=value`.
    pub variables: Vec<String>,
    /// Where it wants storage of its own.
    pub volumes: Vec<String>,
}

impl ImageFacts {
    /// Its own `PATH`, which may be empty.
    pub fn path(&self) -> &str {
        self.variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default()
    }

    /// What its variables are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter_map(|variable| variable.split('=').next())
    }
}

/// A container of rcc's, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The engine's name for it.
    pub id: String,
    /// The session's.
    pub session: String,
    /// The launcher's runtime directory.
    pub runtime_dir: String,
}

impl Ours {
    /// Whether a container is of rcc's. Its labels alone would not do: a container inherits those of its image, whose
    /// maker would have others' containers removed.
    pub(super) fn judge(
        id: String,
        names: &[String],
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Option<Self> {
        let (mut session, mut runtime_dir) = (None, None);
        for (label, value) in labels {
            match label.as_str() {
                LABEL => session = Some(value),
                PLACE => runtime_dir = Some(value),
                _ => {}
            }
        }
        let (session, runtime_dir) = (session?, runtime_dir?);
        names.contains(&container_name(&session)).then_some(Self { id, session, runtime_dir })
    }
}

/// What the container of a session is called.
pub fn container_name(session: &str) -> String {
    format!("rcc-{session}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_has_only_an_images_labels_is_not_ours() {
        let judge = |name: &str, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
            Ours::judge("4f".into(), &[name.to_owned()], labels)
        };
        let labels = [("maintainer", "x"), (LABEL, "api-1"), (PLACE, "/run/rcc/1000")];
        assert_eq!(judge("rcc-api-1", &labels).unwrap().session, "api-1");
        for name in ["postgres", "rcc-api-2", "api-1", "rcc-api-1x"] {
            assert_eq!(judge(name, &labels), None, "{name}");
        }
        assert_eq!(judge("rcc-api-1", &labels[..2]), None);
    }

    #[test]
    fn an_identity_is_lacking_unless_both_maps_have_it() {
        let mapping = |host_id, size| Mapping { host_id, size };
        let uids = vec![mapping(1000, 1), mapping(100_000, 65536), mapping(1_919_090_688, 1024)];
        let gids = vec![mapping(1000, 1), mapping(100_000, 65536), mapping(1_919_090_688, 512)];
        let of = |ids| Info {
            rootless: true,
            runtime: "crun".into(),
            runtime_version: String::new(),
            controllers: vec![],
            ids,
        };
        let info = of(Some(Ids { uids, gids }));
        assert!(!info.lacks(1_919_090_688) && !info.lacks(1_919_090_688 + 511));
        for unknown in [1_919_090_687, 1_919_090_688 + 512, 1_919_090_688 + 1024, 0] {
            assert!(info.lacks(unknown), "{unknown}");
        }
        assert!(!of(None).lacks(0), "an engine that does not tell lacks nothing yet");
    }
}
