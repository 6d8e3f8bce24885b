//! Elements of nft sets, spoken to the kernel directly: nft takes longer to start than a name may
//! take to be answered. No more of the protocol than elements need.

mod wire;

pub(super) use wire::{Element, messages};

use super::nft::TABLE;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};
use std::io;
use std::os::fd::OwnedFd;
use wire::*;

/// More than the kernel puts into one datagram of a listing (`NLMSG_GOODSIZE` is at most 8 KiB,
/// and it takes up to 32 KiB where the reader offers them).
const DATAGRAM_MAX: usize = 64 * 1024;
/// What a socket's buffer is set to (`net.core.wmem_max` of the usual kernels, doubled by them).
const TRANSACTION_MAX: usize = 208 * 1024;
/// A listing during which the set changed is begun again this often.
const TRIES: u32 = 16;

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

#[cfg(test)]
mod tests;
