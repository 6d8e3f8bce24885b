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

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Message, MessageType, ResponseCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, AAAA};
    use std::net::{Ipv4Addr, Ipv6Addr};
    use tokio::net::UdpSocket;

    /// A resolver that has an IPv4 address for `four.example` and `both.example`, and an IPv6 address for `six.example`
    /// and `both.example`. It loses the first question.
    async fn resolver() -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            socket.recv_from(&mut buffer).await.unwrap();
            loop {
                let (length, asker) = socket.recv_from(&mut buffer).await.unwrap();
                let mut message = Message::from_vec(&buffer[..length]).unwrap();
                let query = message.queries[0].clone();
                let name = query.name.to_ascii();
                let data = match query.query_type {
                    RecordType::A => RData::A(A(Ipv4Addr::new(192, 0, 2, 1))),
                    _ => RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)),
                };
                let wanted: &[&str] = match query.query_type {
                    RecordType::A => &["four.example.", "both.example."],
                    _ => &["six.example.", "both.example."],
                };
                message.metadata.message_type = MessageType::Response;
                message.edns = None;
                if wanted.contains(&name.as_str()) {
                    message.add_answer(Record::from_rdata(query.name, 60, data));
                } else if name == "none.example." {
                    message.metadata.response_code = ResponseCode::NXDomain;
                } else {
                    message.metadata.response_code = ResponseCode::ServFail;
                }
                socket.send_to(&message.to_vec().unwrap(), asker).await.unwrap();
            }
        });
        address
    }

    #[test]
    fn a_name_has_the_addresses_of_both_families() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let resolver = resolver().await;
            let (v4, v6) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from(Ipv6Addr::LOCALHOST));
            assert_eq!(addresses(resolver, "both.example").await.unwrap(), [v4, v6]);
            assert_eq!(addresses(resolver, "four.example").await.unwrap(), [v4], "though the other question fails");
            assert_eq!(addresses(resolver, "six.example").await.unwrap(), [v6]);
            let missing = addresses(resolver, "none.example").await.unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            addresses(resolver, "broken.example").await.unwrap_err();
            assert_eq!(addresses(resolver, "a..b").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        });
    }
}
