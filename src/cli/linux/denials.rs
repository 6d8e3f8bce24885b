//! `rcc denials`, and the one line about them at the end of a session.

use super::clock::local;
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
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks at the record: it lies in a directory that cannot be watched without
/// privilege.
const LOOK: Duration = Duration::from_millis(200);

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
                let since = local(since);
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
            if output::reader_has_gone(LOOK) {
                return Ok(ExitCode::SUCCESS);
            }
            denials = self.chosen(follow.next(policy).into_diagnostic()?);
        }
    }
}

fn lines(denials: &[Listed]) -> String {
    let line = |listed: &Listed| serde_json::to_string(listed).map(|line| line + "\n").unwrap_or_default();
    denials.iter().map(line).collect()
}

fn row(denial: &crate::denials::Denial) -> Vec<String> {
    let names = if denial.address.is_some() { denial.names.join(" ") } else { String::new() };
    vec![
        local(denial.last),
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
    fn a_followed_line_is_one_line() {
        let cells = ["t", "s\n", "1", "private", "d\u{1b}[2J", "n"].map(str::to_owned);
        assert_eq!(follow_line(&cells).lines().count(), 1);
        assert!(!follow_line(&cells).trim_end().chars().any(char::is_control));
    }
}
