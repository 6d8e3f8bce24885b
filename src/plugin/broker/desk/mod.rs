//! What all tasks of the broker's loop share: the tools in force, their credentials, the sessions.

mod session;
mod status;

use super::audit::{Audit, Unrecorded};
use super::disabled::{Disabled, DisabledError};
use super::vault::Vault;
use crate::moment::Moment;
use crate::plugin::event::Event;
use crate::plugin::manifest::Manifest;
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::name::ToolName;
use crate::plugin::place::Place;
use session::Session;
use status::Tally;
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Notify};

/// Whose broker it is.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub uid: u32,
    pub user: String,
    /// Where the user's home is, and that of the tools inside.
    pub home: String,
    pub started: Moment,
    /// Whether it ends with the last session.
    pub passing: bool,
}

/// A tool was not stopped or started, or not for good.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSwitched {
    #[error("'{0}' is stopped as long as this broker runs, and the next one may have it again: {1}")]
    ForNow(ToolName, String),
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    #[error(transparent)]
    Unkept(#[from] DisabledError),
}

/// The broker's state.
pub(super) struct Desk {
    pub place: Place,
    pub own: Own,
    pub audit: Audit,
    catalogue: RefCell<Catalogue>,
    vault: Vault,
    disabled: RefCell<Disabled>,
    /// Held while something is stopped or started, so that the file has what was said last.
    switching: Mutex<()>,
    sessions: RefCell<BTreeMap<String, Session>>,
    tallies: RefCell<BTreeMap<ToolName, Tally>>,
    calls: Cell<u64>,
    /// Sessions that are being opened.
    opening: Cell<u32>,
    /// Of what time is counted from.
    since: Instant,
    stop: Notify,
}

impl Desk {
    pub(super) fn new(place: Place, own: Own, audit: Audit, catalogue: Catalogue, vault: Vault) -> Self {
        let disabled = Disabled::read(place.disabled());
        if let Some(why) = disabled.unknown() {
            tracing::error!("every plugin is stopped: {why}");
        }
        Self {
            place,
            own,
            audit,
            catalogue: catalogue.into(),
            vault,
            disabled: disabled.into(),
            switching: Mutex::default(),
            sessions: RefCell::default(),
            tallies: RefCell::default(),
            calls: Cell::new(0),
            opening: Cell::new(0),
            since: Instant::now(),
            stop: Notify::new(),
        }
    }

    pub(super) fn catalogue(&self) -> Ref<'_, Catalogue> {
        self.catalogue.borrow()
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Takes what changed among the manifests: sockets come and go, and a tool whose manifest changed gets a new
    /// sandbox with its next call.
    pub(super) fn refresh(self: &Rc<Self>) {
        let changes = match self.catalogue.borrow_mut().refresh() {
            Ok(changes) => changes,
            Err(error) => return tracing::error!("cannot follow the manifests: {error}"),
        };
        if changes.is_empty() {
            return;
        }
        for problem in &changes.problems {
            tracing::warn!("{problem}");
        }
        for tool in changes.added.iter().chain(&changes.changed) {
            self.note_in_force(tool);
        }
        for tool in &changes.removed {
            self.audit.note(Event::Removed { tool: tool.clone() });
        }
        for tool in changes.changed.iter().chain(&changes.removed) {
            self.end_rooms(tool);
        }
        let open: Vec<String> = self.sessions.borrow().keys().cloned().collect();
        for session in open {
            if let Err(error) = self.listen(&session) {
                tracing::error!("{error}");
            }
        }
    }

    /// Records which manifests hold.
    pub(super) fn note_all_in_force(&self) {
        let tools: Vec<ToolName> = self.catalogue().tools().keys().cloned().collect();
        tools.iter().for_each(|tool| self.note_in_force(tool));
    }

    fn note_in_force(&self, tool: &ToolName) {
        if let Some(manifest) = self.catalogue().tools().get(tool) {
            self.audit.note(Event::InForce { tool: tool.clone(), manifest: format!("{manifest:?}") });
        }
    }

    /// The manifest that holds for a tool.
    pub(super) fn manifest(&self, tool: &ToolName) -> Option<Arc<Manifest>> {
        self.catalogue().tools().get(tool).cloned()
    }

    /// Why a tool is not to be used, if its user has stopped it.
    pub(super) fn disabled(&self, tool: &ToolName) -> Option<String> {
        let disabled = self.disabled.borrow();
        let why = || match disabled.unknown() {
            Some(why) => format!("the plugin '{tool}' is stopped: {why}"),
            None => format!("the plugin '{tool}' is stopped; on the host, `rcc plugin start {tool}` starts it"),
        };
        disabled.has(tool).then(why)
    }

    /// Whether a tool can be stopped or started: there is a manifest of it, or it was stopped.
    pub(super) fn knows(&self, tool: &ToolName) -> bool {
        self.manifest(tool).is_some() || self.disabled.borrow().names(tool)
    }

    /// Disables a tool. That holds at once, also where it cannot be put on record or made to last.
    pub(super) async fn disable(&self, tool: &ToolName) -> Result<(), NotSwitched> {
        self.disabled.borrow_mut().stop(tool);
        self.end_rooms(tool);
        let _switching = self.switching.lock().await;
        // Whoever started it meanwhile was first.
        self.disabled.borrow_mut().stop(tool);
        let recorded = self.audit.record(Event::Switched { tool: tool.clone(), enabled: false }).await;
        self.end_rooms(tool);
        let kept = self.disabled.borrow().keep();
        recorded.map_err(|error| NotSwitched::ForNow(tool.clone(), error.to_string()))?;
        kept.map_err(|error| NotSwitched::ForNow(tool.clone(), error.to_string()))
    }

    /// Enables a tool, once that is on record.
    pub(super) async fn enable(&self, tool: &ToolName) -> Result<(), NotSwitched> {
        let _switching = self.switching.lock().await;
        self.audit.record(Event::Switched { tool: tool.clone(), enabled: true }).await?;
        Ok(self.disabled.borrow_mut().start(tool)?)
    }

    /// A number for a call.
    pub(super) fn next_call(&self) -> u64 {
        self.calls.set(self.calls.get() + 1);
        self.calls.get()
    }

    /// Ends a broker that no session came to.
    pub(super) fn stop_if_empty(&self) {
        if self.sessions.borrow().is_empty() {
            self.stop();
        }
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }

    /// Writes what is to be recorded.
    pub(super) fn finish(self) {
        self.audit.finish();
    }
}
