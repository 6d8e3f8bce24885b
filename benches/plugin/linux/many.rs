//! Many calls at once.

use super::peer::Server;
use super::quietest;
use super::table::{Table, median, ratio};
use super::world::{SAYS, STATUS, STATUS_ARGUMENTS, World};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const CALLS: usize = 64;

pub fn measure(world: &World, table: &mut Table, rounds: usize) {
    let peer = Server::start(world, "many", &world.git);
    // The sandbox stands.
    at_once(|| world.wrapper(STATUS), 1);
    let all: Vec<[(f64, usize); 3]> = (0..rounds)
        .map(|_| {
            [
                at_once(|| world.direct(&world.git), CALLS),
                at_once(|| world.wrapper(STATUS), CALLS),
                at_once(|| peer.wrapper(world, &peer.socket), CALLS),
            ]
        })
        .collect();
    let best = quietest(&all, |round| round[0].0);
    table.head("64 calls of `git status` at once", ["wall time", "succeeded", "of direct", "all rounds"]);
    for (way, name) in ["git status itself", "rcc's wrapper and broker", "the peer"].into_iter().enumerate() {
        let (seconds, succeeded) = best[way];
        let ratios: Vec<f64> = all.iter().map(|round| round[way].0 / round[0].0).collect();
        let columns = [
            &milliseconds(seconds),
            &succeeded.to_string(),
            &ratio(seconds, best[0].0),
            &format!("{:.2} x", median(&ratios)),
        ];
        table.row(name, columns.map(String::as_str));
    }
    let failed: usize = all.iter().map(|round| CALLS - round[1].1).sum();
    table.bar("all succeed, in all rounds", &format!("{failed} failed"), failed == 0);
}

/// Seconds until all have ended, and how many did what they should.
fn at_once(command: impl Fn() -> Command, count: usize) -> (f64, usize) {
    let start = Instant::now();
    let children: Vec<Child> = (0..count)
        .map(|_| {
            let mut command = command();
            command.args(STATUS_ARGUMENTS).stdout(Stdio::piped()).spawn().expect("it is installed")
        })
        .collect();
    let good = |child: Child| {
        let output = child.wait_with_output().expect("a child");
        output.status.success() && output.stdout.ends_with(SAYS.as_bytes())
    };
    let succeeded = children.into_iter().map(good).filter(|good| *good).count();
    (start.elapsed().as_secs_f64(), succeeded)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}
