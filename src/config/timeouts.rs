//! `[timeouts]` of the user's file.

use super::problem::Document;
use super::reader::{Sourced, Table};
use super::show::{Entry, Origin};
use super::values::time;
use crate::settings::Timeouts;
use crate::timespan;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Seconds that a start may take: less than one is not enough for any engine, and nobody waits longer than an hour.
const START: RangeInclusive<u64> = 1..=3600;
/// Seconds of one call of an engine: it may fetch and lay out files.
const ENGINE: RangeInclusive<u64> = 5..=3600;
/// Seconds until what was killed is dead.
const DEATH: RangeInclusive<u64> = 1..=600;
/// Seconds that an agent has to end by itself.
const STOP: RangeInclusive<u64> = 1..=3600;

/// The section as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TimeoutsSection {
    start: Option<Sourced<Duration>>,
    engine: Option<Sourced<Duration>>,
    death: Option<Sourced<Duration>>,
    stop: Option<Sourced<Duration>>,
}

impl TimeoutsSection {
    /// Takes it out of a file.
    pub(super) fn take(file: &mut Table<'_, '_>) -> Self {
        let mut section = Self::default();
        file.section("timeouts", |table| {
            section.start = table.sourced("start", |value| time(&value, START));
            section.engine = table.sourced("engine", |value| time(&value, ENGINE));
            section.death = table.sourced("death", |value| time(&value, DEATH));
            section.stop = table.sourced("stop", |value| time(&value, STOP));
        });
        section
    }

    /// What holds.
    pub(super) fn values(&self) -> Timeouts {
        let default = Timeouts::default();
        let or = |written: &Option<Sourced<Duration>>, default| written.as_ref().map_or(default, |it| it.value);
        Timeouts {
            start: or(&self.start, default.start),
            engine: or(&self.engine, default.engine),
            death: or(&self.death, default.death),
            stop: or(&self.stop, default.stop),
        }
    }

    /// Their rows.
    pub(super) fn entries(&self, document: &Document) -> Vec<Entry> {
        let holds = self.values();
        let rows = [
            ("timeouts.start", &self.start, holds.start),
            ("timeouts.engine", &self.engine, holds.engine),
            ("timeouts.death", &self.death, holds.death),
            ("timeouts.stop", &self.stop, holds.stop),
        ];
        let row = |(key, written, holds): (&str, &Option<Sourced<Duration>>, Duration)| {
            let file = |at: &Sourced<Duration>| Origin::File {
                path: document.path.clone(),
                line: document.line(at.span.start),
            };
            Entry::new(key, timespan::written(holds), written.as_ref().map_or(Origin::Default, file))
        };
        rows.into_iter().map(row).collect()
    }
}
