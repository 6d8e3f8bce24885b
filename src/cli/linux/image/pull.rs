//! `rcc image pull`.

use super::{Host, follow, progress};
use crate::cli::image::PullArguments;
use crate::image::name::Reference;
use crate::runtime::Image;
use std::process::ExitCode;

/// An engine that says that it has done it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the engine has pulled {} and does not have it", .0.as_str())]
#[diagnostic(help("`rcc image list` shows what it has"))]
struct NotThere(Image);

impl PullArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        let Self { engine: asked, pin, quiet, image } = self;
        Host::find(&asked)?.run(async |host, engine| {
            let name = Reference::from(&image).pulled();
            let mut progress = progress(quiet);
            progress.say(&format!("pulling {name}"));
            follow(engine.pull(&name), &mut progress).await?;
            drop(progress);
            let stored = engine.find(&name).await?.ok_or_else(|| NotThere(image.clone()))?;
            host.introduce(&image, &stored, pin, quiet)?;
            Ok(ExitCode::SUCCESS)
        })
    }
}
