//! The bytes of nf_tables messages.
//!
//! Numbers and layouts are those of linux/netlink.h, linux/netfilter/nfnetlink.h and
//! linux/netfilter/nf_tables.h; integers of nf_tables are big-endian, those of netlink are not.

use crate::firewall::nft::TABLE;
use std::time::Duration;

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
pub(super) const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
pub(super) const NFNL_MSG_BATCH_END: u16 = 0x11;
pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
pub(super) const NFT_MSG_NEWSET: u8 = 9;
pub(super) const NFT_MSG_GETSET: u8 = 10;
pub(super) const NFT_MSG_NEWSETELEM: u8 = 12;
pub(super) const NFT_MSG_GETSETELEM: u8 = 13;
pub(super) const NFT_MSG_DELSETELEM: u8 = 14;
pub(super) const NFT_MSG_NEWGEN: u8 = 15;

pub(super) const NLM_F_REQUEST: u16 = 0x1;
pub(super) const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLM_F_CREATE: u16 = 0x400;

pub(super) const NFPROTO_INET: u8 = 1;
const NLA_F_NESTED: u16 = 0x8000;
/// All but the flags of an attribute's type (`NLA_TYPE_MASK`).
const NLA_TYPE_MASK: u16 = 0x3fff;

pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
const NFTA_SET_ELEM_EXPIRATION: u16 = 5;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_DATA_VALUE: u16 = 1;
/// What nft calls a comment (`NFTNL_UDATA_SET_ELEM_COMMENT`, libnftnl/udata.h): a byte each for
/// type and length, then a string that ends with NUL.
pub(super) const UDATA_COMMENT: u8 = 0;

/// The length of a message without its content: `nlmsghdr`, then `nfgenmsg`.
pub(super) const HEADER: usize = 16 + 4;
/// An element as it is sent and as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::firewall) struct Element {
    /// As the registers hold it: each part filled up to 4 bytes.
    pub(in crate::firewall) key: Vec<u8>,
    /// How long it still lasts, in whole milliseconds; forever if absent.
    pub(in crate::firewall) remaining: Option<Duration>,
    /// At most 127 bytes.
    pub(in crate::firewall) comment: Option<String>,
}

pub(super) fn subsystem(kind: u8) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | u16::from(kind)
}

pub(super) fn message(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    content: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[family, 0]);
    out.extend_from_slice(&resource.to_be_bytes());
    content(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// An attribute and its padding (`NLA_ALIGNTO` is 4).
fn attribute(out: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&kind.to_ne_bytes());
    content(out);
    let length = u16::try_from(out.len() - start).expect("callers keep attributes below 64 KiB");
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

pub(super) fn attribute_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, |out| {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    });
}

pub(super) fn list_attributes(out: &mut Vec<u8>, set: &str, whole: bool, elements: &[Element]) {
    attribute_text(out, NFTA_SET_ELEM_LIST_TABLE, TABLE);
    attribute_text(out, NFTA_SET_ELEM_LIST_SET, set);
    if elements.is_empty() {
        return;
    }
    attribute(out, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, |out| {
        for element in elements {
            attribute(out, NFTA_LIST_ELEM | NLA_F_NESTED, |out| element_attributes(out, whole, element));
        }
    });
}

fn element_attributes(out: &mut Vec<u8>, whole: bool, element: &Element) {
    attribute(out, NFTA_SET_ELEM_KEY | NLA_F_NESTED, |out| {
        attribute(out, NFTA_DATA_VALUE, |out| out.extend_from_slice(&element.key));
    });
    if !whole {
        return;
    }
    if let Some(remaining) = element.remaining {
        let milliseconds = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        attribute(out, NFTA_SET_ELEM_TIMEOUT, |out| out.extend_from_slice(&milliseconds.to_be_bytes()));
    }
    if let Some(comment) = &element.comment {
        attribute(out, NFTA_SET_ELEM_USERDATA, |out| {
            out.extend_from_slice(&[UDATA_COMMENT, (comment.len() + 1) as u8]);
            out.extend_from_slice(comment.as_bytes());
            out.push(0);
        });
    }
}

/// One message of a datagram.
pub(in crate::firewall) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    /// Behind the `nlmsghdr`.
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether this is a message of nf_tables of this kind.
    pub(super) fn is(&self, kind: u8) -> bool {
        self.kind == subsystem(kind)
    }

    /// Whether this tells of elements only, or of the end of a transaction.
    pub(in crate::firewall) fn is_of_elements(&self) -> bool {
        [NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_NEWGEN].into_iter().any(|kind| self.is(kind))
    }

    /// The set whose elements this tells of.
    pub(in crate::firewall) fn set(&self) -> Option<String> {
        let of_elements = self.is(NFT_MSG_NEWSETELEM) || self.is(NFT_MSG_DELSETELEM);
        let name = attributes(self.content()).find(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_SET)?.1;
        if of_elements { text(name) } else { None }
    }

    /// Behind the `nfgenmsg`.
    pub(super) fn content(&self) -> &'a [u8] {
        self.body.get(4..).unwrap_or_default()
    }

    /// The number in an NLMSG_ERROR, positive, 0 for an acknowledgement.
    pub(super) fn error(&self) -> i32 {
        self.body.first_chunk().map_or(libc::EBADMSG, |errno| i32::from_ne_bytes(*errno).saturating_neg())
    }
}

/// The messages of a datagram, as far as their lengths are possible.
pub(in crate::firewall) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes([*datagram.get(4)?, *datagram.get(5)?]);
        let flags = u16::from_ne_bytes([*datagram.get(6)?, *datagram.get(7)?]);
        let body = datagram.get(16..length)?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, body })
    })
}

/// Types and contents, as far as their lengths are possible.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & NLA_TYPE_MASK;
        let content = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// A string that ends with NUL.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let (last, text) = bytes.split_last()?;
    (*last == 0 && !text.contains(&0)).then(|| String::from_utf8(text.to_vec()).ok())?
}

pub(super) fn listed_elements(content: &[u8]) -> Vec<Element> {
    let lists = attributes(content).filter(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_ELEMENTS);
    lists.flat_map(|(_, list)| attributes(list)).filter_map(|(_, element)| listed_element(element)).collect()
}

fn listed_element(bytes: &[u8]) -> Option<Element> {
    let value = |wanted: u16| attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let key = attributes(value(NFTA_SET_ELEM_KEY)?).find(|(kind, _)| *kind == NFTA_DATA_VALUE)?.1.to_vec();
    let milliseconds = |kind| value(kind).and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
    // Without an end of its own it has none.
    let remaining = milliseconds(NFTA_SET_ELEM_EXPIRATION).or(milliseconds(NFTA_SET_ELEM_TIMEOUT));
    let comment = value(NFTA_SET_ELEM_USERDATA).and_then(comment);
    Some(Element { key, remaining: remaining.map(Duration::from_millis), comment })
}

/// The comment in the user data of an element. Any root process may have written these bytes.
pub(super) fn comment(mut bytes: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = bytes {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == UDATA_COMMENT {
            return text(value);
        }
        bytes = rest;
    }
    None
}
