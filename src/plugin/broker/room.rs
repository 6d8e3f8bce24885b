//! Where one session's tool runs: its sandbox, and how many calls may be in it.

use crate::plugin::chamber::{Chamber, ChamberError, Delivery, Spec};
use crate::plugin::manifest::Manifest;
use crate::plugin::name::ToolName;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{AcquireError, Mutex, OwnedSemaphorePermit, Semaphore};

/// How long a sandbox stays when nobody uses it. It holds a network identity, of which there are few.
const IDLE: Duration = Duration::from_secs(120);

/// A session's sandbox for a tool.
#[derive(Debug)]
pub(super) struct Room {
    pub manifest: Arc<Manifest>,
    places: Arc<Semaphore>,
    /// Held while it is made, so that it is made once.
    making: Mutex<()>,
    chamber: RefCell<Option<Rc<Chamber>>>,
    used: Cell<Instant>,
}

impl Room {
    pub(super) fn new(manifest: Arc<Manifest>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(manifest.concurrency as usize)),
            manifest,
            making: Mutex::new(()),
            chamber: RefCell::new(None),
            used: Cell::new(Instant::now()),
        }
    }

    /// Waits until one more call may run.
    ///
    /// # Errors
    /// If the room was ended.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.places.clone().acquire_owned().await
    }

    /// The sandbox, made if it is not there, or not any more.
    ///
    /// # Errors
    /// If it cannot be made, or the room was ended.
    pub(super) async fn chamber(
        &self,
        spec: impl FnOnce() -> Result<(Spec, Vec<Delivery>), String>,
    ) -> Result<Rc<Chamber>, ChamberError> {
        let _making = self.making.lock().await;
        self.stand()?;
        self.used.set(Instant::now());
        let known = self.chamber.borrow().clone().filter(|chamber| chamber.is_alive());
        if let Some(chamber) = known {
            return Ok(chamber);
        }
        let (spec, deliveries) = spec().map_err(ChamberError::Message)?;
        let chamber = Rc::new(Chamber::start(&spec, &deliveries).await?);
        // It may have been ended meanwhile: this one is unknown to whoever did.
        self.stand()?;
        self.chamber.replace(Some(chamber.clone()));
        Ok(chamber)
    }

    /// Whether calls are still taken.
    fn stand(&self) -> Result<(), ChamberError> {
        match self.places.is_closed() {
            true => Err(ChamberError::Refused { exit_code: 126, error: ended(&self.manifest.tool) }),
            false => Ok(()),
        }
    }

    /// Calls that run.
    pub(super) fn running(&self) -> u32 {
        self.manifest.concurrency.saturating_sub(self.places.available_permits() as u32)
    }

    /// Whether there is a sandbox.
    pub(super) fn stands(&self) -> bool {
        self.chamber.borrow().as_ref().is_some_and(|chamber| chamber.is_alive())
    }

    /// Whether nobody has used it for a while.
    pub(super) fn is_idle(&self) -> bool {
        if self.running() > 0 {
            self.used.set(Instant::now());
        }
        self.used.get().elapsed() > IDLE
    }

    /// Ends what runs in it, and takes nobody any more.
    pub(super) fn end(&self) {
        self.places.close();
        // Calls that run hold it, too.
        if let Some(chamber) = self.chamber.take() {
            chamber.end();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why a call does not run, or not on, in a room that was ended.
pub(super) fn ended(tool: &ToolName) -> String {
    format!("the plugin '{tool}' was stopped, or its manifest changed: try again")
}
