//! A lot of output: how fast, and in how much memory.

use super::peer::{Clock, Server};
use super::quietest;
use super::table::{Table, mebibytes};
use super::world::{KEEPER, WRITER, World, has_credentials};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The file, and how often the tool writes it.
const FILE: &str = "output.txt";
const SIZE: usize = 64 << 20;
const TIMES: usize = 16;
/// Bytes a second, and KiB that memory may grow by while the output is 1 GiB.
const BAR: f64 = 1e9;
const GROWTH: u64 = 8 << 10;
/// Bytes between two looks at a process's memory.
const LOOK: usize = 16 << 20;
/// What `wc` or `grep` read at once, or more.
const READ: usize = 256 << 10;

/// What one passage showed.
struct Passage {
    seconds: f64,
    bytes: usize,
    /// KiB of the process that wrote it to us.
    writer: u64,
    /// KiB of the broker before, at its most, and after.
    broker: [u64; 3],
}

impl Passage {
    fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

pub fn measure(world: &World, table: &mut Table, rounds: usize) {
    write_file(&world.project.join(FILE));
    let mut tools = vec![("through rcc, no credential held", WRITER)];
    if has_credentials() {
        // Whatever credential the broker holds is taken out of everything, so this one comes last.
        tools.push(("through rcc, a credential to be taken out", KEEPER));
    }
    table.head("1 GiB through standard output to a pipe", ["rate", "wrapper", "broker", "grown by"]);
    let direct: Vec<Passage> = (0..rounds).map(|_| pass(&mut world.direct(&world.cat), None)).collect();
    row(table, "cat itself", &direct);
    for (name, tool) in tools {
        let all: Vec<Passage> = (0..rounds).map(|_| pass(&mut world.wrapper(tool), Some(world.broker()))).collect();
        let best = row(table, name, &all);
        table.bar("at least 1 GB/s", &gigabytes(best.rate()), best.rate() >= BAR);
        let grown = all.iter().map(|passage| passage.broker[1].saturating_sub(passage.broker[0])).skip(1).max();
        let grown = grown.unwrap_or(0);
        table.bar("constant memory: after the first, at most 8 MiB more", &mebibytes(grown), grown <= GROWTH);
    }
    peer(world, table, rounds);
}

/// The peer has no other form than the simple one, so it gets a sixteenth.
fn peer(world: &World, table: &mut Table, rounds: usize) {
    let server = Server::start(world, "output", &world.cat);
    let mut clock: Clock = server.clock(world);
    let all: Vec<Passage> = (0..rounds)
        .map(|_| {
            forget_peak(server.id());
            let before = memory(server.id(), "VmRSS:");
            let (took, bytes) = clock.call(&server.socket, &[FILE]);
            assert_eq!(bytes, SIZE, "all of it came");
            let broker = [before, memory(server.id(), "VmHWM:"), memory(server.id(), "VmRSS:")];
            Passage { seconds: took.as_secs_f64(), bytes, writer: 0, broker }
        })
        .collect();
    row(table, "the peer, 64 MiB", &all);
}

fn row<'a>(table: &mut Table, name: &str, all: &'a [Passage]) -> &'a Passage {
    let best = quietest(all, |passage| passage.seconds / passage.bytes as f64);
    let each: Vec<String> = all.iter().map(|passage| format!("{:.2}", passage.rate() / 1e9)).collect();
    let size = |kibibytes: u64| if kibibytes == 0 { String::new() } else { mebibytes(kibibytes) };
    let grown = best.broker[1].saturating_sub(best.broker[0]);
    let columns = [gigabytes(best.rate()), size(best.writer), size(best.broker[1]), size(grown)];
    table.row(&format!("{name} ({})", each.join(", ")), columns.each_ref().map(String::as_str));
    best
}

fn pass(command: &mut Command, broker: Option<u32>) -> Passage {
    command.args([FILE; TIMES]).stdout(Stdio::piped());
    broker.inspect(|broker| forget_peak(*broker));
    let before = broker.map_or(0, |broker| memory(broker, "VmRSS:"));
    let start = Instant::now();
    let mut child = command.spawn().expect("it is installed");
    let mut stdout = child.stdout.take().expect("it is piped");
    let (mut buffer, mut bytes, mut looked, mut writer) = (vec![0; READ], 0, 0, 0);
    loop {
        let count = stdout.read(&mut buffer).expect("a pipe");
        if count == 0 {
            break;
        }
        bytes += count;
        if bytes - looked > LOOK {
            (looked, writer) = (bytes, writer.max(memory(child.id(), "VmHWM:")));
        }
    }
    let status = child.wait().expect("a child");
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success() && bytes == SIZE * TIMES, "{command:?}: {status}, {bytes} bytes");
    // What was the call's alone is given back a moment later.
    std::thread::sleep(Duration::from_millis(100));
    let peak = broker.map_or(0, |broker| memory(broker, "VmHWM:"));
    let after = broker.map_or(0, |broker| memory(broker, "VmRSS:"));
    Passage { seconds, bytes, writer, broker: [before, peak, after] }
}

/// Text as a build writes it.
fn write_file(path: &Path) {
    let mut text = String::with_capacity(SIZE + 128);
    for number in 0_u32.. {
        let hash = number.wrapping_mul(2_654_435_761);
        let _ =
            writeln!(text, "{number:08} Compiling crate-{hash:08x} v1.{}.{} (target/debug/deps)", hash % 7, hash % 97);
        if text.len() >= SIZE {
            break;
        }
    }
    std::fs::write(path, &text.as_bytes()[..SIZE]).expect("the project is ours");
}

/// KiB of a process that runs; none of one that has ended.
fn memory(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Lets the highest resident size begin anew (proc(5), clear_refs).
fn forget_peak(process: u32) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("it is ours");
}

fn gigabytes(rate: f64) -> String {
    format!("{:.2} GB/s", rate / 1e9)
}
