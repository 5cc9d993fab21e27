//! The ring of copies: what a program that shares its interface with the host hands over.

use abi::CopyHeader;
use aya::maps::{MapData, RingBuf};
use zerocopy::FromBytes as _;

use super::Received;

/// The reader's end. There is one for all CPUs; nobody is woken when something comes, so it is polled.
pub struct Copies {
    ring: RingBuf<MapData>,
}

impl Copies {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Hands over what is in the ring, at most `batch` packets, in the order of arrival; how many there were.
    pub fn drain(&mut self, batch: usize, on_packet: &mut impl FnMut(Received<'_>)) -> usize {
        for taken in 0..batch {
            let Some(record) = self.ring.next() else { return taken };
            // Our own program writes whole records; nothing else can.
            let Ok((header, data)) = CopyHeader::read_from_prefix(&record) else { continue };
            let captured = (header.captured_bytes as usize).min(data.len());
            let data = data.get(..captured).unwrap_or_default();
            on_packet(Received { meta: header.meta, data, wire_bytes: header.wire_bytes });
        }
        batch
    }
}
