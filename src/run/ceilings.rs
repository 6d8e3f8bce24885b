//! Which ceilings a run has, and who holds them: what somebody asked for, or nothing starts; and of what holds by
//! default as much as can be held here.

use super::RunError;
use crate::facts;
use crate::output;
use crate::plan::Plan;
use crate::runtime::choice::Choice;
use crate::runtime::embedded::cgroup::{self, Cgroup, Missing};
use crate::settings::{DefaultLimits, Limits};
use rustix::process::Pid;

/// The ceilings of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ceilings {
    /// Those that a cgroup holds.
    pub of_cgroup: Limits,
    /// Of these, those that somebody asked for.
    pub required: Limits,
    /// Processes, where no cgroup counts them.
    pub processes: Option<u64>,
}

impl Ceilings {
    /// All that are held.
    pub fn held(&self) -> Limits {
        Limits { pids: self.of_cgroup.pids.or(self.processes), ..self.of_cgroup }
    }

    /// The processes that the kernel is to count, beside the cgroup where that does: what the cgroup was to hold is held
    /// then, if there is none after all.
    pub fn counted(&self, uid: u32) -> Option<u64> {
        self.processes.or(self.of_cgroup.pids.filter(|_| counted(uid)))
    }

    /// How those follow that nobody has asked for.
    pub fn by_default(&self, plan: &Plan) -> Vec<String> {
        let (held, why) = (self.held(), &plan.default_limits.why);
        let unasked = |key: &str| match key {
            "memory" => held.memory.is_some() && plan.limits.memory.is_none(),
            _ => held.pids.is_some() && plan.limits.pids.is_none(),
        };
        why.iter().filter(|why| why.split_once(':').is_some_and(|(key, _)| unasked(key))).cloned().collect()
    }
}

/// Chooses. `counted` says whether processes can be held without a cgroup; `holds` why a cgroup cannot hold these.
///
/// # Errors
/// Something that was asked for cannot be held.
pub(super) fn choose(
    asked: &Limits,
    default: &DefaultLimits,
    counted: bool,
    holds: &dyn Fn(&Limits) -> Result<(), Missing>,
) -> Result<Ceilings, Missing> {
    let mut ceilings = Ceilings::default();
    if let Err(missing) = holds(asked) {
        let others = Limits { pids: None, ..*asked };
        ceilings.processes = asked.pids.filter(|_| counted && holds(&others).is_ok());
        if ceilings.processes.is_none() {
            return Err(missing);
        }
        ceilings.required = others;
    } else {
        ceilings.required = *asked;
    }
    ceilings.of_cgroup = ceilings.required;
    let with_memory = Limits { memory: ceilings.of_cgroup.memory.or(default.memory), ..ceilings.of_cgroup };
    if holds(&with_memory).is_ok() {
        ceilings.of_cgroup = with_memory;
    }
    let pids = default.pids.filter(|_| ceilings.processes.is_none());
    let with_pids = Limits { pids: ceilings.of_cgroup.pids.or(pids), ..ceilings.of_cgroup };
    if holds(&with_pids).is_ok() {
        ceilings.of_cgroup = with_pids;
    }
    if ceilings.of_cgroup.pids.is_none() && ceilings.processes.is_none() {
        ceilings.processes = default.pids.filter(|_| counted);
    }
    Ok(ceilings)
}

/// Those of a run without an engine, and the cgroup that holds them.
pub(super) fn embedded(plan: &Plan) -> Result<(Ceilings, Option<cgroup::Plan>), Missing> {
    let uid = plan.user.0;
    let host = cgroup::Host::probe(uid);
    let holds = |limits: &Limits| cgroup::plan(&host, limits).map(drop);
    let ceilings = choose(&plan.limits, &plan.default_limits, counted(uid), &holds)?;
    Ok((ceilings, cgroup::plan(&host, &ceilings.of_cgroup)?))
}

/// Those of a container whose engine has these controllers.
pub(super) fn of_engine(plan: &Plan, controllers: &[String]) -> Result<Ceilings, Missing> {
    let holds = |limits: &Limits| {
        let wanted =
            [(limits.memory.is_some(), "memory"), (limits.cpus.is_some(), "cpu"), (limits.pids.is_some(), "pids")];
        let missing = |name: &str| !controllers.iter().any(|controller| controller == name);
        match wanted.into_iter().find(|(wanted, name)| *wanted && missing(name)) {
            None => Ok(()),
            Some((_, name)) => Err(Missing {
                why: format!("the engine has no cgroup controller '{name}'"),
                remedy: "run in a login session of systemd with cgroup v2, or without the limit",
            }),
        }
    };
    choose(&plan.limits, &plan.default_limits, counted(plan.user.0), &holds)
}

fn counted(uid: u32) -> bool {
    cgroup::rlimit_counts_processes(uid, facts::kernel_version())
}

/// Puts a process under those that a cgroup holds. What nobody asked for is no reason not to start. Returns what is
/// held then.
///
/// # Errors
/// Of a cgroup that holds something that was asked for.
pub(super) fn enter(
    ceilings: Ceilings,
    plan: Option<cgroup::Plan>,
    pid: Pid,
    session: &str,
) -> Result<(Ceilings, Option<Cgroup>), RunError> {
    match plan.map(|plan| plan.enter(pid.as_raw_pid().unsigned_abs(), session)).transpose() {
        Err(error) if ceilings.required == Limits::default() => {
            if ceilings.of_cgroup.memory.is_some() {
                output::tell_line(format_args!("rcc: this sandbox has no ceiling of memory: {error}"));
            }
            let processes = ceilings.counted(rustix::process::geteuid().as_raw());
            Ok((Ceilings { of_cgroup: Limits::default(), processes, ..ceilings }, None))
        }
        entered => Ok((ceilings, entered?)),
    }
}

/// Looks whether an engine has put this process under them; as in [`enter`].
///
/// # Errors
/// Something that was asked for is not in force.
pub(super) fn verify(ceilings: Ceilings, pid: Pid) -> Result<Ceilings, RunError> {
    if cgroup::verify(pid, &ceilings.of_cgroup).is_ok() {
        return Ok(ceilings);
    }
    cgroup::verify(pid, &ceilings.required)?;
    let (all, mut held, mut lacking) = (ceilings.of_cgroup, ceilings.required, Vec::new());
    for (more, name) in [(Limits { memory: all.memory, ..held }, "memory"), (Limits { pids: all.pids, ..held }, "pids")]
    {
        let unheld = || more != ceilings.required && cgroup::verify(pid, &more).is_err();
        if unheld() {
            lacking.push(name);
        } else {
            held = Limits { memory: held.memory.or(more.memory), pids: held.pids.or(more.pids), ..held };
        }
    }
    if lacking.contains(&"memory") {
        output::tell_line("rcc: this sandbox has no ceiling of memory: the engine has not put its container under one");
    }
    let uncounted = all.pids.filter(|_| lacking.contains(&"pids") && counted(rustix::process::geteuid().as_raw()));
    Ok(Ceilings { of_cgroup: held, processes: ceilings.processes.or(uncounted), ..ceilings })
}

/// Says what will hold the ceilings of this plan.
///
/// # Errors
/// Something that was asked for cannot be held.
pub fn explain(plan: &Plan) -> Result<String, Missing> {
    if !matches!(plan.runtime, Choice::Embedded { .. }) {
        return Ok("by the engine's cgroup, as far as it has the controllers".to_owned());
    }
    let (Ceilings { of_cgroup, processes, .. }, _) = embedded(plan)?;
    let held = [
        (of_cgroup.memory.is_some(), "memory"),
        (of_cgroup.pids.is_some(), "pids"),
        (of_cgroup.cpus.is_some(), "cpus"),
    ];
    let held: Vec<&str> = held.into_iter().filter_map(|(held, name)| held.then_some(name)).collect();
    let mut parts = Vec::new();
    if !held.is_empty() {
        parts.push(format!("{} by a cgroup", held.join(", ")));
    }
    if processes.is_some() {
        parts.push("pids by the kernel's count of the sandbox's user namespace".to_owned());
    }
    let default = &plan.default_limits;
    let left = Limits { memory: default.memory.filter(|_| of_cgroup.memory.is_none()), ..Limits::default() };
    if let (Some(_), Err(Missing { why, remedy })) =
        (left.memory, cgroup::plan(&cgroup::Host::probe(plan.user.0), &left))
    {
        parts.push(format!("memory not at all: {why}; {remedy}"));
    }
    Ok(if parts.is_empty() { "nothing is to be held".to_owned() } else { parts.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cgroups with these controllers.
    fn with(controllers: &'static [&'static str]) -> impl Fn(&Limits) -> Result<(), Missing> {
        let has = move |wanted: bool, name: &str| !wanted || controllers.contains(&name);
        move |limits| {
            let all = has(limits.memory.is_some(), "memory")
                && has(limits.pids.is_some(), "pids")
                && has(limits.cpus.is_some(), "cpu");
            if all { Ok(()) } else { Err(Missing { why: "lacking".into(), remedy: "none" }) }
        }
    }

    const NOTHING: Limits = Limits { memory: None, pids: None, cpus: None };

    fn default() -> DefaultLimits {
        DefaultLimits { memory: Some(12 << 30), pids: Some(8192), why: Vec::new() }
    }

    #[test]
    fn what_holds_by_default_is_held_as_far_as_it_can_be() {
        let choose = |counted, controllers| choose(&NOTHING, &default(), counted, &with(controllers)).unwrap();
        let all = Limits { memory: Some(12 << 30), pids: Some(8192), cpus: None };
        assert_eq!(choose(true, &["memory", "pids"]), Ceilings { of_cgroup: all, required: NOTHING, processes: None });
        let memory = Limits { pids: None, ..all };
        let expected = Ceilings { of_cgroup: memory, required: NOTHING, processes: Some(8192) };
        assert_eq!(choose(true, &["memory"]), expected);
        let pids = Limits { memory: None, ..all };
        assert_eq!(choose(false, &["pids"]), Ceilings { of_cgroup: pids, required: NOTHING, processes: None });
        assert_eq!(choose(true, &[]), Ceilings { processes: Some(8192), ..Ceilings::default() });
        assert_eq!(choose(false, &[]), Ceilings::default());
    }

    #[test]
    fn what_was_asked_for_is_held_or_nothing_starts() {
        let memory = Limits { memory: Some(1 << 30), ..NOTHING };
        assert!(choose(&memory, &DefaultLimits::default(), true, &with(&["pids"])).is_err());
        let pids = Limits { pids: Some(50), ..NOTHING };
        assert!(choose(&pids, &default(), false, &with(&["memory"])).is_err());
        let chosen = choose(&pids, &DefaultLimits { pids: None, ..default() }, true, &with(&["memory"])).unwrap();
        assert_eq!((chosen.processes, chosen.of_cgroup.memory, chosen.required), (Some(50), Some(12 << 30), NOTHING));
        let chosen = choose(&memory, &DefaultLimits { memory: None, ..default() }, true, &with(&["memory", "pids"]));
        let chosen = chosen.unwrap();
        assert_eq!((chosen.of_cgroup.pids, chosen.required), (Some(8192), memory));
    }
}
