//! What every run begins with, whoever makes its sandbox.

use super::{Prepared, RunError, host};
use crate::network::slot::Slot;
use crate::plan::{Network, Plan};
use crate::project::handover::Handover;
use crate::project::home;
use crate::runtime::embedded::process;
use crate::session;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is there before anything of the sandbox is.
pub(super) struct Ground {
    pub started: SystemTime,
    /// Where the launcher keeps its sessions.
    pub runtime_dir: PathBuf,
    /// What protects the project from the agent.
    pub handover: Handover,
    /// The private home, on the host.
    pub home: PathBuf,
}

impl Ground {
    /// Makes the private home, and in the project what must be there to be protected.
    pub fn lay(prepared: &Prepared) -> Result<Self, RunError> {
        let (facts, started) = (&prepared.facts, SystemTime::now());
        process::keep_descriptors().map_err(|error| host("keep the caller's open files from pasta")(error.into()))?;
        let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
        let runtime_dir = session::runtime_dir(facts.user.uid, xdg, &facts.data_dir)?;
        let handover = prepared.hand_over(&runtime_dir)?;
        let home = home::prepare(&prepared.home())?;
        (prepared.task.seed)(&home, &prepared.project.root, facts).map_err(RunError::Seed)?;
        Ok(Self { started, runtime_dir, handover, home })
    }

    /// The plan of this run.
    pub fn plan(&self, prepared: &Prepared) -> Result<Plan, RunError> {
        Ok(prepared.plan(&self.handover.guards, &self.home)?)
    }

    /// A free identity, if the plan has a network.
    pub fn slot(&self, plan: &Plan) -> Result<Option<Slot>, RunError> {
        match &plan.network {
            Network::Offline => Ok(None),
            Network::Guarded(guarded) => Ok(Some(Slot::acquire(&self.runtime_dir, guarded.identities.clone())?)),
        }
    }
}
