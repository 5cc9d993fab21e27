//! The pcap format: a file header of 24 bytes, then records of a header and a frame.
//!
//! Source: draft-ietf-opsawg-pcap. Words are in the byte order of the machine that wrote the file:
//!
//! | bytes | file header | | bytes | record header |
//! |---|---|---|---|---|
//! | 4 | magic: which order, which unit of time | | 4 | seconds since the epoch |
//! | 2, 2 | version 2.4 | | 4 | and microseconds, or nanoseconds |
//! | 8 | unused | | 4 | bytes captured, which follow the header |
//! | 4 | snap length | | 4 | bytes on the wire |
//! | 4 | link type (low bits), frame check sequence | | 8 | only in Kuznetzov's variant: interface, protocol |

use super::records::{Fault, Next, Order, Records, frame};
use crate::LinkType;

pub(super) const HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Linux kernels of around 2000 had Alexey Kuznetzov's patch, and some probes still write it.
const KUZNETZOV: u32 = 0xa1b2_cd34;
/// The bits above say how long the frame check sequence is, if there is one.
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;

pub(super) struct Pcap {
    order: Order,
    link: LinkType,
    nanos_per_unit: u64,
    /// What stands between the record header and the frame.
    extra_bytes: usize,
}

/// The byte order and the variant, if `magic` begins a pcap file.
pub(super) fn recognise(magic: [u8; 4]) -> Option<(Order, u32)> {
    [Order::Little, Order::Big]
        .map(|order| (order, order.u32(magic)))
        .into_iter()
        .find(|(_, variant)| [MICROSECONDS, NANOSECONDS, KUZNETZOV].contains(variant))
}

impl Pcap {
    pub(super) fn new(header: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let [a, b, c, d, major_0, major_1, ..] = *header;
        let (order, variant) =
            recognise([a, b, c, d]).ok_or(Fault::Damaged("the magic number is not pcap's"))?;
        if order.u16([major_0, major_1]) != 2 {
            return Err(Fault::Damaged("the version of the pcap format is not 2"));
        }
        let [.., link] = order.words::<6>(header);
        Ok(Self {
            order,
            link: LinkType::from_number(link & LINK_TYPE_BITS),
            nanos_per_unit: if variant == NANOSECONDS { 1 } else { 1_000 },
            extra_bytes: if variant == KUZNETZOV { 8 } else { 0 },
        })
    }
}

impl Records for Pcap {
    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return Next::Need(RECORD_HEADER_BYTES);
        };
        let [seconds, units, captured_bytes, wire_bytes] = self.order.words(header);
        if let Some(fault) = Fault::of_frame_bytes(captured_bytes) {
            return Next::Fault(fault);
        }
        let end = self.extra_bytes + captured_bytes as usize;
        let (Some(data), Some(after)) = (rest.get(self.extra_bytes..end), rest.get(end..)) else {
            return Next::Need(RECORD_HEADER_BYTES + end);
        };
        // Two 32-bit numbers times these factors stay below 2^63.
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(units) * self.nanos_per_unit;
        Next::Frame(frame(nanos, self.link, data, wire_bytes), after)
    }
}
