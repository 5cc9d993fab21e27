//! Microsoft Network Monitor's capture format, versions 2.0 to 2.3.
//!
//! Source: the format as Wireshark's `wiretap/netmon.c` reads it; all little-endian. A header of 128 bytes
//! (magic, version, medium, start as a Windows SYSTEMTIME, where the index begins), then the frames (8 bytes
//! of microseconds since the start, 4 on the wire, 4 captured, the frame, and from 2.1 on a trailer: 2 of the
//! frame's own medium, from 2.2 on 4 of a process, in 2.3 a Windows FILETIME and a byte of its time zone),
//! then an index. Frames are read in the order in which they stand. The start is in the local time of the
//! machine that captured, and is taken for UTC; version 2.3's FILETIME is UTC, and used instead.

use super::records::{Fault, Next, Order, Records, frame};
use crate::LinkType;

pub(super) const MAGIC: [u8; 4] = *b"GMBU";
pub(super) const HEADER_BYTES: usize = 128;
const FRAME_HEADER_BYTES: usize = 16;
/// 1970 in tenths of microseconds since 1601.
const FILETIME_OF_EPOCH: u64 = 116_444_736_000_000_000;

pub(super) struct NetMon {
    start_nanos: u64,
    link: LinkType,
    trailer_bytes: usize,
    index_offset: u64,
}

impl NetMon {
    pub(super) fn new(header: &[u8; HEADER_BYTES]) -> Result<Self, Fault> {
        let half = |at: usize| match header.get(at..at + 2) {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            _ => 0,
        };
        let trailer_bytes = match half(4).to_be_bytes() {
            [2, 0] => 0,
            [2, 1] => 2,
            [2, 2] => 6,
            [2, 3] => 15,
            _ => {
                return Err(Fault::Damaged(
                    "the version of the Network Monitor format is not 2.0 to 2.3",
                ));
            }
        };
        let days = days_since_epoch(half(8), half(10), half(14));
        let seconds = days * 86_400
            + u64::from(half(16)) * 3_600
            + u64::from(half(18)) * 60
            + u64::from(half(20));
        let millis = u64::from(half(22));
        let index = u64::from(half(24)) | (u64::from(half(26)) << 16);
        Ok(Self {
            start_nanos: seconds.saturating_mul(1_000_000_000).saturating_add(millis * 1_000_000),
            link: link_of_medium(half(6)),
            trailer_bytes,
            index_offset: index,
        })
    }

    /// Where in the file the frames end and their index begins.
    pub(super) const fn frames_end(&self) -> u64 {
        self.index_offset
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; 0 for one before or without sense.
fn days_since_epoch(year: u16, month: u16, day: u16) -> u64 {
    // Years begin in March here, so that the leap day is their last.
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    u64::try_from(days).unwrap_or(0)
}

/// Network Monitor numbers its media itself, but for those that it took over from the LINKTYPE registry.
fn link_of_medium(medium: u16) -> LinkType {
    match medium {
        1 => LinkType::Ethernet,
        0xe000..0xf000 => LinkType::from_number(u32::from(medium - 0xe000)),
        // No number of the registry, nor ever one.
        other => LinkType::Other(0xffff_0000 | u32::from(other)),
    }
}

/// The frame's time by the trailer of version 2.3; `None` for another's.
fn utc_nanos(trailer: &[u8]) -> Option<u64> {
    let time = u64::from_le_bytes(*trailer.get(6..)?.first_chunk::<8>()?);
    Some(time.saturating_sub(FILETIME_OF_EPOCH).saturating_mul(100))
}

impl Records for NetMon {
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Next::Need(FRAME_HEADER_BYTES);
        };
        let [low, high, wire_bytes, captured_bytes] = Order::Little.words(header);
        if let Some(fault) = Fault::of_frame_bytes(captured_bytes) {
            return Next::Fault(fault);
        }
        let captured_bytes = captured_bytes as usize;
        let end = captured_bytes + self.trailer_bytes;
        let Some((content, after)) = rest.split_at_checked(end) else {
            return Next::Need(FRAME_HEADER_BYTES + end);
        };
        let (data, trailer) = content.split_at_checked(captured_bytes).unwrap_or((content, &[]));
        let link = match trailer {
            [low, high, ..] => link_of_medium(u16::from_le_bytes([*low, *high])),
            _ => self.link,
        };
        let micros = (u64::from(high) << 32) | u64::from(low);
        let nanos = utc_nanos(trailer)
            .unwrap_or_else(|| self.start_nanos.saturating_add(micros.saturating_mul(1_000)));
        Next::Frame(frame(nanos, link, data, wire_bytes), after)
    }
}
