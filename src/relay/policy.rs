//! Who may talk to whom, how much, and how long things are kept. Pure: `[relay]` of root's file for the
//! system's relay, of the user's file for the user's own; never a project's.

use super::name::{GroupName, HostName, PairName, ProjectName, SessionName};
use super::wire::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// What a relay does. The default is what holds without a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// What holds where no rule matches.
    pub otherwise: Otherwise,
    /// Rules that allow more; the union of all that match holds.
    pub rules: Vec<Rule>,
    /// Groups: each session that one of the patterns matches is a member.
    pub groups: BTreeMap<GroupName, Vec<Pattern>>,
    /// Ceilings.
    pub limits: Limits,
    /// Whether a session on the shared socket proves by its secret who it is.
    pub require_session_auth: bool,
    /// Whether host paths in texts are masked.
    pub mask_paths: bool,
    /// How long the audit is kept.
    pub audit_retention: Duration,
    /// The cluster, if this relay is one of several.
    pub cluster: Option<Cluster>,
}

/// What holds where no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// Sessions of one user talk to each other, of every kind but `eval`.
    SameUser,
    /// Nobody talks to anybody.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Who may send.
    pub from: Pattern,
    /// To whom.
    pub to: Pattern,
    /// What. `eval` only where it is listed.
    pub kinds: BTreeSet<Kind>,
}

/// Matches sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Every one of this host.
    Any,
    /// Those of the user with this login name.
    User(String),
    /// Those of the project at this path.
    Root(PathBuf),
    /// Those of projects of this name on this host, whoever's.
    Project(ProjectName),
    /// Members of this group. Groups do not nest.
    Group(GroupName),
    /// Those of another host of the cluster.
    Host(HostName),
}

/// Two projects whose sandboxes reach each other directly while the relay is down. Root's file alone makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What it is called.
    pub name: PairName,
    /// Whose sandboxes; either both name their user or none does.
    pub ends: [End; 2],
    /// What goes directly. Never `eval`.
    pub kinds: BTreeSet<Kind>,
}

/// One end of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// The project's root.
    pub project: PathBuf,
    /// Login name of the user who starts its sandboxes. Without it each user has a pair of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl Pair {
    /// The number of this user's end that lies in this project, 0 or 1.
    pub fn end_of(&self, project: &std::path::Path, user: &str) -> Option<usize> {
        let is_it = |end: &End| end.project == project && end.user.as_deref().is_none_or(|name| name == user);
        self.ends.iter().position(is_it)
    }

    /// Whether its ends are different users'.
    pub fn joins_users(&self) -> bool {
        self.ends[0].user != self.ends[1].user
    }
}

/// Ceilings, each for one session if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of a message's text, before and after control characters are escaped.
    pub message_size: usize,
    /// Messages a minute, in the long run.
    pub rate: u32,
    /// Messages that may come at once before the rate counts.
    pub burst: u32,
    /// Messages that wait in one mailbox.
    pub stored_messages: u32,
    /// Bytes of them.
    pub stored_bytes: u64,
    /// After this long a message that nobody took is dropped.
    pub message_expiry: Duration,
    /// A session that was not heard of for this long is ended.
    pub session_timeout: Duration,
    /// A session without a connection that was not heard of for this long is away.
    pub heartbeat_expiry: Duration,
    /// Schedules of one session.
    pub schedules: u32,
    /// Sessions of one user.
    pub sessions: u32,
}

/// A NATS cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// This relay's name in it.
    pub host: HostName,
    /// Servers, `nats://` or `tls://`.
    pub servers: Vec<String>,
    /// NATS credentials, readable by the bridge alone.
    pub credentials: Option<PathBuf>,
    /// Certificates of the authorities that are trusted, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The prefix of subjects and streams.
    pub prefix: String,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            message_size: 1 << 20,
            rate: 100,
            burst: 100,
            stored_messages: 10_000,
            stored_bytes: 256 << 20,
            message_expiry: Duration::from_secs(7 * 24 * HOUR),
            session_timeout: Duration::from_secs(24 * HOUR),
            heartbeat_expiry: Duration::from_secs(90),
            schedules: 100,
            sessions: 1_000,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            otherwise: Otherwise::SameUser,
            rules: Vec::new(),
            groups: BTreeMap::new(),
            limits: Limits::default(),
            require_session_auth: true,
            mask_paths: true,
            audit_retention: Duration::from_secs(30 * 24 * 3600),
            cluster: None,
        }
    }
}

/// A session as far as the policy is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its name; none for a person.
    pub session: Option<&'a SessionName>,
    /// Its user's uid on its host.
    pub uid: u32,
    /// Its user's login name.
    pub user: &'a str,
    /// Its project.
    pub project: Option<&'a ProjectName>,
    /// The project's path, where it is on this host.
    pub root: Option<&'a std::path::Path>,
    /// The other host that it is on.
    pub host: Option<&'a HostName>,
}

impl Policy {
    /// Whether `from` may send `to` something of this kind.
    pub fn allows(&self, from: Party<'_>, to: Party<'_>, kind: Kind) -> bool {
        let local = from.host.is_none() && to.host.is_none();
        let by_default = self.otherwise == Otherwise::SameUser && local && from.uid == to.uid && kind != Kind::Eval;
        by_default
            || self
                .rules
                .iter()
                .any(|rule| rule.kinds.contains(&kind) && self.matches(&rule.from, from) && self.matches(&rule.to, to))
    }

    /// Whether anything may pass from one to the other, so that one may know of the other.
    pub fn acquainted(&self, from: Party<'_>, to: Party<'_>) -> bool {
        [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response, Kind::Eval]
            .into_iter()
            .any(|kind| self.allows(from, to, kind))
    }

    /// Whether a session belongs to a group.
    pub fn is_member(&self, group: &GroupName, party: Party<'_>) -> bool {
        let member = |pattern: &Pattern| !matches!(pattern, Pattern::Group(_)) && self.matches(pattern, party);
        self.groups.get(group).is_some_and(|patterns| patterns.iter().any(member))
    }

    fn matches(&self, pattern: &Pattern, party: Party<'_>) -> bool {
        match pattern {
            Pattern::Host(host) => party.host == Some(host),
            Pattern::Group(group) => self.is_member(group, party),
            // What another host says of its sessions is only its word: it is trusted by name, or not at all.
            _ if party.host.is_some() => false,
            Pattern::Any => true,
            Pattern::User(name) => party.user == name,
            Pattern::Root(path) => party.root == Some(path),
            Pattern::Project(name) => party.project.is_some_and(|project| project.base() == name.base()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_project_of_its_user() {
        let end = |project: &str, user: Option<&str>| End { project: project.into(), user: user.map(str::to_owned) };
        let pair = |ends| Pair { name: "api-web".parse().unwrap(), ends, kinds: BTreeSet::from([Kind::Message]) };
        let anybodys = pair([end("/srv/api", None), end("/srv/web", None)]);
        assert_eq!(anybodys.end_of("/srv/web".as_ref(), "carol"), Some(1));
        assert_eq!(anybodys.end_of("/srv/web/src".as_ref(), "carol"), None);
        assert!(!anybodys.joins_users());
        let theirs = pair([end("/srv/site", Some("alice")), end("/srv/site", Some("bob"))]);
        assert_eq!(theirs.end_of("/srv/site".as_ref(), "bob"), Some(1));
        assert_eq!(theirs.end_of("/srv/site".as_ref(), "carol"), None);
        assert!(theirs.joins_users());
    }

    fn party<'a>(uid: u32, user: &'a str, project: &'a ProjectName) -> Party<'a> {
        Party { session: None, uid, user, project: Some(project), root: None, host: None }
    }

    #[test]
    fn by_default_one_users_sessions_talk_and_nobody_evaluates() {
        let (policy, api) = (Policy::default(), "api".parse().unwrap());
        let (alice, bob) = (party(1000, "alice", &api), party(1001, "bob", &api));
        for kind in [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response] {
            assert!(policy.allows(alice, alice, kind));
            assert!(!policy.allows(alice, bob, kind));
        }
        assert!(!policy.allows(alice, alice, Kind::Eval));
        assert!(!policy.acquainted(alice, bob));
        let nobody = Policy { otherwise: Otherwise::Deny, ..Policy::default() };
        assert!(!nobody.acquainted(alice, alice));
    }

    #[test]
    fn a_rule_goes_one_way_and_only_for_its_kinds() {
        let (api, web): (ProjectName, ProjectName) = ("api".parse().unwrap(), "web~2f".parse().unwrap());
        let group: GroupName = "front".parse().unwrap();
        let rule = Rule {
            from: Pattern::Group(group.clone()),
            to: Pattern::User("bob".into()),
            kinds: BTreeSet::from([Kind::Message, Kind::Eval]),
        };
        let groups = BTreeMap::from([(group, vec![Pattern::Project("web".parse().unwrap())])]);
        let policy = Policy { rules: vec![rule], groups, ..Policy::default() };
        let (alice, bob) = (party(1000, "alice", &web), party(1001, "bob", &api));
        assert!(policy.allows(alice, bob, Kind::Message) && policy.allows(alice, bob, Kind::Eval));
        assert!(!policy.allows(alice, bob, Kind::Prompt));
        assert!(!policy.allows(bob, alice, Kind::Message));
        let remote = "build".parse().unwrap();
        let elsewhere = Party { host: Some(&remote), ..bob };
        assert!(!policy.allows(alice, elsewhere, Kind::Message), "a user of that name on another host is another user");
        let open = |to| Policy {
            rules: vec![Rule { from: Pattern::Any, to, kinds: BTreeSet::from([Kind::Message]) }],
            ..Policy::default()
        };
        assert!(!open(Pattern::Any).allows(elsewhere, alice, Kind::Message), "other hosts are meant by name alone");
        assert!(!open(Pattern::Project("api".parse().unwrap())).allows(alice, elsewhere, Kind::Message));
        assert!(open(Pattern::Host(remote.clone())).allows(alice, elsewhere, Kind::Message));
    }
}
