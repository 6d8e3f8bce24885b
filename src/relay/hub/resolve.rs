//! From an address to mailboxes.

use super::super::name::{Address, HostName, Mailbox, ProjectName, Recipient, SessionName};
use super::super::policy::Party;
use super::super::wire::{Kind, Reason, Refusal};
use super::send::unknown;
use super::{Hub, Member};

/// No user has it (`(uid_t) -1`, setresuid(2)): that of sessions on other hosts.
const NO_UID: u32 = u32::MAX;
/// Candidates that a message about an ambiguous name lists.
const CANDIDATES_MAX: usize = 10;

impl Hub {
    /// Where a message to this address waits. Who must not know of a session hears the same as if there were none.
    pub(super) fn recipients(&self, from: &SessionName, to: &Address, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let sender = self.members.get(from).ok_or_else(|| unknown(from))?;
        if let Some(host) = &to.host {
            return self.on_host(sender, host, to, kind);
        }
        match &to.to {
            Recipient::Session(name) => self.one(sender, name, kind).map(|mailbox| vec![mailbox]),
            Recipient::Project(name) => self.project(sender, name, kind),
            Recipient::Group(name) => {
                let member = |member: &&Member| self.policy.is_member(name, member.party());
                let mailboxes = self.present().filter(member).filter(|member| member.session.name != *from);
                let mailboxes = mailboxes.filter(|member| self.policy.allows(sender.party(), member.party(), kind));
                let mailboxes: Vec<Mailbox> = mailboxes.map(Member::mailbox).collect();
                let nobody = || nobody(format!("nobody of the group {name} is there whom {from} may send that to"));
                if mailboxes.is_empty() { Err(nobody()) } else { Ok(mailboxes) }
            }
            Recipient::User => {
                let uid = sender.session.uid;
                let person =
                    Party { session: None, uid, user: &sender.session.user, project: None, root: None, host: None };
                if self.policy.allows(sender.party(), person, kind) {
                    Ok(vec![Mailbox::User(uid)])
                } else {
                    Err(not_allowed(from, "the user", kind))
                }
            }
        }
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| !member.closed && !member.is_person())
    }

    /// The session of that name, or the only one whose name starts so.
    fn one(&self, sender: &Member, name: &SessionName, kind: Kind) -> Result<Mailbox, Refusal> {
        let known = |member: &&Member| self.policy.acquainted(sender.party(), member.party());
        let exact = self.members.get(name).filter(known);
        let found = match exact {
            Some(exact) => exact,
            None => {
                let starts = |(other, _): &(&SessionName, &Member)| other.as_str().starts_with(name.as_str());
                let open = |member: &&Member| !member.closed && !member.is_person();
                let found = self.members.range(name..).take_while(starts).map(|(_, member)| member);
                let found: Vec<&Member> = found.filter(open).filter(known).take(CANDIDATES_MAX).collect();
                match found[..] {
                    [one] => one,
                    [] => {
                        return Err(nobody(format!(
                            "there is no session {name} that {} may send to",
                            sender.session.name
                        )));
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
        if self.policy.allows(sender.party(), found.party(), kind) {
            Ok(found.mailbox())
        } else {
            Err(not_allowed(&sender.session.name, name.as_str(), kind))
        }
    }

    /// The project's sessions, or, where none is there, whoever of the same user's works there next.
    fn project(&self, sender: &Member, name: &ProjectName, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        let of = |member: &&Member| {
            member.session.project.as_ref().is_some_and(|project| {
                let base = project.as_str().split_once('~').map_or(project.as_str(), |(base, _)| base);
                project == name || base == name.as_str()
            })
        };
        let own = |member: &&Member| member.session.name != sender.session.name;
        let allowed = |member: &&Member| self.policy.allows(sender.party(), member.party(), kind);
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
        let (uid, user) = (sender.session.uid, sender.session.user.as_str());
        let absent = Party { session: None, uid, user, project: Some(name), root: None, host: None };
        if self.policy.allows(sender.party(), absent, kind) {
            Ok(vec![Mailbox::Project(uid, name.clone())])
        } else {
            Err(nobody(format!("nobody works on {name} whom {} may send that to", sender.session.name)))
        }
    }

    fn on_host(&self, sender: &Member, host: &HostName, to: &Address, kind: Kind) -> Result<Vec<Mailbox>, Refusal> {
        if self.policy.cluster.is_none() {
            return Err(nobody(format!(
                "this relay knows no other hosts, so none by the name {host}: see relay.cluster"
            )));
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
        if self.policy.allows(sender.party(), party, kind) {
            Ok(vec![Mailbox::Host(host.clone())])
        } else {
            Err(not_allowed(&sender.session.name, &to.to_string(), kind))
        }
    }
}

fn nobody(why: String) -> Refusal {
    Refusal::new(Reason::NoRecipient, why)
}

fn ambiguous<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Refusal {
    let candidates: Vec<&str> = candidates.collect();
    Refusal::new(Reason::Ambiguous, format!("{name} is one of several: {}", candidates.join(", ")))
}

fn not_allowed(from: &SessionName, to: &str, kind: Kind) -> Refusal {
    let kind = format!("{kind:?}").to_lowercase();
    Refusal::new(
        Reason::NotAllowed,
        format!("{from} may not send {to} the kind `{kind}`: a rule in [[relay.allow]] grants it"),
    )
}
