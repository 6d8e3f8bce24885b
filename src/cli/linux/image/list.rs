//! `rcc image list`.

use super::super::clock::age;
use super::super::ps::bytes;
use super::{Host, short};
use crate::cli::image::ListArguments;
use crate::cli::table;
use crate::image::built::Built;
use crate::image::listed::{self, Configured, Row};
use crate::image::name;
use crate::output;
use miette::IntoDiagnostic;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

impl ListArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        let Self { engine: asked, json } = self;
        Host::find(&asked)?.run(async |host, engine| {
            let built = Built::new(&host.facts.data_dir).ids().into_diagnostic()?;
            let configured = host.configured(engine).await?;
            let configured =
                configured.map(|(image, stored)| Configured { id: stored.id, pinned: name::is_pinned(&image) });
            let rows = listed::rows(&engine.images().await?, &built, configured.as_ref());
            if json {
                output::print_json(&rows)?;
            } else {
                let rows: Vec<_> = rows.iter().map(as_row).collect();
                output::print(table::render(&["NAME", "ID", "SIZE", "AGE", "NOTES"], &rows))?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn as_row(row: &Row) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let created = u64::try_from(row.created).unwrap_or(0);
    vec![
        row.name.clone().unwrap_or_else(|| "<none>".to_owned()),
        short(&row.id).to_owned(),
        bytes(row.size_bytes),
        age(now.saturating_sub(created)),
        row.notes(),
    ]
}
