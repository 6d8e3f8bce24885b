//! What the service `rcc-firewall` does beside loading rules.

use crate::denials::Recorder;
use crate::enforcement;
use crate::firewall::{self, InForce};
use crate::session::RUN;
use miette::IntoDiagnostic;
use std::path::Path;

/// Runs until it is told to end.
pub(in crate::cli) fn watch() -> miette::Result<()> {
    let load = || enforcement::current().map_err(Into::into);
    let mut recorder = None;
    firewall::watch(&load, &mut |in_force| {
        record(&mut recorder, in_force);
        Ok(())
    })
    .into_diagnostic()
}

/// Denials hold whether they are written down or not, so a failure is told and tried again later.
fn record(recorder: &mut Option<Recorder>, in_force: InForce<'_>) {
    match recorder.as_ref().filter(|recorder| !recorder.has_ended()) {
        Some(recorder) => recorder.follow(in_force.policy),
        None => match Recorder::start(Path::new(RUN), in_force.policy, None) {
            Ok(started) => *recorder = Some(started),
            Err(error) => tracing::error!("{error}"),
        },
    }
}
