//! Netlink: questions to the kernel about its network, as messages of attributes (RFC 3549, 2.3).
//!
//! A message is a header of 16 bytes (length, type, flags, sequence, port; host byte order), what its type
//! prescribes, and attributes: length and type (16 bits each), value, padding to 4 bytes. A question is
//! answered by messages of its sequence number, then by an error message, which has number 0 for success,
//! or by the end mark of a dump.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Numbers of `linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLA_F_NESTED: u16 = 0x8000;
/// Two bits of an attribute's type are flags.
const NLA_TYPE_MASK: u16 = 0x3fff;
const HEADER_BYTES: usize = 16;

/// One interface's answer is 1 to 2 KiB, with many virtual functions some 30 KiB; the kernel never makes
/// messages larger than this on its own account.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A question, or a part of one, while it is written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// What the type prescribes before the attributes.
    pub(super) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// An attribute. Its value is one of ours, far below the 64 KiB that fit.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Text, with the zero byte at its end that the kernel wants.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// More of it.
    pub(super) fn append(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Attributes within an attribute.
    pub(super) fn nest(self, kind: u16, inside: Self) -> Self {
        self.attribute(kind | NLA_F_NESTED, &inside.0)
    }
}

/// A message from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its type.
    pub(super) kind: u16,
    /// What follows the header.
    pub(super) body: Vec<u8>,
}

/// A netlink socket, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Netlink {
    fd: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// For questions about links and addresses.
    pub(super) fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is 0, which rustix writes as no protocol.
        Self::open(None, SocketFlags::CLOEXEC)
    }

    /// For questions to families by name.
    pub(super) fn generic() -> io::Result<Self> {
        Self::open(Some(rustix::net::netlink::GENERIC), SocketFlags::CLOEXEC)
    }

    /// For news about links; reading it never waits.
    pub(super) fn route_news(groups: u32) -> io::Result<Self> {
        let socket = Self::open(None, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket.fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(socket)
    }

    fn open(protocol: Option<Protocol>, flags: SocketFlags) -> io::Result<Self> {
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Asks one thing; what came before the acknowledgement.
    pub(super) fn ask(&mut self, kind: u16, question: &Writer) -> io::Result<Vec<Message>> {
        self.exchange(kind, NLM_F_ACK, question)
    }

    /// Asks for all things of a kind.
    pub(super) fn dump(&mut self, kind: u16, question: &Writer) -> io::Result<Vec<Message>> {
        self.exchange(kind, NLM_F_DUMP, question)
    }

    fn exchange(&mut self, kind: u16, flags: u16, question: &Writer) -> io::Result<Vec<Message>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + question.0.len());
        bytes.extend(((HEADER_BYTES + question.0.len()) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&question.0);
        rustix::net::send(&self.fd, &bytes, SendFlags::empty())?;
        let mut messages = Vec::new();
        loop {
            let answer = self.receive()?;
            if collect(&answer, self.sequence, &mut messages)? {
                return Ok(messages);
            }
        }
    }

    /// One datagram, which holds one or several messages.
    pub(super) fn receive(&self) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        let (_, bytes) = rustix::net::recv(&self.fd, answer.as_mut_slice(), RecvFlags::TRUNC)?;
        if bytes > answer.len() {
            return Err(damaged());
        }
        answer.truncate(bytes);
        Ok(answer)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the messages of one datagram; whether the answer is complete with it.
fn collect(answer: &[u8], sequence: u32, into: &mut Vec<Message>) -> io::Result<bool> {
    for (header, body) in messages(answer) {
        // What an earlier question was still owed.
        if header.sequence != sequence {
            continue;
        }
        match header.kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = u32_at(body, 0).ok_or_else(damaged)?.cast_signed();
                if code == 0 {
                    return Ok(true);
                }
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            kind => into.push(Message { kind, body: body.to_vec() }),
        }
    }
    Ok(false)
}

/// What is used of a message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) sequence: u32,
}

/// The messages of a datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let header = Header { kind: u16_at(bytes, 4)?, sequence: u32_at(bytes, 8)? };
        let body = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, body))
    })
}

/// The attributes of a message, or of an attribute: types and values.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Text up to its zero byte.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// A number of 64 bits; the kernel makes one of 32 out of it where that is enough (`nla_put_uint`).
pub(super) fn unsigned(value: &[u8]) -> Option<u64> {
    match value.first_chunk() {
        Some(chunk) => Some(u64::from_ne_bytes(*chunk)),
        None => u32_at(value, 0).map(u64::from),
    }
}

/// An answer that breaks off, or is larger than any is.
pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is damaged")
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message as the kernel sends it.
    pub(in crate::nic) fn message(kind: u16, sequence: u32, body: &Writer) -> Vec<u8> {
        let mut bytes = ((HEADER_BYTES + body.0.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&body.0);
        bytes
    }

    pub(in crate::nic) fn bytes(writer: Writer) -> Vec<u8> {
        writer.0
    }

    #[test]
    fn what_is_written_is_read() {
        let inside = Writer::default().text(3, "span0").attribute(4, &[]);
        let writer = Writer::default().number(1, 7).nest(2, inside).attribute(5, &[9; 3]);
        let read: Vec<_> = attributes(&writer.0).collect();
        assert_eq!(read.len(), 3);
        assert_eq!((read[0].0, u32_at(read[0].1, 0)), (1, Some(7)));
        let inside: Vec<_> = attributes(read[1].1).collect();
        assert_eq!((read[1].0, text(inside[0].1).as_str(), inside[1]), (2, "span0", (4, &[][..])));
        assert_eq!(read[2], (5, &[9; 3][..]));
    }

    #[test]
    fn an_answer_ends_with_its_acknowledgement() {
        let part = Writer::default().number(1, 7);
        let acknowledgement = Writer::default().fixed(&[0; 4]);
        let stale = message(20, 4, &part);
        let answer = [stale, message(20, 5, &part), message(NLMSG_ERROR, 5, &acknowledgement)];
        let mut taken = Vec::new();
        assert!(collect(&answer.concat(), 5, &mut taken).unwrap());
        assert_eq!(taken, [Message { kind: 20, body: bytes(Writer::default().number(1, 7)) }]);
        assert!(!collect(&message(20, 6, &part), 6, &mut taken).unwrap());
        assert!(collect(&message(NLMSG_DONE, 6, &acknowledgement), 6, &mut taken).unwrap());
    }

    #[test]
    fn a_refusal_is_its_error() {
        let refusal = Writer::default().fixed(&(-libc::ENODEV).to_ne_bytes());
        let error = collect(&message(NLMSG_ERROR, 1, &refusal), 1, &mut Vec::new()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_or_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4 + 1);
            prop_assert!(messages(&bytes).count() <= bytes.len() / 16 + 1);
            let _ = collect(&bytes, 0, &mut Vec::new());
        }
    }
}
