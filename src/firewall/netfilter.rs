//! Elements of nft sets, spoken to the kernel directly: nft takes longer to start than a name may
//! take to be answered. No more of the protocol than elements need.
//!
//! Numbers and layouts are those of linux/netlink.h, linux/netfilter/nfnetlink.h and
//! linux/netfilter/nf_tables.h; integers of nf_tables are big-endian, those of netlink are not.

use super::nft::TABLE;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_NEWSET: u8 = 9;
const NFT_MSG_GETSET: u8 = 10;
const NFT_MSG_NEWSETELEM: u8 = 12;
const NFT_MSG_GETSETELEM: u8 = 13;
const NFT_MSG_DELSETELEM: u8 = 14;
const NFT_MSG_NEWGEN: u8 = 15;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;

const NFPROTO_INET: u8 = 1;
const NLA_F_NESTED: u16 = 0x8000;
/// All but the flags of an attribute's type (`NLA_TYPE_MASK`).
const NLA_TYPE_MASK: u16 = 0x3fff;

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
const NFTA_SET_ELEM_EXPIRATION: u16 = 5;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_DATA_VALUE: u16 = 1;
/// What nft calls a comment (`NFTNL_UDATA_SET_ELEM_COMMENT`, libnftnl/udata.h): a byte each for
/// type and length, then a string that ends with NUL.
const UDATA_COMMENT: u8 = 0;

/// The length of a message without its content: `nlmsghdr`, then `nfgenmsg`.
const HEADER: usize = 16 + 4;
/// More than the kernel puts into one datagram of a listing (`NLMSG_GOODSIZE` is at most 8 KiB,
/// and it takes up to 32 KiB where the reader offers them).
const DATAGRAM_MAX: usize = 64 * 1024;
/// What a socket's buffer is set to (`net.core.wmem_max` of the usual kernels, doubled by them).
const TRANSACTION_MAX: usize = 208 * 1024;
/// A listing during which the set changed is begun again this often.
const TRIES: u32 = 16;

/// An element as it is sent and as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// As the registers hold it: each part filled up to 4 bytes.
    pub(super) key: Vec<u8>,
    /// How long it still lasts, in whole milliseconds; forever if absent.
    pub(super) remaining: Option<Duration>,
    /// At most 127 bytes.
    pub(super) comment: Option<String>,
}

/// What is done in one transaction: all of it or nothing.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    messages: u32,
}

impl Batch {
    /// Adds elements; those that are there already stay as they are.
    pub(super) fn add(&mut self, set: &str, elements: &[Element]) {
        self.change(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
    }

    /// Deletes elements; the transaction fails if one is not there.
    pub(super) fn delete(&mut self, set: &str, elements: &[Element]) {
        self.change(NFT_MSG_DELSETELEM, 0, set, elements);
    }

    /// Adds elements or puts them in the place of those with the same keys, with the new time and
    /// comment. Kernels before 6.12 leave an element that is there as it is, and before 6.3 cannot
    /// delete what may be absent.
    pub(super) fn put(&mut self, set: &str, elements: &[Element]) {
        self.add(set, elements);
        self.delete(set, elements);
        self.add(set, elements);
    }

    fn change(&mut self, kind: u8, flags: u16, set: &str, elements: &[Element]) {
        // The length of an attribute has 16 bits.
        for elements in elements.chunks(100) {
            self.messages += 1;
            let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            message(&mut self.bytes, subsystem(kind), flags, self.messages, NFPROTO_INET, 0, |out| {
                list_attributes(out, set, kind == NFT_MSG_NEWSETELEM, elements)
            });
        }
    }
}

/// A netlink socket of nf_tables.
pub(super) struct Netfilter {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Netfilter {
    /// For the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let (family, protocol) = (AddressFamily::NETLINK, Some(netlink::NETFILTER));
        let socket = rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        // A transaction is one datagram.
        sockopt::set_socket_send_buffer_size(&socket, TRANSACTION_MAX)?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Carries out a batch, and returns when the kernel has done so. ENOENT: a set, a table or an
    /// element to delete is absent; ENFILE: a set is full.
    pub(super) fn execute(&mut self, batch: &Batch) -> io::Result<()> {
        if batch.messages == 0 {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(batch.bytes.len() + 2 * HEADER);
        message(&mut bytes, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0, 0, NFNL_SUBSYS_NFTABLES, |_| {});
        bytes.extend_from_slice(&batch.bytes);
        message(&mut bytes, NFNL_MSG_BATCH_END, NLM_F_REQUEST, batch.messages + 1, 0, NFNL_SUBSYS_NFTABLES, |_| {});
        self.forget()?;
        self.send(&bytes)?;
        // The kernel has answered every message by the time that send returns: when one of them
        // failed, those that would have been done are acknowledged too.
        let (mut acknowledged, mut failure) = (0, None);
        while let Some(datagram) = self.receive(RecvFlags::DONTWAIT)? {
            for message in messages(&datagram).filter(|message| message.kind == NLMSG_ERROR) {
                match message.error() {
                    0 => acknowledged += 1,
                    errno => failure = failure.or(Some(io::Error::from_raw_os_error(errno))),
                }
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None if acknowledged == batch.messages => Ok(()),
            None => Err(io::Error::other("the kernel did not acknowledge the transaction")),
        }
    }

    /// The names of all sets of our table. None if it is absent.
    pub(super) fn sets(&mut self) -> io::Result<Vec<String>> {
        let request = |out: &mut Vec<u8>| attribute_text(out, NFTA_SET_TABLE, TABLE);
        let mut names = Vec::new();
        let listed = self.dump(NFT_MSG_GETSET, request, &mut names, |names, message| {
            if message.is(NFT_MSG_NEWSET) {
                let name = attributes(message.content()).find(|(kind, _)| *kind == NFTA_SET_NAME);
                names.extend(name.and_then(|(_, value)| text(value)));
            }
        });
        match listed {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            listed => listed.map(|()| names),
        }
    }

    /// All elements of a set, those that have ended left out.
    pub(super) fn elements(&mut self, set: &str) -> io::Result<Vec<Element>> {
        let request = |out: &mut Vec<u8>| list_attributes(out, set, false, &[]);
        let mut elements = Vec::new();
        self.dump(NFT_MSG_GETSETELEM, request, &mut elements, |elements, message| {
            if message.is(NFT_MSG_NEWSETELEM) {
                elements.extend(listed_elements(message.content()));
            }
        })?;
        Ok(elements)
    }

    /// The element of this key, if it is there.
    pub(super) fn element(&mut self, set: &str, key: &[u8]) -> io::Result<Option<Element>> {
        let wanted = Element { key: key.to_vec(), remaining: None, comment: None };
        let mut bytes = Vec::new();
        message(&mut bytes, subsystem(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_ACK, 1, NFPROTO_INET, 0, |out| {
            list_attributes(out, set, false, std::slice::from_ref(&wanted))
        });
        self.forget()?;
        self.send(&bytes)?;
        let mut found = None;
        while let Some(datagram) = self.receive(RecvFlags::DONTWAIT)? {
            for message in messages(&datagram) {
                match message.kind {
                    NLMSG_ERROR if message.error() != 0 => {
                        let error = io::Error::from_raw_os_error(message.error());
                        return if is_absent(&error) { Ok(None) } else { Err(error) };
                    }
                    _ if message.is(NFT_MSG_NEWSETELEM) => {
                        found = found.or(listed_elements(message.content()).into_iter().next());
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn dump<T>(
        &mut self,
        kind: u8,
        request: impl Fn(&mut Vec<u8>),
        found: &mut Vec<T>,
        each: impl Fn(&mut Vec<T>, &Message<'_>),
    ) -> io::Result<()> {
        for sequence in 1..=TRIES {
            let mut bytes = Vec::new();
            message(&mut bytes, subsystem(kind), NLM_F_REQUEST | NLM_F_DUMP, sequence, NFPROTO_INET, 0, &request);
            self.forget()?;
            self.send(&bytes)?;
            found.clear();
            if self.collect(|message| each(found, message))? {
                return Ok(());
            }
        }
        Err(io::Error::other("the set changes faster than it can be listed"))
    }

    /// Whether what was listed is of one piece.
    fn collect(&mut self, mut each: impl FnMut(&Message<'_>)) -> io::Result<bool> {
        let mut whole = true;
        while let Some(datagram) = self.receive(RecvFlags::empty())? {
            for message in messages(&datagram) {
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return Ok(whole),
                    NLMSG_ERROR => return Err(io::Error::from_raw_os_error(message.error())),
                    _ => each(&message),
                }
            }
        }
        Ok(false)
    }

    /// Drops what an earlier exchange left behind.
    fn forget(&mut self) -> io::Result<()> {
        while self.receive(RecvFlags::DONTWAIT)?.is_some() {}
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // Without an address netlink sends to the kernel.
        rustix::net::send(&self.socket, bytes, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self, flags: RecvFlags) -> io::Result<Option<Vec<u8>>> {
        match rustix::net::recv(&self.socket, &mut self.buffer[..], flags) {
            Ok((length, _)) => Ok(Some(self.buffer[..length].to_vec())),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Whether a table, a set or an element is not there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOENT)
}

/// Whether a set has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NFILE)
}

fn subsystem(kind: u8) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | u16::from(kind)
}

fn message(
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

fn attribute_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    attribute(out, kind, |out| {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    });
}

fn list_attributes(out: &mut Vec<u8>, set: &str, whole: bool, elements: &[Element]) {
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
pub(super) struct Message<'a> {
    kind: u16,
    flags: u16,
    /// Behind the `nlmsghdr`.
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether this is a message of nf_tables of this kind.
    fn is(&self, kind: u8) -> bool {
        self.kind == subsystem(kind)
    }

    /// Whether this tells of elements only, or of the end of a transaction.
    pub(super) fn is_of_elements(&self) -> bool {
        [NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_NEWGEN].into_iter().any(|kind| self.is(kind))
    }

    /// The set whose elements this tells of.
    pub(super) fn set(&self) -> Option<String> {
        let of_elements = self.is(NFT_MSG_NEWSETELEM) || self.is(NFT_MSG_DELSETELEM);
        let name = attributes(self.content()).find(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_SET)?.1;
        if of_elements { text(name) } else { None }
    }

    /// Behind the `nfgenmsg`.
    fn content(&self) -> &'a [u8] {
        self.body.get(4..).unwrap_or_default()
    }

    /// The number in an NLMSG_ERROR, positive, 0 for an acknowledgement.
    fn error(&self) -> i32 {
        self.body.first_chunk().map_or(libc::EBADMSG, |errno| i32::from_ne_bytes(*errno).saturating_neg())
    }
}

/// The messages of a datagram, as far as their lengths are possible.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
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
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & NLA_TYPE_MASK;
        let content = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// A string that ends with NUL.
fn text(bytes: &[u8]) -> Option<String> {
    let (last, text) = bytes.split_last()?;
    (*last == 0 && !text.contains(&0)).then(|| String::from_utf8(text.to_vec()).ok())?
}

fn listed_elements(content: &[u8]) -> Vec<Element> {
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
fn comment(mut bytes: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = bytes {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == UDATA_COMMENT {
            return text(value);
        }
        bytes = rest;
    }
    None
}

#[cfg(test)]
mod tests;
