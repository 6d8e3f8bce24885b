//! What a call costs beside the tool itself.

use super::disk::syncs;
use super::peer::{Clock, Server};
use super::quietest;
use super::table::{Table, micros, quantile};
use super::world::{SAYS, STATUS, STATUS_ARGUMENTS, World};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Calls of a round, of each way.
const CALLS: usize = 200;
const WARM_UP: usize = 10;
/// What the project wants of the wrapper.
const BAR: Duration = Duration::from_millis(3);

/// The ways to the tool. The first is what the others are measured against.
const WAYS: [&str; 6] = [
    "git status itself",
    "rcc's wrapper and broker",
    "a Python client that runs already, and rcc's broker",
    "the peer: a Python client that runs already, a Python server",
    "a Python client as a process, and rcc's broker",
    "the peer: a Python client as a process, a Python server",
];

/// A round's times of each way, and those of the disk.
struct Round {
    times: [Vec<Duration>; 6],
    syncs: Vec<Duration>,
}

impl Round {
    fn at(&self, way: usize, thousandth: usize) -> Duration {
        quantile(&self.times[way], thousandth)
    }

    fn added(&self, way: usize, thousandth: usize) -> Duration {
        self.at(way, thousandth).saturating_sub(self.at(0, thousandth))
    }
}

pub fn measure(world: &World, table: &mut Table, rounds: usize) {
    let peer = Server::start(world, "status", &world.git);
    let mut ways = Ways { world, clock: peer.clock(world), ours: world.socket(STATUS), peer };
    for _ in 0..WARM_UP {
        (0..WAYS.len()).for_each(|way| {
            ways.time(way);
        });
    }
    let all: Vec<Round> = (0..rounds)
        .map(|_| {
            let mut times: [Vec<Duration>; 6] = Default::default();
            for _ in 0..CALLS {
                // In turns, so that whatever else the machine does meets all of them.
                times.iter_mut().enumerate().for_each(|(way, times)| times.push(ways.time(way)));
            }
            Round { times, syncs: syncs(world.disk.path(), 0, CALLS, Duration::ZERO) }
        })
        .collect();
    let best = quietest(&all, |round| round.at(0, 500).as_secs_f64());
    table.head("a call of `git status`", ["p50", "p99", "added p50", "added p99"]);
    for (way, name) in WAYS.iter().enumerate() {
        let [middle, worst] = [500, 990].map(|thousandth| micros(best.at(way, thousandth)));
        let added =
            [500, 990].map(|thousandth| if way == 0 { String::new() } else { micros(best.added(way, thousandth)) });
        table.row(name, [&middle, &worst, &added[0], &added[1]]);
    }
    let [middle, worst] = [500, 990].map(|thousandth| micros(quantile(&best.syncs, thousandth)));
    table.row("a bare fdatasync, as the journal waits for before a call", [&middle, &worst, "", ""]);
    let each: Vec<String> = all.iter().map(|round| micros(round.added(1, 500))).collect();
    table.row(&format!("added by the wrapper in each round: {}", each.join(", ")), ["", "", "", ""]);
    let added = best.added(1, 500);
    table.bar("added at p50, less than 3 ms", &micros(added), added < BAR);
}

struct Ways<'a> {
    world: &'a World,
    ours: PathBuf,
    peer: Server,
    clock: Clock,
}

impl Ways<'_> {
    fn time(&mut self, way: usize) -> Duration {
        match way {
            0 => process(&mut self.world.direct(&self.world.git)),
            1 => process(&mut self.world.wrapper(STATUS)),
            2 => self.clock.call(&self.ours, &STATUS_ARGUMENTS).0,
            3 => self.clock.call(&self.peer.socket, &STATUS_ARGUMENTS).0,
            4 => process(&mut self.peer.wrapper(self.world, &self.ours)),
            _ => process(&mut self.peer.wrapper(self.world, &self.peer.socket)),
        }
    }
}

/// From before the process is made until it has ended and all of its output was read.
fn process(command: &mut Command) -> Duration {
    command.args(STATUS_ARGUMENTS).stderr(Stdio::inherit());
    let start = Instant::now();
    let output = command.output().expect("it is installed");
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with(SAYS), "{command:?}: {} {said}", output.status);
    took
}
