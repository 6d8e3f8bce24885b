//! The addresses of a name, for programs of ours inside of a sandbox: libc's getaddrinfo(3) loads modules that a
//! static program in a foreign root must not.

use super::exchange::exchange;
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, RecordType};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// For both questions, over UDP and TCP; nobody waits longer for a name.
const PATIENCE: Duration = Duration::from_secs(5);
/// After which the question is asked again: datagrams are lost.
const AGAIN: Duration = Duration::from_secs(2);

/// Asks a resolver for the IPv4 and IPv6 addresses of a name, in its order, IPv4 first.
///
/// # Errors
/// If it does not answer within 5 s, or has no address.
pub async fn addresses(resolver: SocketAddr, host: &str) -> io::Result<Vec<IpAddr>> {
    let bad = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?} is no name of a host"));
    let mut name = Name::from_ascii(host).map_err(bad)?;
    name.set_fqdn(true);
    let both =
        async { futures_util::join!(ask(resolver, &name, RecordType::A), ask(resolver, &name, RecordType::AAAA)) };
    let (v4, v6) = tokio::time::timeout(PATIENCE, both).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("{resolver} does not tell the addresses of {host}"))
    })?;
    // One of the two questions may fail, where the other has what is needed.
    let found: Vec<IpAddr> = [&v4, &v6].into_iter().flatten().flatten().copied().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    v4.and(v6)?;
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{resolver} knows no address of {host}")))
}

async fn ask(resolver: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Vec<IpAddr>> {
    let query = Query::query(name.clone(), kind);
    let answer = loop {
        if let Ok(answer) = tokio::time::timeout(AGAIN, exchange(resolver, &query)).await {
            break answer.map_err(io::Error::other)?;
        }
    };
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::from(address.0)),
        RData::AAAA(address) => Some(IpAddr::from(address.0)),
        _ => None,
    };
    Ok(answer.records.iter().filter_map(|record| address(&record.data)).collect())
}
