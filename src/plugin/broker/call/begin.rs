//! From a request to a running tool, or to a refusal: everything that is decided is decided here.

use super::underway::Underway;
use super::{Refusal, Station};
use crate::plugin::broker::desk::Desk;
use crate::plugin::broker::room::{self, Room};
use crate::plugin::broker::{spec, streams};
use crate::plugin::chamber::ChamberError;
use crate::plugin::credential::Secret;
use crate::plugin::event::{Call, Event};
use crate::plugin::manifest::grammar::decide;
use crate::plugin::manifest::places::{ADMIN_DIRECTORY, USER_DIRECTORY};
use crate::plugin::manifest::{Kind, Manifest, Origin, ProjectAccess};
use crate::plugin::wire::{Mode, Request, Service, Terminal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// What a client wants.
#[derive(Debug)]
pub(in crate::plugin::broker) enum Wanted {
    /// The tool.
    Exec { request: Request, terminal: Option<Terminal> },
    /// A remote of git's.
    Connect { service: Service, url: String, mode: Mode },
}

/// What became of it.
pub(super) enum Begun {
    /// It runs.
    Running(Box<Underway>),
    /// Not in this form.
    Fallback,
}

impl Wanted {
    /// As it is recorded.
    fn recorded(&self) -> (Vec<String>, &str) {
        match self {
            Self::Exec { request, .. } => (request.args.clone(), &request.cwd),
            Self::Connect { service, url, .. } => (vec![service.as_str().to_owned(), url.clone()], ""),
        }
    }

    fn terminal(&self) -> Option<&Terminal> {
        match self {
            Self::Exec { terminal, .. } => terminal.as_ref(),
            Self::Connect { .. } => None,
        }
    }
}

/// Decides, records, and starts.
///
/// # Errors
/// Why it does not run. A refusal is on record, too.
pub(super) async fn begin(desk: &Rc<Desk>, station: &Station, wanted: Wanted) -> Result<Begun, Refusal> {
    let (args, cwd) = wanted.recorded();
    let call = Call::new(desk.next_call(), &station.session, &station.tool, &args, cwd);
    desk.keep_pace(&station.session, call.size()).await;
    let begun = attempt(desk, station, &wanted, &call).await;
    desk.count(&station.tool, begun.is_err());
    if let Err(refusal) = &begun {
        // Nothing came of it, so nothing waits for the disk.
        desk.audit.note(Event::Refused { call, why: refusal.why.clone() });
    }
    begun
}

async fn attempt(desk: &Rc<Desk>, station: &Station, wanted: &Wanted, call: &Call) -> Result<Begun, Refusal> {
    let started = Instant::now();
    let (manifest, project) = in_force(desk, station)?;
    if let Some(fallback) = allow(&manifest, wanted, &project)? {
        return Ok(fallback);
    }
    let (room, place) = enter(desk, station, &manifest).await?;
    let credentials = desk.vault().of(&manifest).await.map_err(Refusal::new)?;
    let redactor = desk.vault().redactor().map_err(|error| Refusal::new(error.to_string()))?;
    // While the disk is waited for, everything is made ready; nothing runs before it is on record.
    let ready = async {
        let chamber = room.chamber(|| spec::chamber(desk, station, &project, &manifest, &credentials)).await;
        let chamber = chamber.map_err(refused)?;
        let terminal = match wanted.terminal() {
            Some(terminal) => Some((terminal, chamber.terminal().await.map_err(refused)?)),
            None => None,
        };
        let made = streams::open(terminal);
        let (ours, theirs) =
            made.map_err(|error| Refusal::new(format!("cannot make the streams of a call: {error}")))?;
        let prepared = spec::command(desk, &manifest, wanted, call, theirs).map_err(Refusal::new)?;
        Ok::<_, Refusal>((chamber, ours, prepared))
    };
    let (recorded, ready) = tokio::join!(desk.audit.record(Event::Called(call.clone())), ready);
    recorded.map_err(|error| Refusal::new(error.to_string()))?;
    let (chamber, ours, prepared) = ready?;
    let running = chamber.run(prepared.command).await.map_err(refused)?;
    let standard = speaks(&manifest).then(|| redactor.another());
    Ok(Begun::Running(Box::new(Underway {
        desk: desk.clone(),
        call: call.call,
        station: station.clone(),
        deadline: started + manifest.timeout,
        manifest,
        ours,
        running,
        redactors: [standard, Some(redactor)],
        decisions: prepared.decisions,
        started,
        counted: [0; 2],
        place,
        _chamber: chamber,
    })))
}

/// What holds for a tool of a session.
///
/// # Errors
/// If it cannot be used.
pub(super) fn in_force(desk: &Desk, station: &Station) -> Result<(Arc<Manifest>, PathBuf), Refusal> {
    let Some(manifest) = desk.manifest(&station.tool) else {
        let why = format!("there is no plugin '{}' any more: its manifest was removed", station.tool);
        return Err(Refusal { exit_code: 127, why });
    };
    if desk.is_disabled(&station.tool) {
        let why = format!("the plugin '{0}' is stopped; on the host, `rcc plugin start {0}` starts it", station.tool);
        return Err(Refusal::new(why));
    }
    let project = desk.project(station).ok_or_else(|| Refusal::new("the session has ended"))?;
    Ok((manifest, project))
}

/// Where it runs, and the right to be there, for which others may have to end first.
///
/// # Errors
/// If none did in time.
pub(super) async fn enter(
    desk: &Desk,
    station: &Station,
    manifest: &Arc<Manifest>,
) -> Result<(Rc<Room>, OwnedSemaphorePermit), Refusal> {
    let room = desk.room(station, manifest).ok_or_else(|| Refusal::new("the session has ended"))?;
    let ended = |_| Refusal::new(room::ended(&station.tool));
    match timeout(manifest.timeout, room.place()).await {
        Ok(place) => Ok((room, place.map_err(ended)?)),
        Err(_) => {
            let why = format!("{} other calls of '{}' run, and none has ended", manifest.concurrency, station.tool);
            Err(Refusal { exit_code: 124, why })
        }
    }
}

/// Whether standard output is something that is said. Git's is its protocol: what was taken out there would break
/// packs, and what was held back would be waited for. The program at its other end takes credentials out of the texts
/// in it by itself.
fn speaks(manifest: &Manifest) -> bool {
    !matches!(manifest.kind, Kind::Git(_))
}

pub(super) fn refused(error: ChamberError) -> Refusal {
    match error {
        ChamberError::Refused { exit_code, error } => Refusal { exit_code, why: error },
        error => Refusal::new(error.to_string()),
    }
}

/// What the manifest says of it. Something to answer at once, if there is.
fn allow(manifest: &Manifest, wanted: &Wanted, project: &Path) -> Result<Option<Begun>, Refusal> {
    match (&manifest.kind, wanted) {
        (Kind::Exec(exec), Wanted::Exec { request, .. }) => {
            let refused = |refusal| Refusal::new(format!("not allowed: {refusal}; see {}", rules(manifest)));
            decide(&exec.grammar, &request.args).map_err(refused)?;
            // The executor looks again, at the file itself: this is for a text that says it.
            if exec.project != ProjectAccess::None && !Path::new(&request.cwd).starts_with(project) {
                let why = format!("it runs in the project, {}, and not in {}", project.display(), request.cwd);
                return Err(Refusal::new(why));
            }
            Ok(None)
        }
        (Kind::Git(git), Wanted::Connect { service, url, mode }) => {
            let answer = spec::remote(git, *service, url, *mode).map_err(Refusal::new)?;
            Ok(answer.is_none().then_some(Begun::Fallback))
        }
        (Kind::Git(_), Wanted::Exec { .. }) => Err(Refusal::new(
            "git itself runs in the sandbox, and reaches its remotes through this socket by its remote helper: run `git`",
        )),
        // Its manifest was of another kind when the client came.
        (Kind::Http(_), _) => Err(Refusal::new(format!("{} is no program: it takes requests of HTTP", manifest.tool))),
        (Kind::Exec(_), Wanted::Connect { .. }) => {
            Err(Refusal::new(format!("{} is a program, and has no remotes of git's", manifest.tool)))
        }
    }
}

/// Where the rules are, for whoever wants others.
fn rules(manifest: &Manifest) -> String {
    match manifest.origin {
        Origin::Admin => format!("{ADMIN_DIRECTORY}/{}.toml", manifest.tool),
        Origin::User => format!("{USER_DIRECTORY}/{}.toml in the user's configuration of rcc", manifest.tool),
    }
}

/// Credentials by their names.
pub(in crate::plugin::broker) type Credentials = BTreeMap<String, Arc<Secret>>;
