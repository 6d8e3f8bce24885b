//! One table, with the bars that the project has set itself.

use std::process::ExitCode;
use std::time::Duration;

pub struct Table {
    missed: u32,
}

impl Table {
    pub fn new() -> Self {
        println!("{:62} {:>11} {:>11}  {:<20} verdict", "", "median", "p99", "bar");
        Self { missed: 0 }
    }

    /// Numbers without a bar.
    pub fn times(&mut self, name: &str, times: &[Duration]) {
        self.line(name, &millis(median(times)), &millis(p99(times)), "", None);
    }

    /// A number and its bar.
    pub fn held(&mut self, name: &str, value: &str, bar: &str, holds: bool) {
        self.line(name, value, "", bar, Some(holds));
    }

    /// A number.
    pub fn value(&mut self, name: &str, value: &str) {
        self.line(name, value, "", "", None);
    }

    pub fn line(&mut self, name: &str, median: &str, p99: &str, bar: &str, holds: Option<bool>) {
        let verdict = holds.map_or("", |holds| if holds { "holds" } else { "MISSED" });
        self.missed += u32::from(holds == Some(false));
        let line = format!("{name:62} {median:>11} {p99:>11}  {bar:<20} {verdict}");
        println!("{}", line.trim_end());
    }

    pub fn end(self) -> ExitCode {
        ExitCode::from(u8::from(self.missed > 0))
    }
}

pub fn median(times: &[Duration]) -> Duration {
    quantile(times, 50)
}

pub fn p99(times: &[Duration]) -> Duration {
    quantile(times, 99)
}

fn quantile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

pub fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

/// How many times as much.
pub fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64()
}
