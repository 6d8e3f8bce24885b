//! Writes what is sent back to a sandbox. Pure.

use super::decision::Denial;
use super::present::Presented;
use super::question::Question;
use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, HINFO};
use hickory_proto::rr::{RData, Record, RecordType};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What we take of a sandbox over UDP, and say so. One packet on an Ethernet (DNS flag day 2020).
pub(super) const UDP_SIZE: u16 = 1232;
/// Octets of an answer over TCP (RFC 1035, 4.2.2).
const TCP_SIZE: usize = 65_535;
/// Code of the option that explains a response code (RFC 8914, 2).
pub(super) const EXTENDED_ERROR: u16 = 15;
/// By which a launcher tells our answer from that of another server that listens at our address.
pub(super) const NAME: &[u8] = b"rcc";
/// For an answer that is ours: it may be given again.
const OWN_TTL: u32 = 3600;

/// Over what a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// Why an answer is as it is (RFC 8914, 4, and IANA's registry of extended DNS errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 15: all addresses lie in denied space.
    Blocked,
    /// 18: this asker gets no answer to this.
    Prohibited,
    /// 22: no upstream answers.
    NoReachableAuthority,
    /// 29: this resolver's own answer, with [`NAME`] as the text beside it.
    Synthesized,
}

/// Our own EDNS record.
pub(super) fn edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_SIZE).set_version(0);
    edns
}

/// "No such name". No SOA stands beside it, so that nobody inside keeps it: a lease may come.
pub fn denied(question: &Question, denial: Denial, carrier: Carrier) -> Vec<u8> {
    let reason = match denial {
        Denial::NotListed | Denial::Private => Some(Reason::Prohibited),
        Denial::Special | Denial::Malformed => None,
    };
    encode(message(question, ResponseCode::NXDomain, reason), question, carrier)
}

/// "Try later".
pub fn failed(question: &Question, carrier: Carrier) -> Vec<u8> {
    encode(message(question, ResponseCode::ServFail, Some(Reason::NoReachableAuthority)), question, carrier)
}

/// The sandbox's own loopback; no other type has records there.
pub fn loopback(question: &Question, carrier: Carrier) -> Vec<u8> {
    let data = match question.query.query_type {
        RecordType::A => Some(RData::A(A(Ipv4Addr::LOCALHOST))),
        RecordType::AAAA => Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))),
        _ => None,
    };
    let mut message = message(question, ResponseCode::NoError, Some(Reason::Synthesized));
    message.answers.extend(data.map(|data| Record::from_rdata(question.query.name.clone(), OWN_TTL, data)));
    encode(message, question, carrier)
}

/// The little that ANY gets (RFC 8482, 4.2).
pub fn minimal(question: &Question, carrier: Carrier) -> Vec<u8> {
    let mut message = message(question, ResponseCode::NoError, None);
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    message.answers.push(Record::from_rdata(question.query.name.clone(), OWN_TTL, data));
    encode(message, question, carrier)
}

/// An answer as it was filtered.
pub fn answered(question: &Question, presented: Presented, carrier: Carrier) -> Vec<u8> {
    let reason = match presented.code {
        ResponseCode::ServFail => Some(Reason::NoReachableAuthority),
        _ if presented.stripped > 0 && presented.addresses.is_empty() => Some(Reason::Blocked),
        _ => None,
    };
    let mut message = message(question, presented.code, reason);
    message.answers = presented.records;
    // As it was asked, to the letter: some compare the owner's case, too.
    for record in message.answers.iter_mut().filter(|record| record.name == question.query.name) {
        record.name = question.query.name.clone();
    }
    message.authorities.extend(presented.soa);
    encode(message, question, carrier)
}

fn message(question: &Question, code: ResponseCode, reason: Option<Reason>) -> Message {
    let mut message = Message::error_msg(question.id, OpCode::Query, code);
    message.metadata.recursion_desired = question.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_query(question.query.clone());
    if question.edns {
        let mut edns = edns();
        if let Some(reason) = reason {
            let text = if reason == Reason::Synthesized { NAME } else { &[] };
            let option = [&reason.code().to_be_bytes(), text].concat();
            edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, option));
        }
        message.set_edns(edns);
    }
    message
}

impl Reason {
    fn code(self) -> u16 {
        match self {
            Self::Blocked => 15,
            Self::Prohibited => 18,
            Self::NoReachableAuthority => 22,
            Self::Synthesized => 29,
        }
    }
}

/// What does not fit into a datagram is said to be cut (RFC 2181, 9), except for addresses: as many as fit
/// are as good as all, and older pasta (Debian 12) carries no DNS over TCP.
fn encode(mut message: Message, question: &Question, carrier: Carrier) -> Vec<u8> {
    let limit = match carrier {
        Carrier::Udp => usize::from(question.udp_size),
        Carrier::Tcp => TCP_SIZE,
    };
    let bytes = message.to_vec().unwrap_or_default();
    if !bytes.is_empty() && bytes.len() <= limit {
        return bytes;
    }
    if question.wants_addresses() {
        let is_address = |record: &Record| matches!(record.data, RData::A(_) | RData::AAAA(_));
        while message.answers.iter().filter(|record| is_address(record)).count() > 1 {
            message.answers.pop();
            match message.to_vec() {
                Ok(bytes) if bytes.len() <= limit => return bytes,
                _ => {}
            }
        }
    }
    message.truncate().to_vec().unwrap_or_default()
}
