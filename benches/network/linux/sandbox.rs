//! What exceptions cost the traffic of a sandbox: the same with none and with many, in turns.

use super::client::FAR_PORT;
use super::machine::{Load, Machine, Service, end};
use super::table::{Table, median, p99, ratio};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A public address, as all that is routed outside.
const ADDRESS: &str = "203.0.113.10";
const CONNECTIONS: usize = 2_000;
const SECONDS: usize = 2;
/// What "as with none" allows for, where two runs of the same differ by about as much.
const SAME: f64 = 1.1;

pub fn measure(machine: &Machine, table: &mut Table, rounds: usize) {
    let _service = Service::start(machine);
    let server = Command::new("ip").args(["netns", "exec", "outside", "iperf3", "-s"]).stdout(Stdio::null()).spawn();
    let mut server = server.expect("iproute2 is installed");
    let (mut connects, mut rates) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        for (which, load) in [Load::None, Load::Many].into_iter().enumerate() {
            machine.reload(load);
            let (place, count) = (format!("{ADDRESS}:{FAR_PORT}"), CONNECTIONS.to_string());
            let times: Vec<u64> = machine.client("public", &["--connect", &place, &count]);
            connects[which].extend(times.into_iter().map(Duration::from_nanos));
            rates[which].push(rate(machine));
        }
    }
    end(&mut server);
    let [none, many] = &connects;
    table.times("TCP connect in a sandbox, no exceptions", none);
    table.times("TCP connect in a sandbox, 10,000 exceptions and 1,000 names", many);
    let ratios = (ratio(median(many), median(none)), ratio(p99(many), p99(none)));
    let (middle, worst) = (format!("{:.2}", ratios.0), format!("{:.2}", ratios.1));
    table.line("    ratio", &middle, &worst, "at most 1.1", Some(ratios.0 <= SAME));
    let [none, many] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let gigabits = |rate: f64| format!("{:.2} Gbit/s", rate / 1e9);
    table.value("TCP throughput of a sandbox, no exceptions", &gigabits(none));
    table.value("TCP throughput of a sandbox, 10,000 exceptions and 1,000 names", &gigabits(many));
    table.held("    ratio", &format!("{:.2}", none / many), "at most 1.1", none / many <= SAME);
}

/// Bits a second that the far side received.
fn rate(machine: &Machine) -> f64 {
    let text = machine.sandboxed("public", &["iperf3", "-J", "-c", ADDRESS, "-t", &SECONDS.to_string()]);
    let report: serde_json::Value = serde_json::from_str(&text).expect("iperf3 writes JSON");
    report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or_else(|| panic!("no throughput: {text}"))
}
