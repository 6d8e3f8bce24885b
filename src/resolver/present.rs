//! What of an answer one sandbox gets to see, and what has to be opened for it. Pure.

use super::answer::Answer;
use super::decision::{Asker, Scope, View};
use super::space::Verdict;
use crate::firewall::grants::{Grant, GrantKind};
use crate::policy::DomainName;
use crate::policy::ruleset::{ADDRESS_LIFETIME, TTL_MAX};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::HTTPS;
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::{RData, Record};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// An answer as one sandbox sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The code.
    pub code: ResponseCode,
    /// Answers, with the TTL that is left.
    pub records: Vec<Record>,
    /// The SOA of a negative answer.
    pub soa: Option<Record>,
    /// What must be open before this is sent.
    pub grants: Vec<Grant>,
    /// The addresses among the records.
    pub addresses: Vec<IpAddr>,
    /// Addresses that were left out because they lie in denied space.
    pub stripped: usize,
}

/// Filters `answer`, which is good for `left` seconds more, for one asker. If nothing of the
/// addresses is left, the name exists without any: "no such name" would be believed of its other
/// types, too.
pub fn present(view: &View, asker: Asker, scope: &Scope, answer: &Answer, left: u32, now: Instant) -> Presented {
    let mut presented = Presented {
        code: answer.code,
        records: answer.chain.clone(),
        soa: answer.soa.clone(),
        grants: vec![],
        addresses: vec![],
        stripped: 0,
    };
    for record in &answer.records {
        let kept = match &record.data {
            RData::A(address) => keep(&mut presented, view, asker, scope, address.0.into()).then(|| record.clone()),
            RData::AAAA(address) => keep(&mut presented, view, asker, scope, address.0.into()).then(|| record.clone()),
            RData::SVCB(service) => with_service(view, asker, record, service, now, RData::SVCB),
            RData::HTTPS(service) => with_service(view, asker, record, service, now, |svcb| RData::HTTPS(HTTPS(svcb))),
            _ => Some(record.clone()),
        };
        presented.records.extend(kept);
    }
    if presented.stripped > 0 && presented.addresses.is_empty() {
        presented.records.clear();
    }
    let ttl = if scope.grants_nothing() { left } else { left.min(seconds(TTL_MAX)) };
    presented.grants = grants(view, asker, scope, &presented.addresses, ttl, now);
    for record in presented.records.iter_mut().chain(&mut presented.soa) {
        record.ttl = ttl;
    }
    presented
}

impl Scope {
    fn grants_nothing(&self) -> bool {
        !self.reaches_private() && self.listed.is_empty()
    }
}

fn keep(presented: &mut Presented, view: &View, asker: Asker, scope: &Scope, address: IpAddr) -> bool {
    let kept = match view.space.verdict(address) {
        Verdict::Public => true,
        // What is open by its address may have a name as well: it is reached either way.
        Verdict::Private => scope.reaches_private() || view.excepted(asker).contains(address),
        Verdict::Never => false,
    };
    if kept {
        presented.addresses.push(address);
    } else {
        presented.stripped += 1;
    }
    kept
}

/// Addresses belong into answers that are about addresses, so hints are left out (RFC 9460, 7.3:
/// clients ask anyway). A record that leads to another name stays only if that one resolves: clients
/// would otherwise hold on to it instead of the name that they may use.
fn with_service(
    view: &View,
    asker: Asker,
    record: &Record,
    service: &SVCB,
    now: Instant,
    wrap: fn(SVCB) -> RData,
) -> Option<Record> {
    if !service.target_name.is_root() && !view.resolves(asker, &service.target_name, now) {
        return None;
    }
    let is_hint = |key: &SvcParamKey| matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint);
    let needs_hints = service
        .svc_params
        .iter()
        .any(|(_, value)| matches!(value, SvcParamValue::Mandatory(mandatory) if mandatory.0.iter().any(is_hint)));
    if needs_hints {
        return None;
    }
    let params = service.svc_params.iter().filter(|(key, _)| !is_hint(key)).cloned().collect();
    let mut record = record.clone();
    record.data = wrap(SVCB::new(service.svc_priority, service.target_name.clone(), params));
    Some(record)
}

fn grants(view: &View, asker: Asker, scope: &Scope, addresses: &[IpAddr], ttl: u32, now: Instant) -> Vec<Grant> {
    let Some(name) = &scope.name else { return vec![] };
    // As long as the answer may be used, and the same time again as a grace.
    let lifetime = (Duration::from_secs(ttl.into()) + GRACE).min(ADDRESS_LIFETIME);
    let grant = |kind, address: IpAddr, lifetime| {
        let name: DomainName = name.clone();
        Grant { profile: asker.profile, kind, name, address, lifetime }
    };
    let mut grants = Vec::new();
    for address in addresses.iter().copied() {
        grants.extend(scope.excepted.iter().map(|class| grant(GrantKind::Excepted(*class), address, lifetime)));
        if view.space.verdict(address) == Verdict::Public {
            grants.extend(scope.listed.iter().map(|class| grant(GrantKind::Listed(*class), address, lifetime)));
        }
        grants.extend(scope.leases.iter().map(|at| {
            let (lease, end) = &view.leases[*at];
            grant(GrantKind::Lease(lease.clone()), address, lifetime.min(end.saturating_duration_since(now)))
        }));
    }
    grants
}

/// How much longer an address is open than its answer is good for: programs connect late.
pub const GRACE: Duration = ADDRESS_LIFETIME.saturating_sub(TTL_MAX);

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
