//! What the broker tells of itself.

use super::Desk;
use super::session::Session;
use crate::plugin::control::{SessionStatus, Status, ToolStatus};
use crate::plugin::manifest::{Kind, Manifest, Origin};
use crate::plugin::name::ToolName;
use std::collections::BTreeMap;

/// What a tool did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    calls: u64,
    refused: u64,
}

impl Desk {
    /// Counts a call.
    pub(in crate::plugin::broker) fn count(&self, tool: &ToolName, refused: bool) {
        let mut tallies = self.tallies.borrow_mut();
        let tally = tallies.entry(tool.clone()).or_default();
        tally.calls += 1;
        tally.refused += u64::from(refused);
    }

    /// How things are.
    pub(in crate::plugin::broker) fn status(&self) -> Status {
        let catalogue = self.catalogue();
        let sessions = self.sessions.borrow();
        let tools = catalogue.tools().values().map(|manifest| self.tool_status(manifest, &sessions)).collect();
        let session = |(name, session): (&String, &Session)| SessionStatus {
            session: name.clone(),
            project: session.project.clone(),
            opened: session.opened,
            sandboxes: session.rooms.iter().filter(|(_, room)| room.stands()).map(|(tool, _)| tool.clone()).collect(),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.own.started,
            passing: self.own.passing,
            tools,
            sessions: sessions.iter().map(session).collect(),
            problems: catalogue.problems().iter().map(ToString::to_string).collect(),
            audit: self.place.audit(),
        }
    }

    fn tool_status(&self, manifest: &Manifest, sessions: &BTreeMap<String, Session>) -> ToolStatus {
        let tally = self.tallies.borrow().get(&manifest.tool).copied().unwrap_or_default();
        let running = |session: &Session| session.rooms.get(&manifest.tool).map_or(0, |room| room.running());
        let kind = match manifest.kind {
            Kind::Exec(_) => "exec",
            Kind::Git(_) => "git",
            Kind::Http(_) => "http",
        };
        let unknown = self.disabled.borrow().unknown().map(str::to_owned);
        let disabled = self.disabled(&manifest.tool).map(|_| unknown.unwrap_or_else(|| "disabled".to_owned()));
        ToolStatus {
            tool: manifest.tool.clone(),
            kind: kind.to_owned(),
            summary: manifest.summary.clone(),
            origin: match manifest.origin {
                Origin::Admin => "root's".to_owned(),
                Origin::User => "yours".to_owned(),
            },
            unusable: disabled.or_else(|| self.vault.missing(manifest)),
            running: sessions.values().map(running).sum(),
            calls: tally.calls,
            refused: tally.refused,
        }
    }
}
