//! Reads what a sandbox sends: a question, or something that gets a short answer or none.

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

/// Octets of a header (RFC 1035, 4.1.1).
pub const HEADER: usize = 12;
/// Longest query that is read: what our own EDNS record says. A question has at most 271 octets, the rest
/// is for options.
pub const QUERY_MAX: usize = super::reply::UDP_SIZE as usize;
/// Size of an answer over UDP for who says nothing else (RFC 1035, 4.2.1).
const UDP_SIZE: u16 = 512;
/// Highest size of an answer over UDP. The way leads over loopback and pasta's tap, nowhere else.
const UDP_SIZE_MAX: u16 = 4096;

/// A question that may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of the message.
    pub id: u16,
    /// Whether recursion is desired; given back.
    pub recursion_desired: bool,
    /// One name, type and class IN.
    pub query: Query,
    /// Whether the asker speaks EDNS (RFC 6891).
    pub edns: bool,
    /// Octets that an answer over UDP may have.
    pub udp_size: u16,
}

/// Why there is no [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    /// Not a query at all: nothing is sent back.
    Noise,
    /// These octets are sent back: never more than the query had, but for the EDNS version.
    Reply(Vec<u8>),
}

/// Reads one message.
pub fn read(bytes: &[u8]) -> Result<Question, Unanswerable> {
    let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Unanswerable::Noise)?;
    let is_response = header[2] & 0x80 != 0;
    if is_response {
        return Err(Unanswerable::Noise);
    }
    let refuse = |code: ResponseCode| Unanswerable::Reply(bare(header, code).to_vec());
    if header[2] & 0x78 != 0 {
        return Err(refuse(ResponseCode::NotImp));
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    // One question, no records but what EDNS and TSIG add: checked before anything is allocated.
    if (count(4), count(6), count(8)) != (1, 0, 0) || count(10) > 2 || bytes.len() > QUERY_MAX {
        return Err(refuse(ResponseCode::FormErr));
    }
    let message = Message::from_vec(bytes).map_err(|_| refuse(ResponseCode::FormErr))?;
    let edns = message.edns.as_ref();
    if edns.is_some_and(|edns| edns.version() != 0) {
        return Err(Unanswerable::Reply(bad_version(&message)));
    }
    let query = message.queries.into_iter().next().ok_or_else(|| refuse(ResponseCode::FormErr))?;
    if query.query_class != DNSClass::IN {
        return Err(refuse(ResponseCode::Refused));
    }
    // 128 to 255 but ANY are about the transport or about whole zones (RFC 6895, 3.1).
    match u16::from(query.query_type) {
        0 => return Err(refuse(ResponseCode::FormErr)),
        41 | 128..=254 => return Err(refuse(ResponseCode::NotImp)),
        _ => {}
    }
    let udp_size = edns.map_or(UDP_SIZE, |edns| edns.max_payload().clamp(UDP_SIZE, UDP_SIZE_MAX));
    Ok(Question {
        id: message.metadata.id,
        recursion_desired: message.metadata.recursion_desired,
        query,
        edns: edns.is_some(),
        udp_size,
    })
}

impl Question {
    /// Whether it asks for addresses.
    pub fn wants_addresses(&self) -> bool {
        matches!(self.query.query_type, RecordType::A | RecordType::AAAA)
    }
}

/// A header alone.
fn bare(header: &[u8; HEADER], code: ResponseCode) -> [u8; HEADER] {
    let mut reply = [0; HEADER];
    reply[..2].copy_from_slice(&header[..2]);
    // QR, the opcode and RD as they came; RA and the code.
    reply[2] = 0x80 | (header[2] & 0x79);
    reply[3] = 0x80 | code.low();
    reply
}

/// RFC 6891, 6.1.3.
fn bad_version(query: &Message) -> Vec<u8> {
    let mut reply = Message::error_msg(query.metadata.id, OpCode::Query, ResponseCode::BADVERS);
    reply.metadata.recursion_available = true;
    reply.set_edns(super::reply::edns());
    reply.to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Edns;
    use hickory_proto::rr::Name;

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn code(bytes: &[u8]) -> Option<u8> {
        match read(bytes) {
            Err(Unanswerable::Reply(reply)) => {
                assert!(reply[2] & 0x80 != 0 && reply[..2] == bytes[..2]);
                Some(reply[3] & 0x0f)
            }
            Err(Unanswerable::Noise) => None,
            Ok(question) => panic!("{question:?}"),
        }
    }

    #[test]
    fn an_ordinary_question_is_read() {
        let mut message = query("Example.com.", RecordType::AAAA);
        let question = read(&message.to_vec().unwrap()).unwrap();
        assert_eq!((question.id, question.edns, question.udp_size), (message.metadata.id, false, 512));
        for (asked, given) in [(0, 512), (1232, 1232), (65535, 4096)] {
            let mut edns = Edns::new();
            edns.set_max_payload(asked);
            message.edns = Some(edns);
            assert_eq!(read(&message.to_vec().unwrap()).unwrap().udp_size, given);
        }
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        let mut answer = query("a.example.", RecordType::A).to_vec().unwrap();
        answer[2] |= 0x80;
        for noise in [&[][..], &[0; 11], &answer] {
            assert_eq!(code(noise), None);
        }
    }

    #[test]
    fn what_is_no_question_is_answered_by_a_header() {
        let good = query("a.example.", RecordType::A).to_vec().unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (bytes, expected, why) in [
            (with(2, 0x28), 4, "opcode update"),
            (with(2, 0x20), 4, "opcode notify"),
            (with(5, 0), 1, "no question"),
            (with(5, 2), 1, "two questions"),
            (with(7, 1), 1, "an answer"),
            (with(10, 0xff), 1, "65,280 records"),
            (with(HEADER, 0xc0), 1, "a name that points at itself"),
            (with(HEADER, 64), 1, "a label of 64 octets"),
            (good[..good.len() - 1].to_vec(), 1, "cut short"),
            (with(good.len() - 1, 3), 5, "class CHAOS"),
            (with(good.len() - 3, 252), 4, "AXFR"),
            (with(good.len() - 3, 0), 1, "type 0"),
        ] {
            assert_eq!(code(&bytes), Some(expected), "{why}");
            let Err(Unanswerable::Reply(reply)) = read(&bytes) else { panic!("{why}") };
            assert!(reply.len() <= bytes.len(), "{why}");
        }
        let long = [good.clone(), vec![0; QUERY_MAX]].concat();
        assert_eq!(code(&long), Some(1));
    }

    #[test]
    fn a_later_edns_is_told_which_one_is_spoken() {
        let mut message = query("a.example.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        message.edns = Some(edns);
        let Err(Unanswerable::Reply(reply)) = read(&message.to_vec().unwrap()) else { panic!() };
        let reply = Message::from_vec(&reply).unwrap();
        // BADVERS and BADSIG are the same number.
        assert_eq!(u16::from(reply.metadata.response_code), 16);
        assert_eq!(reply.edns.unwrap().version(), 0);
    }
}
