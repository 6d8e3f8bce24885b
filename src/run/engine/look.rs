//! Whether an engine and an image will do.

use super::EngineError;
use crate::facts;
use crate::network::slot::Slot;
use crate::run::RunError;
use crate::runtime::Image;
use crate::runtime::choice::EngineName;
use crate::runtime::embedded::cgroup;
use crate::runtime::engine::contract::{Engine, ImageFacts, Info};
use crate::runtime::engine::floors;
use crate::runtime::engine::namespace::{self, NamespaceError};
use crate::settings::Limits;

/// Who enforces which limit.
pub(super) struct Ceilings {
    pub(super) of_cgroup: Limits,
    /// Where no cgroup counts processes.
    pub(super) processes: Option<u64>,
}

/// Whether this engine will do, how it holds the limits, and what the image has.
pub(super) fn look(
    engine: &dyn Engine,
    image: &Image,
    limits: &Limits,
    slot: Option<&Slot>,
) -> Result<(Ceilings, ImageFacts), RunError> {
    let (name, info) = (engine.name(), engine.info().map_err(EngineError::from)?);
    if !info.rootless {
        return Err(EngineError::Rootful { engine: name.as_str() }.into());
    }
    if let Some(slot) = slot.filter(|slot| info.lacks(slot.identity)) {
        let (identity, remedy) = (slot.identity, namespace::renewal(name));
        return Err(EngineError::from(NamespaceError::NotMapped { identity, remedy }).into());
    }
    floors::check(name, &info.runtime, &info.runtime_version).map_err(EngineError::from)?;
    let facts = engine.image(image.as_str()).map_err(EngineError::from)?;
    let no_image = || EngineError::NoImage { name: image.as_str().to_owned(), command: name.command() };
    let facts = facts.ok_or_else(no_image)?;
    if let Some(volume) = facts.volumes.first() {
        let (name, volume) = (image.as_str().to_owned(), crate::shown::text(volume).to_string());
        return Err(EngineError::Volume { name, volume }.into());
    }
    Ok((ceilings(name, &info, limits)?, facts))
}

fn ceilings(name: EngineName, info: &Info, limits: &Limits) -> Result<Ceilings, cgroup::Missing> {
    let has = |name: &str| info.controllers.iter().any(|controller| controller == name);
    let missing = |why: &str| cgroup::Missing {
        why: format!("{} has no cgroup controller '{why}'", name.as_str()),
        remedy: "run in a login session of systemd with cgroup v2, or without the limit",
    };
    if limits.memory.is_some() && !has("memory") {
        return Err(missing("memory"));
    }
    if limits.cpus.is_some() && !has("cpu") {
        return Err(missing("cpu"));
    }
    let pids = limits.pids.filter(|_| has("pids"));
    let processes = limits.pids.filter(|_| pids.is_none());
    if processes.is_some()
        && !cgroup::rlimit_counts_processes(rustix::process::geteuid().as_raw(), facts::kernel_version())
    {
        return Err(missing("pids"));
    }
    Ok(Ceilings { of_cgroup: Limits { pids, ..*limits }, processes })
}
