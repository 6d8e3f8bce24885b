//! What `rcc relay` takes.

use super::relay_setup::{InstallArguments, ReloadArguments, UninstallArguments};
use super::when;
use crate::moment::Moment;
use crate::relay::name::{MessageId, PairName, ScheduleId, SessionName};
use crate::relay::wire::Kind;
use crate::timespan;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use std::time::Duration;

/// The relay, by which agents in different sandboxes exchange messages.
#[derive(Debug, Args)]
pub struct RelayArguments {
    /// The system's relay, not your own
    #[arg(long, global = true)]
    pub(super) system: bool,
    #[command(subcommand)]
    pub(super) command: RelayCommand,
}

/// What is done with it.
#[derive(Debug, Subcommand)]
pub enum RelayCommand {
    /// Run the relay
    Start {
        /// Return as soon as it listens; what it logs goes to relay.log beside its store
        #[arg(long)]
        detach: bool,
    },
    /// Carry messages between the relay and those of other hosts, as [relay.cluster] says
    Bridge,
    /// End the relay; what was sent waits for its next start
    Stop,
    /// Tell whether the relay runs, since when, and how much waits
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print where the relay's socket, store and audit are, running or not
    Path(PathArguments),
    /// List and show sessions, and write to them
    #[command(subcommand)]
    Session(SessionCommand),
    /// Send a message, as `rcc relay session send` does
    Send(SendArguments),
    /// Show the messages to you that wait, and take them
    Inbox(InboxArguments),
    /// List what is to be sent later
    Schedule(ScheduleArguments),
    /// Show messages and sessions as they come and go
    Watch,
    /// Show or verify what happened
    Audit(AuditArguments),
    /// Have systemd run the relay: your own, or with --system the system's (root)
    Install(InstallArguments),
    /// Take back what `rcc relay install` did
    Uninstall(UninstallArguments),
    /// Hold the ends of a sandbox's pairs, as its launcher says
    #[command(hide = true)]
    Ends,
    /// Have the relay read its configuration again, as its unit does
    #[command(hide = true)]
    Reload(ReloadArguments),
}

/// `rcc relay path`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PathArguments {
    /// Only the socket for the host's programs
    #[arg(long)]
    pub(super) socket: bool,
    /// Only the directory of what lasts
    #[arg(long)]
    pub(super) state: bool,
    /// Only the directory of the audit
    #[arg(long)]
    pub(super) audit: bool,
}

/// `rcc relay session`.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions that you may write to
    List {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
        /// Print JSON; times are milliseconds since the epoch
        #[arg(long)]
        json: bool,
    },
    /// Send a message
    Send(SendArguments),
    /// Show one session
    Show {
        /// Its name, or the beginning of it
        #[arg(value_name = "ID")]
        session: String,
        /// Print JSON; times are milliseconds since the epoch
        #[arg(long)]
        json: bool,
    },
}

/// `rcc relay send`.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// To whom: a session's name or the beginning of it, `project:NAME`, `group:NAME` or `user`, and `@HOST` for
    /// another host
    #[arg(value_name = "ID")]
    pub(super) to: String,
    /// The text; `-` reads the standard input
    #[arg(value_name = "TEXT")]
    pub(super) text: String,
    /// What it is to the one who gets it
    #[arg(long, value_enum, default_value_t = KindArgument::Message)]
    pub(super) kind: KindArgument,
    /// The message that it answers
    #[arg(long, value_name = "MESSAGE", conflicts_with_all = ["at", "in_", "every"])]
    pub(super) reply_to: Option<MessageId>,
    /// Send it at this time, like '2026-03-02 14:00' or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = when::at, group = "later")]
    pub(super) at: Option<Timestamp>,
    /// Send it after this time, like 90s or 1h30m
    #[arg(long = "in", value_name = "TIME", value_parser = timespan::parse, group = "later")]
    pub(super) in_: Option<Duration>,
    /// Send it again and again: minute, hour, day, month and weekday as in crontab(5)
    #[arg(long, value_name = "CRON", group = "later")]
    pub(super) every: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What a message is to the one who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindArgument {
    /// Something to read
    Message,
    /// Something to do, as if you had typed it there
    Prompt,
    /// A command of the agent's own
    Command,
    /// Code, where the policy grants it
    Eval,
    /// An answer
    Response,
}

impl From<KindArgument> for Kind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Message => Self::Message,
            KindArgument::Prompt => Self::Prompt,
            KindArgument::Command => Self::Command,
            KindArgument::Eval => Self::Eval,
            KindArgument::Response => Self::Response,
        }
    }
}

/// `rcc relay inbox`.
#[derive(Debug, Args)]
pub struct InboxArguments {
    /// Those that were taken before, too, as far as the relay keeps them
    #[arg(long)]
    pub(super) all: bool,
    /// Leave them there
    #[arg(long)]
    pub(super) keep: bool,
    /// Print JSON, an object to a line; times are milliseconds since the epoch
    #[arg(long)]
    pub(super) json: bool,
}

/// `rcc relay schedule`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ScheduleArguments {
    #[command(subcommand)]
    pub(super) command: Option<ScheduleCommand>,
    /// Print JSON; times are milliseconds since the epoch
    #[arg(long)]
    pub(super) json: bool,
}

/// What is done to one of them.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Take back what is to be sent later
    Cancel {
        /// Its id, as `rcc relay schedule` shows it
        #[arg(value_name = "ID")]
        id: ScheduleId,
    },
}

/// `rcc relay audit`.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// Check that nothing was changed, removed or put in between
    #[arg(long, conflicts_with_all = ["follow", "session", "since", "json"])]
    pub(super) verify: bool,
    /// Go on and show what happens from now on
    #[arg(long)]
    pub(super) follow: bool,
    /// What passed at your ends of this pair while the relay was down
    #[arg(long, value_name = "PAIR", conflicts_with = "follow")]
    pub(super) pair: Option<PairName>,
    /// Only what this session did, or what was done to it
    #[arg(long, value_name = "SESSION")]
    pub(super) session: Option<SessionName>,
    /// Only since this time: how long ago, like 30m or 2d, or like '2026-03-02 14:00'
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    pub(super) since: Option<Moment>,
    /// Print the entries as they are written, a JSON object to a line
    #[arg(long)]
    pub(super) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    fn typed(line: &str) -> Result<super::RelayArguments, clap::Error> {
        let arguments = super::super::Arguments::try_parse_from(line.split(' '))?;
        match arguments.command {
            super::super::Command::Relay(relay) => Ok(relay),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "rcc relay send a t --in 5m --every *",
            "rcc relay send a t --in 5m --reply-to m1",
            "rcc relay send a t --in soon",
            "rcc relay path --socket --state",
            "rcc relay audit --verify --follow",
            "rcc relay audit --session ../x",
            "rcc relay schedule --json cancel s1",
            "rcc relay",
        ] {
            assert!(typed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_relay_may_be_chosen_before_and_after_the_command() {
        assert!(typed("rcc relay --system status").unwrap().system);
        assert!(typed("rcc relay session send --system project:api -").unwrap().system);
        assert!(!typed("rcc relay schedule").unwrap().system);
    }
}
