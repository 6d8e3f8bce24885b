//! What time brings.

use super::super::commit::Outcome;
use super::super::event::Event;
use super::super::name::{Mailbox, SessionName};
use super::super::store::Debt;
use super::{Answer, Ask, Effect, Hub, Now, Pending};
use std::time::Duration;

/// Between two looks at what has expired and who has gone.
const SWEEP: Duration = Duration::from_secs(10);
/// A launcher has so long to lock the lease of its session.
const LEASE_GRACE: Duration = Duration::from_secs(30);
/// What the store has forgotten of a session that ended for some time, the hub may forget.
const FORGET: Duration = Duration::from_secs(2 * 24 * 3600);
/// The clock may be set at any time, so nothing is slept through for longer.
const SLEEP_MAX: Duration = Duration::from_secs(30);

impl Hub {
    /// Does what is due; how long nothing will be. `gone` tells whether a sandbox's launcher has ended.
    pub fn tick(&mut self, now: Now, gone: impl Fn(&SessionName) -> bool) -> Duration {
        self.fire(now);
        if now.ticks.saturating_sub(self.swept) >= SWEEP.as_millis() as u64 {
            self.swept = now.ticks;
            self.sweep(now, gone);
        }
        let due = self.first_due().map(|due| due.since(now.moment).max(Duration::from_millis(1)));
        let sweep = if self.is_idle() { SLEEP_MAX } else { SWEEP };
        due.map_or(sweep, |due| due.min(sweep))
    }

    /// Whether there is nobody and nothing that time could do something about.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.members.values().all(|member| member.closed || !member.is_agent())
    }

    fn sweep(&mut self, now: Now, gone: impl Fn(&SessionName) -> bool) {
        let limits = self.policy.limits;
        let ended = self.members.values().filter(|member| !member.closed).filter_map(|member| {
            let name = &member.session.name;
            let silent = member.connections.is_empty();
            if member.is_sandbox() {
                // A launcher that was just told of its lease may not have it yet. The host's clock may be set meanwhile.
                let age = Duration::from_millis(now.ticks.saturating_sub(member.begun));
                let new = age < LEASE_GRACE || self.opening.contains_key(name);
                let over = silent && !new && gone(name);
                return over.then(|| (name.clone(), "its sandbox has ended".to_owned()));
            }
            let over = silent && member.is_agent() && now.moment.since(member.heard) > limits.session_timeout;
            over.then(|| (name.clone(), "it was not heard of for relay.session_timeout".to_owned()))
        });
        for (session, why) in ended.collect::<Vec<_>>() {
            self.end_session(session, why, None);
        }
        self.try_again();
        self.show_absent(now);
        let kept = self.policy.audit_retention.max(limits.session_timeout) + FORGET;
        self.members.retain(|_, member| {
            // Where the clock went back, nobody was heard of in the future.
            member.heard = member.heard.min(now.moment);
            !member.closed || !member.connections.is_empty() || now.moment.since(member.heard) < kept
        });
        if !self.waiting.is_empty() {
            self.ask(Ask::Expired(now.moment), Pending::Expiring);
        }
    }

    /// What failed may go well now.
    fn try_again(&mut self) {
        let unheard = std::mem::take(&mut self.unheard).into_iter();
        let open = unheard.filter(|name| self.members.get(name).is_some_and(|member| !member.closed));
        let effects: Vec<Effect> = open.map(Effect::Listen).collect();
        self.effects.extend(effects);
        for (session, why, head) in std::mem::take(&mut self.ending) {
            let mailbox = Mailbox::Session(session.clone());
            self.ask(Ask::Whole(mailbox), Pending::Closing { session, why, head });
        }
    }

    /// Who was not heard of for a while is away from now on, which nothing else tells a status line.
    fn show_absent(&mut self, now: Now) {
        let expiry = self.policy.limits.heartbeat_expiry;
        let lately = expiry..expiry + SWEEP * 2;
        let silent = self.members.values().filter(|member| !member.closed && member.connections.is_empty());
        let absent = silent.filter(|member| member.is_agent() && lately.contains(&now.moment.since(member.heard)));
        let effects: Vec<Effect> = absent.map(|member| Effect::Show(member.session.name.clone())).collect();
        self.effects.extend(effects);
    }

    pub(super) fn expiring(&mut self, answer: Answer) {
        let debts = match answer {
            // What is being read is not dropped as well: it would be counted twice.
            Answer::Expired(debts) => debts.into_iter().filter(|(debt, mailbox)| self.begin_ack(mailbox, &debt.id)),
            Answer::Failed(refusal) => return tracing::error!("cannot look for expired messages: {refusal}"),
            _ => return,
        };
        let debts: Vec<(Debt, Mailbox)> = debts.collect();
        if debts.is_empty() {
            return;
        }
        let mut ids: Vec<_> = debts.iter().map(|(debt, _)| debt.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        self.commit(vec![Event::Expired { ids }], Pending::Dropped { debts });
    }

    pub(super) fn dropped(&mut self, debts: &[(Debt, Mailbox)], outcome: &Outcome) {
        for (debt, mailbox) in debts {
            self.acking.remove(&(mailbox.clone(), debt.id.clone()));
        }
        if let Outcome::Refused(refusal) = outcome {
            return tracing::error!("expired messages stay for now: {refusal}");
        }
        for (debt, mailbox) in debts {
            self.release(debt.own_sender(), mailbox, debt.bytes);
        }
    }
}
