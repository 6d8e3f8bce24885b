//! What the sandbox of an `http` plugin has, and what runs in it.

use super::call::begin::Credentials;
use super::desk::Desk;
use super::spec::{HOSTS, base_environment, own_program};
use super::streams::Theirs;
use crate::plugin::chamber::{CREDENTIALS, Command, Delivery, GeneratedFile};
use crate::plugin::http::task::Task;
use crate::plugin::manifest::Http;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of its credential.
const HEADER: &str = "header";

/// Where it has the certificates that it trusts.
fn authorities() -> PathBuf {
    Path::new(HOSTS).join("ca.pem")
}

/// Its files that are no secrets.
///
/// # Errors
/// If one cannot be read.
pub(super) fn files(http: &Http) -> Result<Vec<GeneratedFile>, String> {
    let Some(ca) = &http.ca else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(ca);
    let text = text.map_err(|error| format!("cannot read {} for {}: {error}", ca.display(), http.upstream))?;
    Ok(vec![GeneratedFile { path: authorities(), text }])
}

/// Its credential.
///
/// # Errors
/// If it is missing.
pub(super) fn deliveries(http: &Http, credentials: &Credentials) -> Result<Vec<Delivery>, String> {
    let name = &http.credential;
    let secret = credentials.get(name).ok_or_else(|| format!("there is no credential '{name}'"))?;
    Ok(vec![Delivery { name: name.clone(), secret: secret.clone(), file: Some(HEADER.to_owned()) }])
}

/// The program for one client.
///
/// # Errors
/// If it cannot be prepared.
pub(super) fn command(desk: &Desk, http: &Http, timeout: Duration, streams: Theirs) -> Result<Command, String> {
    let task = Task {
        http: Http { ca: http.ca.as_ref().map(|_| authorities()), ..http.clone() },
        timeout,
        credential: Path::new(CREDENTIALS).join(HEADER),
    };
    let task = serde_json::to_string(&task).map_err(|error| error.to_string())?;
    Ok(Command {
        program: own_program()?,
        argv: ["rcc", "guest", "http-forward", &task].map(str::to_owned).into(),
        environment: base_environment(desk),
        secret_environment: BTreeMap::new(),
        directory: None,
        terminal: false,
        streams,
    })
}
