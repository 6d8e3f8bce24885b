//! The image that a run would have.

use super::Host;
use crate::cli::image::EngineArguments;
use crate::image::engine::EngineKind;
use crate::output;
use crate::plan::Plan;
use crate::runtime::Image;
use crate::runtime::choice::{Choice, EngineName};
use serde::Serialize;
use serde_json::{Value, json};
use std::process::ExitCode;

/// A plan, and which image its name stands for now.
#[derive(Serialize)]
pub(in super::super) struct Foreseen<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Its id; null where the engine does not have it or does not answer. Without an engine there is no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<Value>,
}

impl<'a> Foreseen<'a> {
    pub(in super::super) fn new(plan: &'a Plan) -> Self {
        let image_id = match &plan.runtime {
            Choice::Engine { name: EngineName::Podman, image, .. } => Some(json!(id(EngineKind::Podman, image))),
            Choice::Engine { name: EngineName::Docker, image, .. } => Some(json!(id(EngineKind::Docker, image))),
            Choice::Embedded { .. } => None,
        };
        Self { plan, image_id }
    }
}

fn id(engine: EngineKind, image: &Image) -> Option<String> {
    let mut id = None;
    let asked = Host::find(&EngineArguments { engine: Some(engine) }).and_then(|host| {
        host.run(async |_, engine| {
            id = engine.find(image.as_str()).await?.map(|stored| stored.id);
            Ok(ExitCode::SUCCESS)
        })
    });
    if let Err(error) = asked {
        output::tell_line(format_args!("cannot tell which image {} is: {error}", image.as_str()));
    }
    id
}
