//! What the service occupies, and how often it wakes while nothing happens.

use super::client::{ask, query, socket, under};
use super::machine::{Load, Machine, Service, kib};
use super::table::Table;
use rcc::resolver::Config;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Resident, in KiB.
const BAR: u64 = 20 << 10;
const QUERIED: usize = 10_000;
const RELOADS: usize = 10;
/// How much more it may be after so many reloads: memory that is free but not given back differs.
const GROWTH: u64 = 1 << 10;
const SETTLED: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(10);

pub fn measure(machine: &Machine, table: &mut Table, _rounds: usize) {
    machine.write(Load::None);
    let service = Service::start(machine);
    sleep(Duration::from_secs(1));
    size(table, &service, "no exceptions");
    table.value("    its threads", &threads(service.id()).len().to_string());
    let before = switches(service.id());
    sleep(WATCHED);
    let wakes = (switches(service.id()) - before) as f64 / WATCHED.as_secs_f64();
    table.value("    how often it wakes while idle", &format!("{wakes:.1}/s"));
    let identity = machine.identity("public", 0);
    under(identity, || {
        let socket = socket(Config::ADDRESS);
        for number in 0..QUERIED {
            ask(&socket, &query(&format!("m{number}.example.org"))).expect("the name resolves");
        }
    });
    size(table, &service, "10,000 names asked");
    machine.reload(Load::Many);
    let once = size(table, &service, "10,000 exceptions loaded");
    for _ in 0..RELOADS {
        machine.reload(Load::Many);
    }
    let often = size(table, &service, "and loaded ten times more");
    let growth = often.saturating_sub(once);
    table.held("    growth", &format!("{growth} KiB"), "below 1 MiB", growth < GROWTH);
}

fn size(table: &mut Table, service: &Service, when: &str) -> u64 {
    // It looks at the rules once more after each change, and then it is idle.
    sleep(SETTLED);
    let resident = kib(service.id(), "status", "VmRSS:");
    let share = kib(service.id(), "smaps_rollup", "Pss:");
    let value = format!("{:.1} MiB", resident as f64 / 1024.0);
    table.held(&format!("service, resident: {when}"), &value, "below 20 MiB", resident < BAR);
    table.value("    its proportional share", &format!("{:.1} MiB", share as f64 / 1024.0));
    resident
}

fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    tasks.flatten().map(|task| task.path().display().to_string()).collect()
}

/// How often all threads went to sleep.
fn switches(process: u32) -> u64 {
    let of = |task: String| {
        let status = fs::read_to_string(format!("{task}/status")).unwrap_or_default();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    threads(process).into_iter().map(of).sum()
}
