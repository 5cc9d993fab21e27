//! Endace's extensible record format: what DAG cards write, alone or wrapped in pcap and pcapng.
//!
//! Source: the ERF types reference of Endace, as Wireshark's `wiretap/erf.c` reads it. A record is
//!
//! | bytes | |
//! |---|---|
//! | 8 | time, little-endian: seconds since the epoch and their fraction, 32.32 |
//! | 1, 1 | type (highest bit: extension headers follow), flags |
//! | 2 | bytes of the record, this header included, big-endian |
//! | 2 | loss counter or colour |
//! | 2 | bytes on the wire, big-endian |
//! | 8 each | extension headers; the first byte's highest bit: another follows |
//! | 2 | only before Ethernet: offset and padding |
//!
//! and then the frame and padding. A file of them has no header and no magic number.

use super::records::{Fault, Next, Records, frame};
use crate::{Frame, LinkType};

const HEADER_BYTES: usize = 16;
/// `LINKTYPE_ERF`: each packet of such a file or interface is an ERF record.
const LINK: LinkType = LinkType::Other(197);
const PADDING: u8 = 48;
/// Records that have to look right before bytes without a magic number are taken for ERF.
const RECORDS_TO_TRUST: usize = 3;

pub(super) struct Erf;

struct Header {
    nanos: u64,
    kind: u8,
    extended: bool,
    record_bytes: usize,
    wire_bytes: u32,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [t0, t1, t2, t3, t4, t5, t6, t7, kind, _, r0, r1, _, _, w0, w1] = *head;
        let time = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        // To the nearest nanosecond: cards give decimal fractions, which are just missed in binary.
        let fraction = ((time & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32;
        let header = Self {
            nanos: (time >> 32) * 1_000_000_000 + fraction,
            kind: kind & 0x7f,
            extended: kind & 0x80 != 0,
            record_bytes: u16::from_be_bytes([r0, r1]).into(),
            wire_bytes: u16::from_be_bytes([w0, w1]).into(),
        };
        Some((header, rest))
    }

    /// What a record of this type holds, and how many bytes stand before it.
    const fn content(&self) -> Option<(LinkType, usize)> {
        match self.kind {
            // Ethernet, also coloured, hashed and DSM-coloured.
            2 | 11 | 16 | 20 => Some((LinkType::Ethernet, 2)),
            22 | 23 => Some((LinkType::RawIp, 0)),
            _ => None,
        }
    }
}

/// Whether `bytes`, the start of a file, look like ERF.
pub(super) fn recognise(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for record in 0..RECORDS_TO_TRUST {
        // The file may hold fewer, or be cut off; one whole record there has to be.
        let Some((header, _)) = Header::parse(rest) else { return record > 0 };
        if header.content().is_none()
            || header.record_bytes <= HEADER_BYTES
            || header.wire_bytes == 0
        {
            return false;
        }
        let Some(after) = rest.get(header.record_bytes..) else { return record > 0 };
        rest = after;
    }
    true
}

/// The frame in an ERF record that came wrapped in another format; other frames as they are.
#[inline]
pub(super) fn peel(outer: Frame<'_>) -> Frame<'_> {
    if outer.link == LINK { unwrapped(outer).unwrap_or(outer) } else { outer }
}

#[cold]
fn unwrapped(outer: Frame<'_>) -> Option<Frame<'_>> {
    let (header, mut rest) = Header::parse(outer.data)?;
    let (link, before) = header.content()?;
    let mut extended = header.extended;
    while extended {
        let (extension, after) = rest.split_first_chunk::<8>()?;
        extended = extension.first()? & 0x80 != 0;
        rest = after;
    }
    let data = rest.get(before..)?;
    let data = data.get(..header.wire_bytes as usize).unwrap_or(data);
    Some(Frame { link, data, wire_bytes: header.wire_bytes.max(data.len() as u32), ..outer })
}

impl Records for Erf {
    /// The record as a frame of `LINKTYPE_ERF`, which is then peeled like a wrapped one.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let Some((header, _)) = Header::parse(bytes) else { return Next::Need(HEADER_BYTES) };
        if header.record_bytes < HEADER_BYTES {
            return Next::Fault(Fault::Damaged("a record is shorter than its header"));
        }
        match bytes.split_at_checked(header.record_bytes) {
            None => Next::Need(header.record_bytes),
            Some((_, after)) if header.kind == PADDING => Next::Other(after),
            Some((record, after)) => Next::Frame(frame(header.nanos, LINK, record, 0), after),
        }
    }
}
