//! `rcc denials`, and the one line about them at the end of a session.

use crate::cli::denials::DenialsArguments;
use crate::cli::table;
use crate::denials::pending::WINDOW;
use crate::denials::{self, Extent, Follow, Listed, summary};
use crate::enforcement;
use crate::firewall;
use crate::output;
use crate::policy::Policy;
use crate::session::RUN;
use crate::shown;
use miette::IntoDiagnostic;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks at the record: it lies in a directory that cannot be watched without
/// privilege.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

const HEAD: [&str; 6] = ["TIME", "SESSION", "COUNT", "REASON", "DESTINATION", "NAMES"];

impl DenialsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let policy = enforcement::current()?;
        let caller = rustix::process::geteuid();
        let uid = (!caller.is_root()).then_some(caller.as_raw());
        let mut follow = Follow::new(Path::new(RUN), uid);
        let denials = self.chosen(follow.next(&policy).into_diagnostic()?);
        self.caveats(&policy, uid, denials.is_empty())?;
        if self.follow {
            return self.go_on(follow, &policy, denials);
        }
        if self.json {
            output::print(lines(&denials))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !denials.is_empty() {
            let rows: Vec<_> =
                summary::merged(denials.into_iter().map(|listed| listed.denial)).iter().map(row).collect();
            output::print(table::render(&HEAD, &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn chosen(&self, mut listed: Vec<Listed>) -> Vec<Listed> {
        if self.session.is_some() {
            listed.retain(|listed| listed.denial.session == self.session);
        }
        listed
    }

    /// What the list cannot know.
    fn caveats(&self, policy: &Policy, uid: Option<u32>, empty: bool) -> miette::Result<()> {
        if uid.is_some_and(|uid| !policy.users.iter().any(|user| user.uid == uid)) {
            output::tell_line("rcc: you have no network identities, so no sandbox of yours has a network to be denied");
        }
        let extent = denials::extent(Path::new(RUN)).into_diagnostic()?;
        let running = firewall::is_watched();
        match extent {
            None => output::tell_line("rcc: nothing was recorded: the service rcc-firewall has not run since the boot"),
            Some(Extent { since, lost }) => {
                let since = local_time(since);
                if lost > 0 {
                    output::tell_line(format_args!("rcc: {lost} denials since {since} could not be written down"));
                }
                if running && empty {
                    let whom = self.session.as_ref().map(|id| format!(" to '{}'", shown::text(id))).unwrap_or_default();
                    output::tell_line(format_args!("rcc: nothing was denied{whom} since {since}, as far as recorded"));
                }
            }
        }
        if !running {
            output::tell_line(
                "rcc: nothing is recorded now: the service rcc-firewall does that, and it is not running \
                 (`sudo systemctl start rcc-firewall`)",
            );
        }
        Ok(())
    }

    fn go_on(&self, mut follow: Follow, policy: &Policy, mut denials: Vec<Listed>) -> miette::Result<ExitCode> {
        if !self.json {
            output::print(follow_line(&HEAD.map(str::to_owned)))?;
        }
        loop {
            if self.json {
                output::print(lines(&denials))?;
            } else {
                let rows = denials.iter().map(|listed| follow_line(&row(&listed.denial)));
                output::print(rows.collect::<String>())?;
            }
            if reader_has_gone() {
                return Ok(ExitCode::SUCCESS);
            }
            denials = self.chosen(follow.next(policy).into_diagnostic()?);
        }
    }
}

/// Waits a moment; a pipe or socket that nobody reads from any more says so at once (poll(2)).
fn reader_has_gone() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let _ = poll(&mut fds, Some(&LOOK));
    fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}

fn lines(denials: &[Listed]) -> String {
    let line = |listed: &Listed| serde_json::to_string(listed).map(|line| line + "\n").unwrap_or_default();
    denials.iter().map(line).collect()
}

fn row(denial: &crate::denials::Denial) -> Vec<String> {
    let names = if denial.address.is_some() { denial.names.join(" ") } else { String::new() };
    vec![
        local_time(denial.last),
        denial.session.clone().unwrap_or_else(|| "-".to_owned()),
        summary::count(denial),
        denial.reason.to_string(),
        summary::place(denial),
        names,
    ]
}

/// Widths are fixed: what comes later is not known.
fn follow_line(cells: &[String]) -> String {
    const WIDTHS: [usize; 5] = [19, 24, 6, 16, 28];
    let cells: Vec<String> = cells.iter().map(|cell| shown::text(cell)).collect();
    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}  "));
    let last = cells.get(WIDTHS.len()).map(String::as_str).unwrap_or_default();
    format!("{}\n", (padded.collect::<String>() + last).trim_end())
}

/// `2026-01-31 14:03:22`, where the machine is.
fn local_time(milliseconds: u64) -> String {
    let seconds = libc::time_t::try_from(milliseconds / 1000).unwrap_or(libc::time_t::MAX);
    // SAFETY: tm is plain data that may be zero; localtime_r reads the one and writes the other
    // argument, which outlive the call.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut time).is_null() {
            return format!("@{seconds}");
        }
        time
    };
    let (year, month) = (i64::from(time.tm_year) + 1900, time.tm_mon + 1);
    format!("{year:04}-{month:02}-{:02} {:02}:{:02}:{:02}", time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec)
}

/// One line about what a sandbox was denied, if anything. Waits a moment where the service may
/// still be counting.
pub(super) fn at_the_end(policy: Option<&Policy>, uid: u32, session: &str) {
    let Some(policy) = policy else { return };
    let ours = || {
        let read = denials::read(Path::new(RUN), policy, Some(uid)).unwrap_or_default().into_iter();
        let ours = read.map(|listed| listed.denial).filter(|denial| denial.session.as_deref() == Some(session));
        ours.collect::<Vec<_>>()
    };
    let mut denied = ours();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    if denied.iter().any(|denial| u128::from(denial.last + 2 * WINDOW) > now) {
        std::thread::sleep(Duration::from_millis(2 * WINDOW));
        denied = ours();
    }
    if let Some(line) = summary::sentence(session, denied) {
        output::tell_line(format_args!("rcc: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_people() {
        let shown = local_time(1_700_000_000_000);
        // Somewhere between UTC-12 and UTC+14.
        assert!(shown.starts_with("2023-11-14 ") || shown.starts_with("2023-11-15 "), "{shown}");
        assert_eq!(shown.len(), 19);
    }

    #[test]
    fn a_followed_line_is_one_line() {
        let cells = ["t", "s\n", "1", "private", "d\u{1b}[2J", "n"].map(str::to_owned);
        assert_eq!(follow_line(&cells).lines().count(), 1);
        assert!(!follow_line(&cells).trim_end().chars().any(char::is_control));
    }
}
