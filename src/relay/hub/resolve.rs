//! From an address to mailboxes.

use super::super::name::{Address, HostName, Mailbox, ProjectName, Recipient, SessionName};
use super::super::policy::Party;
use super::super::wire::{Kind, Reason, Refusal};
use super::send::unknown;
use super::{Hub, Member};

/// No user has it (`(uid_t) -1`, setresuid(2)): that of sessions on other hosts.
pub(super) const NO_UID: u32 = u32::MAX;
/// Candidates that a message about an ambiguous name lists.
const CANDIDATES_MAX: usize = 10;

/// On whose behalf recipients are looked for.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// As the policy sees it.
    pub party: Party<'a>,
    /// As refusals call it. That of another host's session has an `@`, which no name of a session has.
    pub name: &'a str,
}

impl<'a> Origin<'a> {
    fn of(member: &'a Member) -> Self {
        Self { party: member.party(), name: member.session.name.as_str() }
    }

    /// Of another host.
    pub(super) fn remote(
        session: &'a SessionName,
        project: Option<&'a ProjectName>,
        host: &'a HostName,
        name: &'a str,
    ) -> Self {
        let party = Party { session: Some(session), uid: NO_UID, user: "", project, root: None, host: Some(host) };
        Self { party, name }
    }

    fn is(&self, member: &Member) -> bool {
        member.session.name.as_str() == self.name
    }
}

impl Hub {
    /// Where a message to this address waits. Who must not know of a session hears the same as if there were none.
    pub(super) fn recipients(&self, from: &SessionName, to: &Address, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let sender = Origin::of(self.members.get(from).ok_or_else(|| unknown(from))?);
        match &to.host {
            Some(host) => self.on_host(sender, host, to, kind),
            None => self.resolve(sender, &to.to, kind),
        }
    }

    /// The same on this host.
    pub(super) fn resolve(&self, sender: Origin<'_>, to: &Recipient, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        match to {
            Recipient::Session(name) => self.one(sender, name, kind).map(|mailbox| vec![mailbox]),
            Recipient::Project(name) => self.project(sender, name, kind),
            Recipient::Group(name) => {
                let member = |member: &&Member| self.policy.is_member(name, member.party());
                let mailboxes = self.present().filter(member).filter(|member| !sender.is(member));
                let mailboxes = mailboxes.filter(|member| self.policy.allows(sender.party, member.party(), kind));
                let mailboxes: Vec<Mailbox> = mailboxes.map(Member::mailbox).collect();
                let nobody =
                    || nobody(format!("nobody of the group {name} is there whom {} may send that to", sender.name));
                if mailboxes.is_empty() { Err(nobody()) } else { Ok(mailboxes) }
            }
            Recipient::User => self.user(sender, kind),
        }
    }

    fn user(&self, sender: Origin<'_>, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let uid = match sender.party.host {
            None => sender.party.uid,
            Some(_) if !self.own.system => self.own.uid,
            Some(_) => {
                return Err(nobody("`user` is nobody in particular here: session:user.UID is one of the users".into()));
            }
        };
        let user = self.login(uid);
        let user = if sender.party.host.is_none() { sender.party.user } else { &user };
        let person = Party { session: None, uid, user, project: None, root: None, host: None };
        if self.policy.allows(sender.party, person, kind) {
            Ok(vec![Mailbox::User(uid)])
        } else {
            Err(not_allowed(sender.name, "the user", kind))
        }
    }

    /// The login name, as far as it came up.
    pub(super) fn login(&self, uid: u32) -> String {
        let known = self.members.values().find(|member| member.session.uid == uid && !member.is_bridge());
        known.map_or_else(|| uid.to_string(), |member| member.session.user.clone())
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| !member.closed && member.is_agent())
    }

    /// The session of that name, or the only one whose name starts so.
    fn one(&self, sender: Origin<'_>, name: &SessionName, kind: Kind) -> Result<Mailbox, Refusal> {
        let known = |member: &&Member| !member.is_bridge() && self.policy.acquainted(sender.party, member.party());
        let exact = self.members.get(name).filter(known);
        let found = match exact {
            Some(exact) => exact,
            None => {
                let starts = |(other, _): &(&SessionName, &Member)| other.as_str().starts_with(name.as_str());
                let open = |member: &&Member| !member.closed && member.is_agent();
                let found = self.members.range(name..).take_while(starts).map(|(_, member)| member);
                let found: Vec<&Member> = found.filter(open).filter(known).take(CANDIDATES_MAX).collect();
                match found[..] {
                    [one] => one,
                    [] => {
                        return Err(nobody(format!("there is no session {name} that {} may send to", sender.name)));
                    }
                    _ => return Err(ambiguous(name.as_str(), found.iter().map(|member| member.session.name.as_str()))),
                }
            }
        };
        if found.closed {
            let next = found
                .session
                .project
                .as_ref()
                .map(|project| format!(": project:{project} reaches whoever works there next"));
            return Err(nobody(format!("{name} has ended{}", next.unwrap_or_default())));
        }
        if self.policy.allows(sender.party, found.party(), kind) {
            Ok(found.mailbox())
        } else {
            Err(not_allowed(sender.name, name.as_str(), kind))
        }
    }

    /// The project's sessions, or, where none is there, whoever of the same user's works there next.
    fn project(&self, sender: Origin<'_>, name: &ProjectName, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let whole =
            |member: &Member| member.session.project.as_ref() == Some(name) && member.session.uid == sender.party.uid;
        // Whose whole name it is comes first, so that nobody else's project of that name is in the way.
        let only_whole = self.present().any(whole);
        let of = |member: &&Member| {
            let called = member.session.project.as_ref().is_some_and(|project| is_called(project, name));
            if only_whole { whole(member) } else { called }
        };
        let own = |member: &&Member| !sender.is(member);
        let allowed = |member: &&Member| self.policy.allows(sender.party, member.party(), kind);
        let there: Vec<&Member> = self.present().filter(of).filter(own).filter(allowed).collect();
        let mut projects: Vec<(u32, &ProjectName)> =
            there.iter().filter_map(|member| Some((member.session.uid, member.session.project.as_ref()?))).collect();
        projects.sort();
        projects.dedup();
        if projects.len() > 1 {
            return Err(ambiguous(name.as_str(), projects.iter().map(|(_, project)| project.as_str())));
        }
        if !there.is_empty() {
            return Ok(there.into_iter().map(Member::mailbox).collect());
        }
        self.absent(sender, name, kind).map(|mailbox| vec![mailbox])
    }

    /// Where messages wait for a project of which no session is there: the sender's user's, and for another host
    /// that of whoever worked there.
    fn absent(&self, sender: Origin<'_>, name: &ProjectName, kind: Kind) -> Result<Mailbox, Refusal> {
        let login = self.login(self.own.uid);
        let mut found: Vec<Party<'_>> = Vec::new();
        if sender.party.host.is_none() {
            found.push(Party { session: None, project: Some(name), root: None, ..sender.party });
        } else {
            for member in self.members.values() {
                let of = member.session.project.as_ref().is_some_and(|project| is_called(project, name));
                let known = found
                    .iter()
                    .any(|party| party.uid == member.session.uid && party.project == member.session.project.as_ref());
                if of && !known {
                    found.push(Party { session: None, ..member.party() });
                }
            }
            if found.is_empty() && !self.own.system {
                let (uid, user) = (self.own.uid, login.as_str());
                found.push(Party { session: None, uid, user, project: Some(name), root: None, host: None });
            }
        }
        found.retain(|absent| self.policy.allows(sender.party, *absent, kind));
        match found[..] {
            [Party { uid, project: Some(project), .. }] => Ok(Mailbox::Project(uid, project.clone())),
            [] | [_] => Err(nobody(format!("nobody works on {name} whom {} may send that to", sender.name))),
            _ => {
                let projects = found.iter().filter_map(|party| party.project);
                Err(ambiguous(name.as_str(), projects.map(ProjectName::as_str)))
            }
        }
    }

    fn on_host(&self, sender: Origin<'_>, host: &HostName, to: &Address, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let Some(cluster) = &self.policy.cluster else {
            return Err(nobody(format!(
                "this relay knows no other hosts, so none by the name {host}: see relay.cluster"
            )));
        };
        if cluster.host == *host {
            return self.resolve(sender, &to.to, kind);
        }
        let project = match &to.to {
            Recipient::Project(project) => Some(project),
            _ => None,
        };
        let session = match &to.to {
            Recipient::Session(session) => Some(session),
            _ => None,
        };
        let party = Party { session, uid: NO_UID, user: "", project, root: None, host: Some(host) };
        if self.policy.allows(sender.party, party, kind) {
            Ok(vec![Mailbox::Cluster])
        } else {
            Err(not_allowed(sender.name, &to.to_string(), kind))
        }
    }
}

/// Whether a project is meant by this name: its own, or what is before the `~` of its own.
fn is_called(project: &ProjectName, name: &ProjectName) -> bool {
    let base = project.as_str().split_once('~').map_or(project.as_str(), |(base, _)| base);
    project == name || base == name.as_str()
}

fn nobody(why: String) -> Refusal {
    Refusal::new(Reason::NoRecipient, why)
}

fn ambiguous<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Refusal {
    let candidates: Vec<&str> = candidates.collect();
    Refusal::new(Reason::Ambiguous, format!("{name} is one of several: {}", candidates.join(", ")))
}

fn not_allowed(from: &str, to: &str, kind: Kind) -> Refusal {
    let kind = format!("{kind:?}").to_lowercase();
    Refusal::new(
        Reason::NotAllowed,
        format!("{from} may not send {to} the kind `{kind}`: a rule in [[relay.allow]] grants it"),
    )
}
