//! The hand-over: what the host later executes or loads by itself must not change inside.
//!
//! A [`Guard`] makes such paths read-only. One that does not exist yet gets a placeholder on the
//! host, because only what exists can be mounted on. Every directory above a protected path is
//! pinned, or the agent would rename it and put its own in the place.
//!
//! Not protected, only reported at exit ([`super::report`]): repositories that the agent makes,
//! and protected names in directories other than those between the project's top and the current
//! directory, as nobody knows where they will be. A protected file that the *host* replaces by
//! renaming over it (`git config`) loses its mount in running sandboxes: this is noticed by
//! `runtime::embedded::watch`, and reported too.

use super::guard::{GIT_LINKED, Kind, Missing, Planner};
use super::placeholder::Claim;
use super::scan::Scan;
use super::{Git, Project, ignore};
use std::path::{Path, PathBuf};

pub use super::guard::{Guard, HandoverError, Placeholder, Substitute};

/// Protection in force: placeholders exist and are held. [`Handover::finish`] (or dropping it,
/// silently) removes those that nobody needs any more. It must outlive the sandbox.
#[derive(Debug, Default)]
pub struct Handover {
    /// The project's guard first, then that of a repository outside.
    pub guards: Vec<Guard>,
    claims: Vec<Claim>,
}

impl Handover {
    /// The placeholders that were made for this run, with absolute paths. Nobody inside can write them; they
    /// outlast it while another sandbox of the project needs them.
    pub fn placeholders(&self) -> Vec<Placeholder> {
        let of = |guard: &Guard| -> Vec<Placeholder> {
            let absolute = |placeholder: &Placeholder| Placeholder {
                path: guard.root.join(&placeholder.path),
                text: placeholder.text.clone(),
            };
            guard.placeholders.iter().map(absolute).collect()
        };
        self.guards.iter().flat_map(of).collect()
    }

    /// Leaves the placeholders for the next run to remove: processes of the sandbox may still be there, and would put
    /// their own files in the places. Returns what to tell.
    pub fn keep(mut self) -> Vec<HandoverError> {
        self.claims.drain(..).map(|claim| HandoverError::Inhabited { root: claim.root().to_owned() }).collect()
    }

    /// Removes the placeholders, unless another sandbox of the project still runs.
    pub fn finish(mut self) -> Vec<HandoverError> {
        self.claims.drain(..).flat_map(Claim::release).collect()
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.claims.drain(..).for_each(|claim| drop(claim.release()));
    }
}

/// Takes the locks in `locks` (the user's own directory, the same for all runs), makes the
/// missing placeholders, and returns what to mount.
///
/// # Errors
/// A protected path cannot be protected, or a placeholder cannot be made.
pub fn prepare(project: &Project, scan: &Scan, writable: &[String], locks: &Path) -> Result<Handover, HandoverError> {
    // Held before planning: a finishing sandbox may be removing what would count as existing.
    let mut handover = Handover { guards: Vec::new(), claims: Vec::new() };
    for root in claimed(project) {
        handover.claims.push(Claim::take(locks, &root)?);
    }
    handover.guards = plan(project, scan, writable)?;
    for guard in &handover.guards {
        for placeholder in &guard.placeholders {
            let path = guard.root.join(&placeholder.path);
            // The last is the innermost.
            let claim = handover.claims.iter_mut().rev().find(|claim| path.starts_with(claim.root()));
            if let Some(claim) = claim {
                claim.make(&path, placeholder)?;
            }
        }
    }
    Ok(handover)
}

/// The directories that placeholders are accounted to; sandboxes of several work trees share the
/// repository.
fn claimed(project: &Project) -> Vec<PathBuf> {
    let git = match &project.git {
        Git::None => None,
        Git::Inside { directory } => Some(project.root.join(directory)).filter(|git| *git != project.root),
        Git::Outside { common, .. } => Some(common.clone()),
    };
    std::iter::once(project.root.clone()).chain(git).collect()
}

/// What [`prepare`] would do, without doing it.
///
/// # Errors
/// A protected path cannot be protected.
pub fn plan(project: &Project, scan: &Scan, writable: &[String]) -> Result<Vec<Guard>, HandoverError> {
    let mut inside = Planner::new(&project.root, project, writable, &scan.masks);
    for directory in project.cwd.ancestors().take_while(|directory| directory.starts_with(&project.root)) {
        let directory = project.relative(directory).unwrap_or(Path::new(""));
        inside.names(directory, |missing| missing)?;
    }
    if let Git::Inside { directory } = &project.git {
        inside.repository(directory, Path::new(""))?;
    }
    inside.protect(Path::new(".git"), Missing::Ignore, Kind::File)?;
    for git in &scan.repositories {
        inside.nested(git)?;
    }
    scan.pins.iter().for_each(|directory| inside.pin(directory));
    let mut guards = vec![inside.finish()];
    if let Git::Outside { common, private } = &project.git {
        let mut outside = Planner::new(common, project, writable, &[]);
        outside.repository(Path::new(""), Path::new(""))?;
        if let Some(private) = private {
            outside.parts(private, &GIT_LINKED)?;
            // Those of the main work tree.
            for name in ["HEAD", "index"] {
                outside.protect(Path::new(name), Missing::Ignore, Kind::Any)?;
            }
        }
        guards.push(outside.finish());
    }
    ignore::add(project, &mut guards);
    Ok(guards)
}

/// Protects what exists in another writable directory of the host; there are no placeholders.
///
/// # Errors
/// A protected path cannot be protected.
pub fn existing(project: &Project, directory: &Path) -> Result<Guard, HandoverError> {
    let mut planner = Planner::new(directory, project, &[], &[]).existing_only();
    planner.names(Path::new(""), |missing| missing)?;
    planner.protect(Path::new(".git"), Missing::Ignore, Kind::File)?;
    if directory.join(".git").is_dir() {
        planner.repository(Path::new(".git"), Path::new(""))?;
    }
    Ok(planner.finish())
}
