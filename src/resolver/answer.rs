//! What is kept of an upstream's answer: the chain from the name that was asked to the records
//! that were asked for, and nothing else. It belongs to no profile yet.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, HTTPS};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use std::collections::HashSet;
use std::time::Duration;

/// Addresses that are kept of one answer: each is opened in the kernel, and nobody tries more.
pub const ADDRESSES_MAX: usize = 32;
/// Other records that are kept of one answer.
const RECORDS_MAX: usize = 512;
/// Aliases that are followed; BIND and Unbound stop at 11 to 16.
const ALIASES_MAX: usize = 16;
/// Shortest life: an answer with TTL 0 is good for whoever asked while it was on its way.
const TTL_MIN: u32 = 1;
/// Longest life, also of a TTL with the highest bit set (RFC 8767, 4).
const TTL_MAX: u32 = 24 * 60 * 60;
/// Longest life of "there is no such name" (RFC 2308, 5 allows hours; names come into being).
const NEGATIVE_TTL_MAX: u32 = 300;
/// Life of a negative answer that does not say how long it is good for.
const NEGATIVE_TTL: u32 = 5;
/// Life of a failure (RFC 9520, 3.2: at least 1 second).
const FAILURE_TTL: u32 = 1;

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NoError`, `NXDomain` or `ServFail`.
    pub code: ResponseCode,
    /// CNAMEs in order, the first owned by the name that was asked.
    pub chain: Vec<Record>,
    /// The records of the type that was asked for, at the end of the chain.
    pub records: Vec<Record>,
    /// Says how long a negative answer is good for.
    pub soa: Option<Record>,
    /// How long all of it is good for, in seconds; [`TTL_MIN`] to [`TTL_MAX`].
    pub ttl: u32,
}

/// The answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// The upstream could not or would not answer.
    #[error("the upstream answered {0}")]
    Code(ResponseCode),
    /// Aliases in a circle, or too many of them.
    #[error("the aliases do not end")]
    Aliases,
}

impl Answer {
    /// What everybody gets when nobody answers.
    pub fn failure() -> Self {
        Self { code: ResponseCode::ServFail, chain: vec![], records: vec![], soa: None, ttl: FAILURE_TTL }
    }

    /// Picks from a message, whose question was compared with `query` before, what answers it.
    pub fn from_message(message: Message, query: &Query) -> Result<Self, BadAnswer> {
        let code = message.metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(BadAnswer::Code(code));
        }
        let mut answers = message.answers;
        answers.retain(|record| record.dns_class == DNSClass::IN);
        let (chain, end) = chain(&answers, query)?;
        let is_address = matches!(query.query_type, RecordType::A | RecordType::AAAA);
        let mut seen = HashSet::new();
        let mut records: Vec<Record> = answers
            .into_iter()
            .filter(|record| record.name == end && record.record_type() == query.query_type)
            .filter(|record| seen.insert(record.data.clone()))
            .take(if is_address { ADDRESSES_MAX } else { RECORDS_MAX })
            .collect();
        if code == ResponseCode::NXDomain {
            records.clear();
        }
        let negative = records.is_empty();
        let authority = |record: &Record| {
            let RData::SOA(soa) = &record.data else { return None };
            let above = record.name.zone_of(&end) || record.name.zone_of(&query.name);
            (above && record.dns_class == DNSClass::IN).then(|| record.ttl.min(soa.minimum))
        };
        let soa = message.authorities.into_iter().filter(|_| negative);
        let soa = soa.into_iter().find_map(|record| authority(&record).map(|ttl| (record, ttl)));
        let own = chain.iter().chain(&records).map(|record| record.ttl).min();
        let until = match (&soa, negative) {
            (Some((_, ttl)), _) => own.unwrap_or(*ttl).min(*ttl).min(NEGATIVE_TTL_MAX),
            (None, true) => own.unwrap_or(NEGATIVE_TTL).min(NEGATIVE_TTL),
            (None, false) => own.unwrap_or(TTL_MIN),
        };
        let soa = soa.map(|(record, _)| record);
        Ok(Self { code, chain, records, soa, ttl: until.clamp(TTL_MIN, TTL_MAX) })
    }

    /// About how many octets this takes in memory.
    pub fn size(&self) -> usize {
        let records = self.chain.iter().chain(&self.records).chain(&self.soa);
        size_of::<Self>() + records.map(|record| size_of::<Record>() + heap(record)).sum::<usize>()
    }

    /// How long it is good for.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.ttl.into())
    }
}

/// The aliases that start at the name, and where they end.
fn chain(answers: &[Record], query: &Query) -> Result<(Vec<Record>, Name), BadAnswer> {
    let (mut chain, mut end) = (Vec::new(), query.name.clone());
    if query.query_type == RecordType::CNAME {
        return Ok((chain, end));
    }
    loop {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == end => Some((record, &target.0)),
            _ => None,
        });
        let Some((record, target)) = alias else { return Ok((chain, end)) };
        if chain.len() == ALIASES_MAX || *target == query.name || chain.iter().any(|other| other.name == *target) {
            return Err(BadAnswer::Aliases);
        }
        end = target.clone();
        chain.push(record.clone());
    }
}

/// What a record holds outside of itself, at least about. Whoever answers chooses what these are, so nothing
/// that may be large counts as small.
fn heap(record: &Record) -> usize {
    let data = match &record.data {
        RData::A(_) | RData::AAAA(_) => 0,
        RData::TXT(text) => text.txt_data.iter().map(|part| allocated(part.len())).sum(),
        RData::Unknown { rdata, .. } => rdata.anything.len(),
        RData::CNAME(name) => name.0.len(),
        RData::SVCB(service) | RData::HTTPS(HTTPS(service)) => parameters(service),
        // A bit of the wire becomes an entry of a tree.
        RData::CSYNC(types) => octets(&record.data) + types.type_bit_maps.iter().count() * 16,
        _ => 512 + octets(&record.data),
    };
    data + record.name.len()
}

/// Strings by their addresses, and the least that an allocator gives.
fn allocated(length: usize) -> usize {
    size_of::<String>() + length.max(16)
}

/// As they are sent.
fn octets(data: &RData) -> usize {
    data.to_bytes().map_or(usize::from(u16::MAX), |bytes| bytes.len())
}

fn parameters(service: &SVCB) -> usize {
    let value = |value: &SvcParamValue| match value {
        SvcParamValue::Alpn(protocols) => protocols.0.iter().map(|protocol| allocated(protocol.len())).sum(),
        SvcParamValue::Mandatory(keys) => keys.0.len() * size_of::<SvcParamKey>(),
        SvcParamValue::Ipv4Hint(hints) => hints.0.len() * size_of::<A>(),
        SvcParamValue::Ipv6Hint(hints) => hints.0.len() * size_of::<AAAA>(),
        SvcParamValue::EchConfigList(list) => list.0.len(),
        SvcParamValue::Unknown(bytes) => bytes.0.len(),
        SvcParamValue::Port(_) | SvcParamValue::NoDefaultAlpn => 0,
    };
    let each = |(_, of): &(SvcParamKey, SvcParamValue)| size_of::<(SvcParamKey, SvcParamValue)>() + value(of);
    service.target_name.len() + service.svc_params.iter().map(each).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::svcb::{Alpn, EchConfigList};
    use hickory_proto::rr::rdata::{NULL, OPENPGPKEY, TXT};

    fn size(data: RData) -> usize {
        let records = vec![Record::from_rdata(Name::root(), 60, data)];
        Answer { records, ..Answer::failure() }.size()
    }

    #[test]
    fn no_record_takes_much_more_than_it_is_counted_for() {
        let service = |param| RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), vec![param])));
        let list = EchConfigList(vec![0; 60_000]);
        for (data, least) in [
            (RData::NULL(NULL::with(vec![0; 60_000])), 60_000),
            (RData::OPENPGPKEY(OPENPGPKEY::new(vec![0; 60_000])), 60_000),
            (service((SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(list))), 60_000),
            // A string and its allocation for every two octets.
            (service((SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["a".to_owned(); 30_000])))), 30_000 * 40),
            (RData::TXT(TXT::new(vec!["a".to_owned(); 30_000])), 30_000 * 32),
        ] {
            let counted = size(data.clone());
            assert!(counted >= least, "{} is counted as {counted}", data.record_type());
        }
    }
}
