//! A container engine's images, by the API of Docker over its unix socket.

use super::name::hex_of;
use super::progress::Told;
use super::{containerfile, libpod};
use crate::shown;
use bollard::models::{BuildInfo, CreateImageInfo, ProgressDetail};
use bollard::query_parameters::{
    BuildImageOptions, CreateImageOptions, ListContainersOptions, ListImagesOptions, RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full, body_try_stream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// Seconds that an engine may take until it begins to answer. It answers an import when all of it has come.
const PATIENCE: u64 = 3600;
/// What is shown of an engine's words, in characters.
const WORDS_MAX: usize = 2000;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineKind {
    /// Podman without root.
    Podman,
    /// Docker, or what speaks as it does.
    Docker,
}

/// Why an engine did not do it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    /// It cannot be spoken to.
    #[error("cannot talk to the engine at {}: {said}", shown::terminal(socket))]
    Connection {
        /// Where.
        socket: PathBuf,
        /// Why.
        said: String,
    },
    /// It refused or failed.
    #[error("the engine failed to {what}: {said}")]
    Failed {
        /// What was asked of it.
        what: String,
        /// Its words, escaped.
        said: String,
    },
}

/// An image that an engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `REPOSITORY:TAG`, as many as it has.
    pub names: Vec<String>,
    /// `REPOSITORY@DIGEST` likewise.
    pub digests: Vec<String>,
    /// Octets, with those that it shares with others.
    pub size: u64,
    /// Seconds since 1970.
    pub created: i64,
    /// What whoever made it wrote on it.
    pub labels: BTreeMap<String, String>,
}

/// An engine that answers.
#[derive(Debug)]
pub struct Engine {
    docker: Docker,
    kind: EngineKind,
    socket: PathBuf,
}

impl Engine {
    /// Who listens at this socket, in words that both sides know.
    pub async fn connect(kind: EngineKind, socket: &Path) -> Result<Self, EngineError> {
        let failed = |error| EngineError::Connection { socket: socket.to_owned(), said: said(error) };
        let path = socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, PATIENCE, API_DEFAULT_VERSION).map_err(failed)?;
        let docker = docker.negotiate_version().await.map_err(failed)?;
        Ok(Self { docker, kind, socket: socket.to_owned() })
    }

    /// All images that have a name, or are nobody's part.
    pub async fn images(&self) -> Result<Vec<Stored>, EngineError> {
        // Podman 4.3 answers nothing at all to whoever asks for digests, which are there anyway.
        let listed = self
            .docker
            .list_images(None::<ListImagesOptions>)
            .await
            .map_err(|error| failed("list its images", error))?;
        let stored = listed.into_iter().filter_map(|image| {
            Some(Stored {
                id: hex_of(&image.id)?.to_owned(),
                names: image.repo_tags.into_iter().filter(|name| !name.contains("<none>")).collect(),
                digests: image.repo_digests.into_iter().filter(|name| !name.contains("<none>")).collect(),
                size: u64::try_from(image.size).unwrap_or(0),
                created: image.created,
                labels: image.labels.into_iter().collect(),
            })
        });
        Ok(stored.collect())
    }

    /// The image of this name, digest or id, as the engine itself understands that.
    pub async fn find(&self, name: &str) -> Result<Option<Stored>, EngineError> {
        let found = match self.docker.inspect_image(name).await {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            found => found.map_err(|error| failed("describe an image", error))?,
        };
        Ok(Some(Stored {
            id: found.id.as_deref().and_then(hex_of).unwrap_or_default().to_owned(),
            names: found.repo_tags.unwrap_or_default(),
            digests: found.repo_digests.unwrap_or_default(),
            size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            created: 0,
            labels: found.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        }))
    }

    /// The ids of the images that containers have, running or not.
    pub async fn used(&self) -> Result<BTreeSet<String>, EngineError> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let listed =
            self.docker.list_containers(Some(options)).await.map_err(|error| failed("list containers", error))?;
        Ok(listed.iter().filter_map(|container| Some(hex_of(container.image_id.as_deref()?)?.to_owned())).collect())
    }

    /// Fetches an image, named as [`Reference::pulled`](super::name::Reference::pulled) has it.
    pub fn pull(&self, name: &str) -> impl Stream<Item = Result<Told, EngineError>> + Send + use<> {
        let options = CreateImageOptions { from_image: Some(name.to_owned()), ..Default::default() };
        let what = format!("pull {name}");
        self.docker
            .create_image(Some(options), None, None)
            .map(move |told| told.map(Told::from).map_err(|e| failed(&what, e)))
    }

    /// Makes an image of an archive of its files, and an instruction of a Containerfile. Where the archive ends by an
    /// error, none is made.
    pub fn import(
        &self,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        name: &str,
        change: String,
    ) -> Pin<Box<dyn Stream<Item = Result<Told, EngineError>> + Send>> {
        let message = format!("built by rcc {}", env!("CARGO_PKG_VERSION"));
        if self.kind == EngineKind::Podman {
            let (socket, name) = (self.socket.clone(), name.to_owned());
            return Box::pin(stream::once(async move {
                let imported = libpod::import(&socket, archive, &name, &change, &message).await;
                let failed = |said| EngineError::Failed { what: "import the image".to_owned(), said };
                imported.map(|()| Told::default()).map_err(failed)
            }));
        }
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(name.to_owned()),
            changes: vec![change],
            message: Some(message),
            ..Default::default()
        };
        let stream = self.docker.create_image(Some(options), Some(body_try_stream(archive)), None);
        Box::pin(stream.map(|told| told.map(Told::from).map_err(|error| failed("import the image", error))))
    }

    /// Makes an image by the Containerfile.
    pub fn build(
        &self,
        name: &str,
        arguments: HashMap<String, String>,
        labels: HashMap<String, String>,
    ) -> Result<impl Stream<Item = Result<Told, EngineError>> + Send + '_, io::Error> {
        let options = BuildImageOptions {
            dockerfile: containerfile::FILE.to_owned(),
            t: Some(name.to_owned()),
            rm: true,
            forcerm: true,
            buildargs: Some(arguments),
            labels: Some(labels),
            ..Default::default()
        };
        let stream = self.docker.build_image(options, None, Some(body_full(containerfile::context()?)));
        Ok(stream.map(|told| told.map(Told::from).map_err(|error| failed("build the image", error))))
    }

    /// Takes a name from its image, or the image of this id away. What a container uses stays, as do the images that it
    /// was made from.
    pub async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptions { noprune: true, ..Default::default() };
        let removed = self.docker.remove_image(name, Some(options), None).await;
        removed.map(drop).map_err(|error| failed(&format!("remove {name}"), error))
    }
}

fn failed(what: &str, error: bollard::errors::Error) -> EngineError {
    EngineError::Failed { what: shown::text(what), said: said(error) }
}

/// The words of an engine, a registry or an image.
fn said(error: bollard::errors::Error) -> String {
    use bollard::errors::Error::{DockerResponseServerError, DockerStreamError, RequestTimeoutError};
    let text = match error {
        DockerResponseServerError { message, .. } => message,
        DockerStreamError { error } => error,
        RequestTimeoutError => "it does not answer".to_owned(),
        other => other.to_string(),
    };
    shown::text(text.trim().chars().take(WORDS_MAX).collect::<String>().as_str())
}

fn amounts(detail: Option<ProgressDetail>) -> Option<(u64, Option<u64>)> {
    let detail = detail?;
    let positive =
        |amount: Option<i64>| amount.and_then(|amount| u64::try_from(amount).ok()).filter(|&amount| amount > 0);
    Some((positive(detail.current)?, positive(detail.total)))
}

impl From<CreateImageInfo> for Told {
    fn from(info: CreateImageInfo) -> Self {
        let CreateImageInfo { id, status, progress_detail, .. } = info;
        let (part, status) = (id.unwrap_or_default(), status.unwrap_or_default());
        // At the end Podman says the image's id in both places.
        let part = if part == status { String::new() } else { part };
        Self { part, status, amount: amounts(progress_detail) }
    }
}

impl From<BuildInfo> for Told {
    fn from(info: BuildInfo) -> Self {
        let status = info.stream.or(info.status).unwrap_or_default();
        Self { part: info.id.unwrap_or_default(), status, amount: amounts(info.progress_detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::errors::Error;

    #[test]
    fn a_registrys_words_do_not_act_on_the_terminal() {
        let message = format!("no\u{1b}]52;c;x\u{7}{}", "x".repeat(10_000));
        let error = failed("pull it", Error::DockerResponseServerError { status_code: 500, message }).to_string();
        assert!(error.len() < 3000 && !error.chars().any(char::is_control), "{error:?}");
    }

    #[test]
    fn an_amount_is_known_or_is_not() {
        let detail = |current, total| Some(ProgressDetail { current, total });
        assert_eq!(amounts(detail(Some(5), Some(10))), Some((5, Some(10))));
        assert_eq!(amounts(detail(Some(5), Some(-1))), Some((5, None)));
        assert_eq!(amounts(detail(None, Some(10))), None);
        assert_eq!(amounts(None), None);
    }
}
