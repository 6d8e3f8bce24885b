//! `rcc plugin unit`.

use crate::facts::Facts;
use crate::output;
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::manifest::places::Places;
use crate::plugin::manifest::{Origin, Source};
use crate::setup::unit::is_plain;
use crate::setup::{plugin_unit, privilege};
use crate::shown;
use miette::{IntoDiagnostic, WrapErr};
use std::process::ExitCode;

pub(super) fn print(facts: &Facts) -> miette::Result<ExitCode> {
    let rcc = privilege::running_program().map_err(|failure| miette::miette!("{failure}"))?;
    if !is_plain(&rcc) {
        let path = shown::terminal(&rcc).to_string();
        miette::bail!("{path} cannot stand in a unit: move rcc to a path of letters, digits, '.', '_', '+' and '-'");
    }
    let catalogue =
        Catalogue::open(Places::new(facts)).into_diagnostic().wrap_err("cannot watch the directories of manifests")?;
    for problem in catalogue.problems() {
        output::tell_line(format_args!("rcc: {}", shown::text(&problem.to_string())));
    }
    let roots = catalogue.tools().values().filter(|manifest| manifest.origin == Origin::Admin);
    let names = roots.flat_map(|manifest| &manifest.credentials).filter_map(|credential| match &credential.source {
        Source::Systemd(name) => Some(name.as_str()),
        _ => None,
    });
    output::print(plugin_unit::service(&rcc, &names.collect()))?;
    Ok(if catalogue.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
