//! One table, with the bars that the project has set itself.

use std::process::ExitCode;
use std::time::Duration;

pub struct Table {
    missed: u32,
}

impl Table {
    pub fn new() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("load before it begins: {} on {cores} cores", load.split(' ').next().unwrap_or("?"));
        Self { missed: 0 }
    }

    /// What the lines below it are about, and how their columns are called.
    pub fn head(&mut self, title: &str, columns: [&str; 4]) {
        let [a, b, c, d] = columns;
        println!("\n{title:58} {a:>12} {b:>12} {c:>12} {d:>12}");
    }

    pub fn row(&mut self, name: &str, columns: [&str; 4]) {
        let [a, b, c, d] = columns;
        println!("{}", format!("  {name:56} {a:>12} {b:>12} {c:>12} {d:>12}").trim_end());
    }

    /// A bar, and whether it holds.
    pub fn bar(&mut self, what: &str, value: &str, holds: bool) {
        self.missed += u32::from(!holds);
        let verdict = if holds { "holds" } else { "MISSED" };
        println!("  = {what:54} {value:>12} {verdict:>12}");
    }

    pub fn end(self) -> ExitCode {
        ExitCode::from(u8::from(self.missed > 0))
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

/// So many of a thousand are not above it.
pub fn quantile(times: &[Duration], thousandth: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * thousandth / 1000]
}

pub fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

pub fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}

/// How many times as much.
pub fn ratio(ours: f64, theirs: f64) -> String {
    format!("{:.2} x", ours / theirs)
}
