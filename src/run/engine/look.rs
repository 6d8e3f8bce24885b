//! Whether an engine and an image will do.

use super::EngineError;
use crate::network::slot::Slot;
use crate::plan::Plan;
use crate::run::RunError;
use crate::run::ceilings::{self, Ceilings};
use crate::runtime::Image;
use crate::runtime::engine::contract::{Engine, ImageFacts};
use crate::runtime::engine::floors;
use crate::runtime::engine::namespace::{self, NamespaceError};

/// Whether this engine will do, how it holds the limits, and what the image has.
pub(super) fn look(
    engine: &dyn Engine,
    image: &Image,
    plan: &Plan,
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
    let no_image = || EngineError::NoImage { name: image.as_str().to_owned() };
    let facts = facts.ok_or_else(no_image)?;
    if let Some(volume) = facts.volumes.first() {
        let (name, volume) = (image.as_str().to_owned(), crate::shown::text(volume).to_string());
        return Err(EngineError::Volume { name, volume }.into());
    }
    Ok((ceilings::of_engine(plan, &info.controllers)?, facts))
}
