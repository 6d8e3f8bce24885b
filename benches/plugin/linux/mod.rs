//! See `../main.rs`.

#[path = "../../relay/linux/disk.rs"]
mod disk;
mod latency;
mod many;
mod output;
mod peer;
#[path = "../../relay/linux/table.rs"]
mod table;
mod world;

use std::env;
use std::process::ExitCode;
use table::Table;
use world::World;

/// Each part is measured so often.
const ROUNDS: usize = 3;

type Part = (&'static str, fn(&World, &mut Table, usize));
const PARTS: [Part; 3] = [("latency", latency::measure), ("many", many::measure), ("output", output::measure)];

pub fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let named =
        |name: &str| words.iter().any(|word| word == name) || words.iter().all(|word| word.parse::<usize>().is_ok());
    let world = World::new();
    let mut table = Table::new();
    for (_, measure) in PARTS.iter().filter(|(name, _)| named(name)) {
        measure(&world, &mut table, rounds);
    }
    table.end()
}

/// The round whose own figure is the lowest.
fn quietest<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> &T {
    rounds.iter().min_by(|one, other| of(one).total_cmp(&of(other))).expect("there is a round")
}
