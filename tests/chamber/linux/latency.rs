//! How long a call takes, beside what the machine takes for the program itself.

use super::tests;
use super::world::{World, call};
use rcc::plugin::chamber::Chamber;
use rcc::plugin::manifest::ProjectAccess;
use std::process::Command;
use std::time::{Duration, Instant};

tests![a_call_costs_little_more_than_the_program];

const CALLS: usize = 300;

fn a_call_costs_little_more_than_the_program(world: &World) {
    let mut bare = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        assert!(Command::new("/bin/true").status().unwrap().success());
        bare.push(begun.elapsed());
    }
    let (cold, warm) = world.run(async {
        let begun = Instant::now();
        let chamber = Chamber::start(&world.spec(ProjectAccess::ReadOnly), &[]).await.unwrap();
        let (cold, mut warm) = (begun.elapsed(), Vec::new());
        for _ in 0..CALLS {
            let call = call("/bin/true", &[], Some(&world.project));
            let begun = Instant::now();
            let mut running = chamber.run(call.command).await.unwrap();
            running.ended().await.unwrap();
            warm.push(begun.elapsed());
        }
        (cold, warm)
    });
    let (bare, warm) = (median(bare), median(warm));
    println!("chamber started in {cold:?}; true: {bare:?} by itself, {warm:?} in the chamber (medians of {CALLS})");
    // Far above what a loaded machine takes, and below what any wait by the clock would.
    assert!(warm < bare + Duration::from_millis(100));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
