//! The messages of nfnetlink_log, linux/netfilter/nfnetlink_log.h. Pure: bytes in, bytes out.

/// `NFNL_SUBSYS_ULOG`, linux/netfilter/nfnetlink.h.
const SUBSYSTEM: u16 = 4;
/// `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG`.
const PACKET: u16 = SUBSYSTEM << 8;
const CONFIG: u16 = SUBSYSTEM << 8 | 1;
/// `NLMSG_ERROR`, linux/netlink.h.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST` and `NLM_F_ACK`.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// `NFULA_PAYLOAD`, `NFULA_PREFIX`, `NFULA_UID`, `NFULA_SEQ`.
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
const UID: u16 = 11;
const SEQ: u16 = 12;
/// The bits of an attribute's type that are flags, `NLA_TYPE_MASK`.
const TYPE: u16 = 0x3fff;
/// Headers of a netlink message, and of one of netfilter (`nlmsghdr`, `nfgenmsg`).
const HEADER: usize = 16;
const GENERIC: usize = 4;

/// One logged packet. What the kernel left out is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logged<'a> {
    /// Whose socket sent it.
    pub uid: Option<u32>,
    /// What the rule says about it.
    pub prefix: &'a str,
    /// The packet from its network header on, cut at some length.
    pub packet: &'a [u8],
    /// Counts up by one with each record of the group, lost ones included; wraps.
    pub sequence: Option<u32>,
}

/// What a datagram from the kernel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A record.
    Logged(Logged<'a>),
    /// The answer to a request: 0, or a negative errno(3).
    Answer(i32),
}

/// The messages of one datagram; whatever is not understood is passed over.
pub fn parse(datagram: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    let mut rest = datagram;
    while let Some(length) = field::<4>(rest, 0).map(|bytes| u32::from_ne_bytes(bytes) as usize) {
        let (Some(kind), Some(message)) = (field(rest, 4).map(u16::from_ne_bytes), rest.get(HEADER..length)) else {
            break;
        };
        match kind {
            ERROR => messages.extend(field(message, 0).map(i32::from_ne_bytes).map(Message::Answer)),
            PACKET => messages.push(Message::Logged(logged(message.get(GENERIC..).unwrap_or_default()))),
            _ => {}
        }
        // NLMSG_ALIGNTO.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn logged(mut attributes: &[u8]) -> Logged<'_> {
    let mut logged = Logged::default();
    while let (Some(length), Some(kind)) = (field(attributes, 0), field(attributes, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        let Some(value) = attributes.get(4..length) else { break };
        let number = || field(value, 0).map(u32::from_be_bytes);
        match u16::from_ne_bytes(kind) & TYPE {
            PAYLOAD => logged.packet = value,
            PREFIX => logged.prefix = text(value),
            UID => logged.uid = number(),
            SEQ => logged.sequence = number(),
            _ => {}
        }
        // NLA_ALIGNTO.
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    logged
}

/// Up to the first NUL.
fn text(value: &[u8]) -> &str {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).unwrap_or_default()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The request to get a group's records: up to so many bytes of each packet, numbered, and each at
/// once (by default the kernel collects them for up to a second).
pub fn bind(group: u16, snaplen: u32) -> Vec<u8> {
    // NFULNL_CFG_CMD_BIND; NFULNL_COPY_PACKET; NFULNL_CFG_F_SEQ.
    let mode = [&snaplen.to_be_bytes()[..], &[2, 0]].concat();
    let attributes: [(u16, &[u8]); 4] = [(1, &[1]), (2, &mode), (5, &1_u32.to_be_bytes()), (6, &1_u16.to_be_bytes())];
    let mut body = vec![0, 0];
    body.extend(group.to_be_bytes());
    for (kind, value) in attributes {
        body.extend((4 + value.len() as u16).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(CONFIG.to_ne_bytes());
    message.extend((REQUEST | ACK).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn record() -> Vec<u8> {
        let attributes = [
            attribute(1, &[8, 0, 3, 0]),
            attribute(PREFIX, b"rcc-deny host public\0"),
            attribute(UID, &1000_u32.to_be_bytes()),
            attribute(SEQ, &7_u32.to_be_bytes()),
            attribute(PAYLOAD, &[0x45, 1, 2]),
        ];
        message(PACKET, &[vec![2, 0, 0x72, 0x63], attributes.concat()].concat())
    }

    #[test]
    fn records_and_answers_are_read() {
        let datagram = [record(), message(ERROR, &(-1_i32).to_ne_bytes()), record()].concat();
        let expected =
            Logged { uid: Some(1000), prefix: "rcc-deny host public", packet: &[0x45, 1, 2], sequence: Some(7) };
        let [first, second, third] = parse(&datagram)[..] else { panic!() };
        assert_eq!([first, third], [Message::Logged(expected); 2]);
        assert_eq!(second, Message::Answer(-1));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for length in [0_u32, 15, 17, 4096, u32::MAX] {
            let mut datagram = record();
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            let read = parse(&datagram);
            assert!(read.len() <= 1 && !read.contains(&parse(&record())[0]), "{length}: {read:?}");
        }
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut datagram = record();
            datagram[HEADER + GENERIC..HEADER + GENERIC + 2].copy_from_slice(&length.to_ne_bytes());
            assert_ne!(parse(&datagram), parse(&record()), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(mut noise in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
            prop_assert!(parse(&noise).len() <= noise.len() / HEADER);
            let mut datagram = record();
            noise.truncate(datagram.len());
            let at = at.index(datagram.len() - noise.len() + 1);
            datagram[at..at + noise.len()].copy_from_slice(&noise);
            prop_assert!(parse(&datagram).len() <= datagram.len() / HEADER);
        }
    }
}
