//! `rcc image prune`.

use super::super::ps::bytes;
use super::{Host, short};
use crate::cli::image::PruneArguments;
use crate::image::built::Built;
use crate::image::engine::{Engine, EngineError, Stored};
use crate::image::name;
use crate::image::prune::{Known, Verdict, judge};
use crate::output;
use crate::shown;
use miette::{IntoDiagnostic, miette};
use serde_json::json;
use std::process::ExitCode;

impl PruneArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        let Self { engine: asked, dry_run, json } = self;
        Host::find(&asked)?.run(async |host, engine| {
            let built = Built::new(&host.facts.data_dir);
            let (ids, used) = (built.ids().into_diagnostic()?, engine.used().await?);
            let configured = host.configured(engine).await?.map(|(_, stored)| stored.id);
            let current = name::default_name();
            let known = Known { built: &ids, used: &used, configured: configured.as_deref(), current: &current };
            let mut outcome = Outcome::default();
            for image in engine.images().await? {
                match judge(&image, &known) {
                    Some(Verdict::Remove) if dry_run => outcome.removed.push(image),
                    Some(Verdict::Remove) => match remove(engine, &image).await {
                        Ok(()) => {
                            // The record may name what is gone: that is of no consequence.
                            let _ = built.forget(&image.id);
                            outcome.removed.push(image);
                        }
                        Err(error) => outcome.failures.push(error.to_string()),
                    },
                    Some(Verdict::Keep(why)) => outcome.kept.push((image, why.to_string())),
                    None => {}
                }
            }
            outcome.print(dry_run, json)?;
            match outcome.failures.is_empty() {
                true => Ok(ExitCode::SUCCESS),
                false => Err(miette!("{}", outcome.failures.join("\n"))),
            }
        })
    }
}

/// By its names, since an engine keeps an image of several when it is to remove it by its id.
async fn remove(engine: &Engine, image: &Stored) -> Result<(), EngineError> {
    if image.names.is_empty() {
        return engine.remove(&image.id).await;
    }
    for name in &image.names {
        engine.remove(name).await?;
    }
    Ok(())
}

/// What became of the images that have rcc's label.
#[derive(Default)]
struct Outcome {
    removed: Vec<Stored>,
    kept: Vec<(Stored, String)>,
    failures: Vec<String>,
}

impl Outcome {
    fn print(&self, dry_run: bool, as_json: bool) -> miette::Result<()> {
        let freed = self.removed.iter().map(|image| image.size).sum();
        if as_json {
            let image = |image: &Stored| json!({ "id": image.id, "names": image.names, "size_bytes": image.size });
            let kept = |(kept, why): &(Stored, String)| {
                let mut value = image(kept);
                value["why"] = json!(why);
                value
            };
            let removed: Vec<_> = self.removed.iter().map(image).collect();
            let kept: Vec<_> = self.kept.iter().map(kept).collect();
            let value = json!({ "dry_run": dry_run, "removed": removed, "kept": kept, "size_bytes": freed,
                                "failed": self.failures });
            return Ok(output::print_json(&value)?);
        }
        let verb = if dry_run { "would remove" } else { "removed" };
        let mut text: String =
            self.removed.iter().map(|image| format!("{verb} {}, {}\n", called(image), bytes(image.size))).collect();
        for (image, why) in &self.kept {
            text += &format!("keeps {}: {}\n", called(image), shown::text(why));
        }
        let would = if dry_run { "would be" } else { "are" };
        text += &format!("{} images, {} at most {would} free\n", self.removed.len(), bytes(freed));
        Ok(output::print(text)?)
    }
}

fn called(image: &Stored) -> String {
    let id = short(&image.id);
    match image.names.is_empty() {
        true => id.to_owned(),
        false => format!("{} ({id})", shown::text(&image.names.join(", "))),
    }
}
