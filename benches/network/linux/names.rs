//! What a name costs the first time: a question that the host's own resolver is asked, an address that
//! is opened in the kernel before the answer leaves, and the connection to it.

use super::client::{First, UPSTREAM, first_connections, under};
use super::machine::{Load, Machine, Service};
use super::table::{Table, median, millis, p99};
use rcc::resolver::Config;
use std::time::Duration;

const BAR: Duration = Duration::from_millis(5);
/// Names of each way to ask; the three of them are fewer than the policy has.
const COUNT: usize = 330;

pub fn measure(machine: &Machine, table: &mut Table, _rounds: usize) {
    machine.write(Load::Many);
    let _service = Service::start(machine);
    let identity = machine.identity("allowlist", 0);
    let upstream = first_connections(UPSTREAM, 0, COUNT);
    let ours = under(identity, || first_connections(Config::ADDRESS, COUNT, COUNT));
    let words = ["--names", &(2 * COUNT).to_string(), &COUNT.to_string()];
    let sandboxed: Vec<First> = machine.client("allowlist", &words);
    table.times("first connection to a name, of the host itself", &total(&upstream));
    table.times("first connection to an allowed name, without a sandbox", &total(&ours));
    table.times("    of that, the answer", &answers(&ours));
    table.times("first connection to an allowed name, in a sandbox", &total(&sandboxed));
    table.times("    of that, the answer", &answers(&sandboxed));
    for (name, times) in [("without a sandbox", &ours), ("in a sandbox", &sandboxed)] {
        let more = |of: fn(&[Duration]) -> Duration| of(&total(times)).saturating_sub(of(&total(&upstream)));
        let (middle, worst) = (more(median), more(p99));
        let name = format!("    more than the host itself, {name}");
        table.line(&name, &millis(middle), &millis(worst), "p99 below 5 ms", Some(worst < BAR));
    }
}

fn total(times: &[First]) -> Vec<Duration> {
    times.iter().map(|first| Duration::from_nanos(first.answer + first.connection)).collect()
}

fn answers(times: &[First]) -> Vec<Duration> {
    times.iter().map(|first| Duration::from_nanos(first.answer)).collect()
}
