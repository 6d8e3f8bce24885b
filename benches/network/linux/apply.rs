//! How long a change of the configuration takes until it is in force.

use super::machine::{Load, Machine, Service, commands_time};
use super::table::{Table, median, millis, p99};
use std::thread::sleep;
use std::time::Duration;

const SETTLED: Duration = Duration::from_secs(1);
const BAR: Duration = Duration::from_millis(300);

pub fn measure(machine: &Machine, table: &mut Table, rounds: usize) {
    let (mut applied, mut busy) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..rounds {
        for (load, times) in [Load::None, Load::Many].into_iter().zip(&mut applied) {
            machine.write(load);
            let before = commands_time();
            times.push(machine.apply());
            if load == Load::Many {
                busy.push(commands_time() - before);
            }
        }
    }
    machine.write(Load::None);
    let _service = Service::start(machine);
    let mut reloaded = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (load, times) in [Load::None, Load::Many].into_iter().zip(&mut reloaded) {
            times.push(machine.reload(load));
            // After a change the service looks at the rules once more.
            sleep(SETTLED);
        }
    }
    for (command, [none, many]) in [("apply", applied), ("reload", reloaded)] {
        table.times(&format!("rcc firewall {command}, no exceptions"), &none);
        let name = format!("rcc firewall {command}, 10,000 exceptions and 1,000 names");
        let (middle, worst) = (millis(median(&many)), millis(p99(&many)));
        table.line(&name, &middle, &worst, "below 300 ms", Some(median(&many) < BAR));
    }
    table.times("    processor time of that apply", &busy);
}
