//! Ceilings of memory, processes and processors: as the files write them, and which of them holds.

use super::error::ConfigError;
use super::merge::Layers;
use super::problem::Problem;
use super::reader::{Sourced, Table, Value};
use super::show::{Entry, Origin};
use super::values::parse_size;
use crate::machine::Machine;
use crate::settings::{DefaultLimits, Limits};
use std::fmt::{self, Display};

/// The smallest ceiling for memory in bytes: less does not start a shell.
const MEMORY_MIN: u64 = 4 << 20;
/// The largest: `memory.max` is a signed page counter of the kernel.
const MEMORY_MAX: u64 = i64::MAX as u64;
/// The most processes that Linux can number (`PID_MAX_LIMIT`, linux/threads.h).
const PIDS_MAX: u64 = 1 << 22;
/// The smallest share of a processor: `cpu.max` takes no quota below 1 ms of its 100 ms period.
const CPUS_MIN: f64 = 0.01;
/// The most processors that Linux can be built for (`NR_CPUS` on x86-64).
const CPUS_MAX: f64 = 8192.0;
/// What takes a ceiling away, also the one that holds by default.
const NONE: &str = "none";

/// A ceiling of memory, as a file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of what the machine has.
    Percent(u64),
    /// No ceiling.
    None,
}

impl Memory {
    fn of(self, machine: &Machine) -> Ceiling {
        match self {
            Self::Bytes(bytes) => Ceiling::At(bytes),
            Self::Percent(percent) => Ceiling::At(machine.percent(percent).max(MEMORY_MIN)),
            Self::None => Ceiling::None,
        }
    }
}

/// A ceiling, or that there is none, which is above all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ceiling {
    /// So much.
    At(u64),
    /// Without end.
    None,
}

impl Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(value) => value.fmt(f),
            Self::None => f.write_str(NONE),
        }
    }
}

impl From<Ceiling> for serde_json::Value {
    fn from(ceiling: Ceiling) -> Self {
        match ceiling {
            Ceiling::At(value) => value.into(),
            Ceiling::None => NONE.into(),
        }
    }
}

impl Ceiling {
    fn value(self) -> Option<u64> {
        match self {
            Self::At(value) => Some(value),
            Self::None => None,
        }
    }
}

/// The `[limits]` of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LimitsSection {
    pub memory: Option<Sourced<Memory>>,
    pub pids: Option<Sourced<Ceiling>>,
    pub cpus: Option<Sourced<f64>>,
}

/// Whether a file can take a ceiling away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Lift,
    Lower,
}

impl LimitsSection {
    /// Takes `[limits]` out of a file.
    pub(super) fn take(file: &mut Table<'_, '_>, may: May) -> Self {
        let mut limits = Self::default();
        file.section("limits", |table| {
            limits.memory = table.sourced("memory", |value| memory(&value, may));
            limits.pids = table.sourced("pids", |value| pids(&value, may));
            limits.cpus = table.sourced("cpus", |value| {
                value.number("a number of processors from 0.01 to 8192, like 2 or 0.5", CPUS_MIN..=CPUS_MAX)
            });
        });
        limits
    }
}

/// What root's file says of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AdminLimits {
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<Ceiling>,
    /// Processors' worth of time.
    pub cpus: Option<f64>,
}

/// Why an amount of memory was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, of 4MiB at least (\"8GiB\", \"512MB\"), or a \
     share of the machine's memory (\"50%\")"
)]
pub struct BadSize;

const LIFTS: &str = "a project can only lower limits: `none` belongs in the user's ~/.config/rcc/config.toml";

fn memory(value: &Value<'_, '_>, may: May) -> Option<Memory> {
    const EXPECTED: &str = "an amount of memory like \"8GiB\"";
    if value.is_integer() {
        let bytes = value.integer("a number of bytes, 4194304 (4MiB) at least", MEMORY_MIN..=MEMORY_MAX);
        return bytes.map(Memory::Bytes);
    }
    value.parse(EXPECTED, |text| {
        if text == NONE {
            return if may == May::Lift { Ok(Memory::None) } else { Err(LIFTS.to_owned()) };
        }
        let percent = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = percent.and_then(|digits| digits.parse().ok()).filter(|percent| (1..=100).contains(percent));
        let bytes = || parse_size(text).filter(|bytes| (MEMORY_MIN..=MEMORY_MAX).contains(bytes));
        percent.map(Memory::Percent).or_else(|| bytes().map(Memory::Bytes)).ok_or_else(|| BadSize.to_string())
    })
}

fn pids(value: &Value<'_, '_>, may: May) -> Option<Ceiling> {
    const EXPECTED: &str = "a number of processes and threads from 1 to 4194304";
    if value.is_string() {
        return value.parse(EXPECTED, |text| match text {
            NONE if may == May::Lift => Ok(Ceiling::None),
            NONE => Err(LIFTS),
            _ => Err("write it without quotes"),
        });
    }
    value.integer(EXPECTED, 1..=PIDS_MAX).map(Ceiling::At)
}

/// Root's ceiling and its line, the user's and the project's, and what holds if nobody says anything.
struct Ceilings<T> {
    admin: Option<(T, Option<usize>)>,
    user: Option<Sourced<T>>,
    project: Option<Sourced<T>>,
    default: Option<T>,
}

/// The ceiling that somebody asked for, and who.
type Asked<T> = Option<(T, Origin)>;

/// What came of the merge, with its rows and warnings.
pub(super) type Merged = ((Limits, DefaultLimits), Vec<Entry>, Vec<Problem>);

impl Layers<'_> {
    pub(super) fn limits(&self) -> Result<Merged, ConfigError> {
        let (mut entries, mut warnings) = (Vec::new(), Vec::new());
        let (admin, lines, machine) = (&self.admin.limits, &self.admin.lines, &self.machine);
        let (user, project) = (&self.user.values.limits, &self.project.values.limits);
        let of = |memory: &Option<Sourced<Memory>>| {
            let memory = memory.as_ref();
            memory.map(|memory| Sourced { value: memory.value.of(machine), span: memory.span.clone() })
        };
        let memory = Ceilings {
            admin: admin.memory.map(|memory| (memory.of(machine), lines.memory)),
            user: of(&user.memory),
            project: of(&project.memory),
            default: machine.default_memory().map(Ceiling::At),
        };
        let memory = self.ceiling("limits.memory", memory, &mut warnings);
        let pids = Ceilings {
            admin: admin.pids.map(|pids| (pids, lines.pids)),
            user: user.pids.clone(),
            project: project.pids.clone(),
            default: machine.default_processes().map(Ceiling::At),
        };
        let pids = self.ceiling("limits.pids", pids, &mut warnings);
        let cpus = Ceilings {
            admin: admin.cpus.map(|cpus| (cpus, lines.cpus)),
            user: user.cpus.clone(),
            project: project.cpus.clone(),
            default: None,
        };
        let cpus = self.ceiling("limits.cpus", cpus, &mut warnings);
        let (memory, pids, cpus) = match (memory, pids, cpus) {
            (Ok(memory), Ok(pids), Ok(cpus)) => (memory, pids, cpus),
            (memory, pids, cpus) => {
                let errors = memory.err().into_iter().chain(pids.err()).chain(cpus.err());
                return Err(ConfigError::all(errors));
            }
        };
        let mut defaults = DefaultLimits::default();
        if memory.is_none() {
            defaults.memory =
                by_default("memory", machine.default_memory(), machine.why_memory(), &mut defaults.why, &mut entries);
        }
        if pids.is_none() {
            let why = machine.why_processes();
            defaults.pids = by_default("pids", machine.default_processes(), why, &mut defaults.why, &mut entries);
        }
        entries.extend(memory.iter().map(|(value, origin)| Entry::new("limits.memory", *value, origin.clone())));
        entries.extend(pids.iter().map(|(value, origin)| Entry::new("limits.pids", *value, origin.clone())));
        entries.extend(cpus.iter().map(|(value, origin)| Entry::new("limits.cpus", *value, origin.clone())));
        let value = |asked: Asked<Ceiling>| asked.and_then(|(ceiling, _)| ceiling.value());
        let limits = Limits { memory: value(memory), pids: value(pids), cpus: cpus.map(|(cpus, _)| cpus) };
        Ok(((limits, defaults), entries, warnings))
    }

    /// The lowest of the three; a project's that is not the lowest is an error, but above what holds by default it is
    /// that: it may have been written for a larger machine.
    fn ceiling<T: Copy + PartialOrd + Display>(
        &self,
        key: &str,
        of: Ceilings<T>,
        warnings: &mut Vec<Problem>,
    ) -> Result<Asked<T>, ConfigError> {
        let file = |line| Origin::File { path: self.admin_path.into(), line };
        let admin = of.admin.map(|(value, line)| (value, line.map_or(Origin::Default, file)));
        let lowest = match (admin, &of.user) {
            (Some((value, origin)), Some(user)) if user.value > value => {
                let message = format_args!("{} is above root's ceiling of {value}, which holds", user.value);
                let advice = format_args!("at most {value}, unless root raises it in {}", self.admin_path.display());
                warnings.push(self.user.problem(&user.span, key, message, advice).into_warning());
                Some((value, origin))
            }
            (_, Some(user)) => Some((user.value, self.user.origin(&user.span))),
            (admin, None) => admin,
        };
        let Some(Sourced { value, span }) = of.project else { return Ok(lowest) };
        match &lowest {
            Some((ceiling, origin)) if value > *ceiling => {
                let message = format_args!("{value} is above the ceiling of {ceiling} ({origin})");
                let allowed = format_args!(
                    "a project can only lower limits: at most {ceiling} here; a higher one belongs in {}",
                    self.user.document.path.display()
                );
                Err(self.project.error(self.project.problem(&span, key, message, allowed)))
            }
            None if of.default.is_some_and(|default| value > default) => {
                Ok(of.default.map(|default| (default, Origin::Default)))
            }
            _ => Ok(Some((value, self.project.origin(&span)))),
        }
    }
}

/// A ceiling that follows from the machine, with its row.
fn by_default(
    key: &str,
    value: Option<u64>,
    why: String,
    all: &mut Vec<String>,
    entries: &mut Vec<Entry>,
) -> Option<u64> {
    let value = value?;
    all.push(format!("{key}: {why}"));
    entries.push(Entry::new(format!("limits.{key}"), value, Origin::Machine { why }));
    Some(value)
}
