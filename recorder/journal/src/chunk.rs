//! An open chunk: the buffer that a flow's packets are copied into, once.
//!
//! The buffer has the chunk's layout from the first byte on ([`crate::format`], "A chunk in memory"), so that
//! sealing moves it and copies nothing.

use std::sync::atomic::{Ordering, compiler_fence};

use base::{MediaPacket, Timestamp};

use crate::format::{
    CHUNK_HEADER_BYTES, CHUNK_HEADER_CLEAR, CHUNK_OVERHEAD, ChunkHeader, TAG_BYTES, padded,
    put_counts,
};
use crate::records::{FLOW_KEY_BYTES, MEDIA_RECORD_BYTES};

/// The memory of one chunk of at most `N` bytes. A header is one cache line.
#[repr(align(64))]
pub(crate) struct Block<const N: usize>([u8; N]);

impl<const N: usize> Block<N> {
    /// A fresh one. The only place where chunk memory comes from: an arena that outlives the process would
    /// hand out its blocks here, and [`crate::pool::Pool`] would recycle them as it does these.
    pub(crate) fn allocate() -> Box<Self> {
        const { assert!(N / MEDIA_RECORD_BYTES <= u16::MAX as usize, "the record count fits its field") };
        const { assert!(N > CHUNK_OVERHEAD && N.is_multiple_of(16), "whole blocks fit") };
        Box::new(Self([0; N]))
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Whether a datagram of `bytes` bytes fits into an empty media chunk of `N` bytes.
pub(crate) const fn fits_empty<const N: usize>(bytes: usize) -> bool {
    CHUNK_OVERHEAD + FLOW_KEY_BYTES + MEDIA_RECORD_BYTES + bytes <= N
}

/// How much of a chunk's room is fetched before a packet: a record's head, RTP and 20 ms of G.711.
const ROOM_FETCHED_BYTES: usize = 180;

/// A chunk that still takes records.
pub(crate) struct OpenChunk<const N: usize> {
    block: Box<Block<N>>,
    /// Bytes of the block in use, header included.
    used: u32,
    span: u32,
    first: Timestamp,
    records: u16,
}

impl<const N: usize> OpenChunk<N> {
    /// Opens `block` with `header` (without records) and the first payload bytes `prefix`.
    pub(crate) fn new(mut block: Box<Block<N>>, header: &ChunkHeader, prefix: &[u8]) -> Self {
        let used = CHUNK_HEADER_BYTES + prefix.len();
        let bytes = header.encode();
        if let Some((clear, _)) = block.0.split_first_chunk_mut() {
            *clear = bytes;
        }
        if let Some(room) = block.0.get_mut(CHUNK_HEADER_BYTES..used) {
            room.copy_from_slice(prefix);
        }
        let mut chunk = Self { block, used: used as u32, span: 0, first: header.first, records: 0 };
        chunk.publish();
        chunk
    }

    /// Appends a datagram; `false`, and nothing changed, if it does not fit in room or time.
    #[inline]
    pub(crate) fn push_media(&mut self, packet: &MediaPacket<'_>) -> bool {
        let Some(delta) = self.delta(packet.time) else { return false };
        let captured = packet.payload.len() as u16;
        let mut head = [0; MEDIA_RECORD_BYTES];
        head[0..4].copy_from_slice(&delta.to_le_bytes());
        head[4..6].copy_from_slice(&captured.to_le_bytes());
        head[6..8].copy_from_slice(&packet.wire_bytes.to_le_bytes());
        self.push(delta, &head, packet.payload)
    }

    /// Appends a record of `head` and `body` that is `delta` ns after the chunk's first.
    #[inline]
    pub(crate) fn push<const H: usize>(&mut self, delta: u32, head: &[u8; H], body: &[u8]) -> bool {
        let start = self.used as usize;
        let end = start + H + body.len();
        // Blocks are whole multiples of 16, so what fits before the tag also fits when it is filled up.
        if end > N - TAG_BYTES {
            return false;
        }
        let Some((first, rest)) =
            self.block.0.get_mut(start..end).and_then(|room| room.split_first_chunk_mut())
        else {
            return false;
        };
        *first = *head;
        rest.copy_from_slice(body);
        self.used = end as u32;
        self.span = self.span.max(delta);
        self.records += 1;
        self.publish();
        true
    }

    /// Has what the next packet touches fetched: the header, and room for 20 ms of G.711.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let bytes = self.block.bytes();
        capture::prefetch_bytes(bytes.get(..1).unwrap_or_default());
        let (start, end) = (self.used as usize, N.min(self.used as usize + ROOM_FETCHED_BYTES));
        capture::prefetch_bytes(bytes.get(start..end).unwrap_or_default());
    }

    /// Nanoseconds since the chunk's first record; `None` if `time` is earlier, or too late for the field.
    #[inline]
    pub(crate) fn delta(&self, time: Timestamp) -> Option<u32> {
        time.as_nanos()
            .checked_sub(self.first.as_nanos())
            .and_then(|delta| u32::try_from(delta).ok())
    }

    /// Records so far.
    pub(crate) const fn records(&self) -> u16 {
        self.records
    }

    /// Payload bytes so far.
    pub(crate) const fn payload_bytes(&self) -> usize {
        self.used as usize - CHUNK_HEADER_BYTES
    }

    /// The latest record's time.
    pub(crate) fn last(&self) -> Timestamp {
        Timestamp::from_nanos(self.first.as_nanos().saturating_add(self.span.into()))
    }

    /// Fills the last block with zeros and gives the buffer away, with its payload's length.
    pub(crate) fn close(mut self) -> (Box<Block<N>>, usize) {
        let payload_bytes = padded(self.payload_bytes());
        let end = CHUNK_HEADER_BYTES + payload_bytes;
        if let Some(fill) = self.block.0.get_mut(self.used as usize..end) {
            fill.fill(0);
        }
        self.used = end as u32;
        self.publish();
        (self.block, payload_bytes)
    }

    /// Gives the buffer away without what is in it.
    pub(crate) fn discard(self) -> Box<Block<N>> {
        self.block
    }

    /// Makes the header say what the buffer holds, after the records are in it.
    #[inline]
    fn publish(&mut self) {
        let payload_bytes = self.used - CHUNK_HEADER_BYTES as u32;
        let (span, records) = (self.span, self.records);
        compiler_fence(Ordering::Release);
        if let Some((clear, _)) = self.block.0.split_first_chunk_mut::<CHUNK_HEADER_CLEAR>() {
            put_counts(clear, payload_bytes, span, records);
        }
    }
}

#[cfg(test)]
mod tests {
    use base::limits::CHUNK_BYTES;

    use super::*;
    use crate::format::Kind;
    use crate::locator::FlowId;
    use crate::records::{MediaRecords, well_formed};

    fn open() -> OpenChunk<CHUNK_BYTES> {
        let header = ChunkHeader {
            kind: Kind::Media,
            flow: FlowId { slot: 1, generation: 2 },
            records: 0,
            payload_bytes: 0,
            first: Timestamp::from_nanos(1_000),
            span: 0,
            latest_before: Timestamp::ZERO,
            previous: None,
        };
        OpenChunk::new(Block::allocate(), &header, &[7; FLOW_KEY_BYTES])
    }

    fn packet(time: u64, payload: &[u8]) -> MediaPacket<'_> {
        MediaPacket { time: Timestamp::from_nanos(time), payload, wire_bytes: payload.len() as u16 }
    }

    #[test]
    fn the_header_is_valid_after_every_record() {
        let mut chunk = open();
        let payload = [9; 172];
        for count in 0..22_u16 {
            let header = ChunkHeader::decode(&{
                let mut bytes = *chunk.block.0.first_chunk::<CHUNK_HEADER_BYTES>().unwrap();
                // While it is open the length is exact, not filled up.
                let exact = u32::from_le_bytes(*bytes[4..8].first_chunk().unwrap()) as usize;
                assert_eq!(exact, FLOW_KEY_BYTES + usize::from(count) * 180);
                bytes[4..8].copy_from_slice(&(padded(exact) as u32).to_le_bytes());
                bytes
            });
            let header = header.unwrap();
            assert_eq!((header.records, header.last()), (count, chunk.last()));
            assert!(chunk.push_media(&packet(1_000 + u64::from(count) * 20, &payload)));
        }
        assert!(
            !chunk.push_media(&packet(2_000, &payload)),
            "22 packets of 20 ms of G.711 fill a chunk"
        );
        let (block, payload_bytes) = chunk.close();
        assert_eq!(payload_bytes + CHUNK_OVERHEAD, CHUNK_BYTES);
        let payload = &block.bytes()[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + payload_bytes];
        assert!(well_formed(Kind::Media, payload, 22, Timestamp::from_nanos(1_000)));
    }

    #[test]
    fn a_packet_before_the_first_or_too_late_is_not_taken() {
        let mut chunk = open();
        assert!(!chunk.push_media(&packet(999, b"early")));
        assert!(!chunk.push_media(&packet(1_000 + (1 << 32), b"late")));
        assert!(chunk.push_media(&packet(1_000 + u64::from(u32::MAX), b"in time")));
        assert!(chunk.push_media(&packet(1_000, b"disordered, but not before the first")));
        assert_eq!(chunk.last(), Timestamp::from_nanos(1_000 + u64::from(u32::MAX)));
        let (block, payload_bytes) = chunk.close();
        let payload = &block.bytes()[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + payload_bytes];
        let (_, records) = MediaRecords::new(payload, 2, Timestamp::from_nanos(1_000)).unwrap();
        assert_eq!(records.map(|packet| packet.payload.len()).collect::<Vec<_>>(), [7, 36]);
    }
}
