//! Names that the host itself knows, hosts(5). They are private: only for a name that root has
//! excepted or leased are they looked at.

use super::answer::Answer;
use crate::policy::DomainName;
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How long such an answer is good for, in seconds.
const TTL: u32 = 60;

/// Addresses by name.
pub type Hosts = BTreeMap<DomainName, Vec<IpAddr>>;

/// Reads the file. Lines that are none are left out, as the C library does.
pub fn parse(text: &str) -> Hosts {
    let mut hosts = Hosts::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words.filter_map(|word| DomainName::new(word).ok()) {
            let addresses = hosts.entry(name).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

/// The answer to a question about such a name: its addresses, and of no other type any record.
pub fn answer(addresses: &[IpAddr], query: &Query) -> Answer {
    let data = |address: &IpAddr| match (address, query.query_type) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
        _ => None,
    };
    let records = addresses.iter().filter_map(data).map(|data| Record::from_rdata(query.name.clone(), TTL, data));
    Answer { code: ResponseCode::NoError, chain: vec![], records: records.collect(), soa: None, ttl: TTL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_the_c_library_reads_them() {
        let hosts = parse(
            "# comment\n127.0.0.1 localhost\n10.1.2.8\tGit.corp.lan git # ours\n fd00::8 git.corp.lan\n\
             10.1.2.9 git.corp.lan git.corp.lan\nnonsense git.corp.lan\n10.1.2.10\n10.1.2.11 a\0b -x- ok.lan\n",
        );
        let of =
            |name: &str| hosts[&DomainName::new(name).unwrap()].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("git.corp.lan"), ["10.1.2.8", "fd00::8", "10.1.2.9"]);
        assert_eq!(of("git"), ["10.1.2.8"]);
        assert_eq!(of("ok.lan"), ["10.1.2.11"]);
        assert_eq!(hosts.len(), 4);
    }
}
