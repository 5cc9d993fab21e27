//! An open chunk: the buffer that a flow's packets are copied into, once.
//!
//! The buffer has the chunk's layout from the first byte on ([`crate::format`], "A chunk in memory"), so that
//! sealing moves it and copies nothing. The order of the stores is what a successor of a killed process relies
//! on ([`crate::format`], "Arena").

use base::{MediaPacket, Timestamp};
use capture::memory::{Block, Slab};

use crate::format::{
    CHECK_AT, CHUNK_HEADER_BYTES, CHUNK_HEADER_CLEAR, CHUNK_OVERHEAD, ChunkHeader, LOCATOR_AT,
    PAYLOAD_BYTES_AT, STATE_AT, STATE_FREE, STATE_OPEN, STATE_SEALED, TAG_BYTES, memory_check,
    put_counts,
};
use crate::locator::Locator;
use crate::records::{FLOW_KEY_BYTES, MEDIA_RECORD_BYTES};

/// Whether a datagram of `bytes` bytes fits into an empty media chunk of `N` bytes.
pub(crate) const fn fits_empty<const N: usize>(bytes: usize) -> bool {
    CHUNK_OVERHEAD + FLOW_KEY_BYTES + MEDIA_RECORD_BYTES + bytes <= N
}

/// A buffer's content is not needed any more.
pub(crate) fn free<const N: usize>(slab: &Slab<N>, block: &mut Block<N>) {
    slab.publish(block, STATE_AT, STATE_FREE.to_le());
}

/// How much of a chunk's room is fetched before a packet: a record's head, RTP and 20 ms of G.711.
const ROOM_FETCHED_BYTES: usize = 180;

/// A chunk that still takes records. All calls are given the slab that its buffer is of.
pub(crate) struct OpenChunk<const N: usize> {
    block: Block<N>,
    /// Bytes of the block in use, header included.
    used: u32,
    span: u32,
    first: Timestamp,
    records: u16,
}

impl<const N: usize> OpenChunk<N> {
    /// Opens `block`, which is free, with `header` (without records) and the first payload bytes `prefix`.
    /// `stamp` is the arena's.
    pub(crate) fn new(
        slab: &Slab<N>,
        mut block: Block<N>,
        header: &ChunkHeader,
        prefix: &[u8],
        stamp: u64,
    ) -> Self {
        const { assert!(N / MEDIA_RECORD_BYTES <= u16::MAX as usize, "the record count fits its field") };
        const { assert!(N > CHUNK_OVERHEAD && N.is_multiple_of(16), "whole blocks fit") };
        let used = CHUNK_HEADER_BYTES + prefix.len();
        let clear = ChunkHeader { payload_bytes: prefix.len() as u32, ..*header }.encode();
        let bytes = slab.bytes_mut(&mut block);
        if let Some((head, rest)) = bytes.split_first_chunk_mut::<CHUNK_HEADER_BYTES>() {
            head[..CHUNK_HEADER_CLEAR].copy_from_slice(&clear);
            head[LOCATOR_AT..CHECK_AT].fill(0);
            head[CHECK_AT..STATE_AT].copy_from_slice(&memory_check(&clear, stamp).to_le_bytes());
            if let Some(room) = rest.get_mut(..prefix.len()) {
                room.copy_from_slice(prefix);
            }
        }
        slab.publish(&mut block, STATE_AT, STATE_OPEN.to_le());
        Self { block, used: used as u32, span: 0, first: header.first, records: 0 }
    }

    /// Appends a datagram; `false`, and nothing changed, if it does not fit in room or time.
    #[inline]
    pub(crate) fn push_media(&mut self, slab: &Slab<N>, packet: &MediaPacket<'_>) -> bool {
        let Some(delta) = self.delta(packet.time) else { return false };
        let captured = packet.payload.len() as u16;
        let mut head = [0; MEDIA_RECORD_BYTES];
        head[0..4].copy_from_slice(&delta.to_le_bytes());
        head[4..6].copy_from_slice(&captured.to_le_bytes());
        head[6..8].copy_from_slice(&packet.wire_bytes.to_le_bytes());
        self.push(slab, delta, &head, packet.payload)
    }

    /// Appends a record of `head` and `body` that is `delta` ns after the chunk's first.
    #[inline]
    pub(crate) fn push<const H: usize>(
        &mut self,
        slab: &Slab<N>,
        delta: u32,
        head: &[u8; H],
        body: &[u8],
    ) -> bool {
        let start = self.used as usize;
        let end = start + H + body.len();
        // Blocks are whole multiples of 16, so what fits before the tag also fits when it is filled up.
        if end > N - TAG_BYTES {
            return false;
        }
        let bytes = slab.bytes_mut(&mut self.block);
        let Some((first, rest)) =
            bytes.get_mut(start..end).and_then(|room| room.split_first_chunk_mut())
        else {
            return false;
        };
        *first = *head;
        rest.copy_from_slice(body);
        self.used = end as u32;
        self.span = self.span.max(delta);
        self.records += 1;
        if let Some((clear, _)) = bytes.split_first_chunk_mut::<CHUNK_HEADER_CLEAR>() {
            put_counts(clear, self.span, self.records);
        }
        let payload_bytes = self.payload_bytes() as u32;
        slab.publish(&mut self.block, PAYLOAD_BYTES_AT, payload_bytes.to_le());
        true
    }

    /// Has what the next packet touches fetched: the header, and room for 20 ms of G.711.
    #[inline]
    pub(crate) fn prefetch(&self, slab: &Slab<N>) {
        let bytes = slab.bytes(&self.block);
        capture::prefetch_to_write(bytes.get(..CHUNK_HEADER_BYTES).unwrap_or_default());
        let (start, end) = (self.used as usize, N.min(self.used as usize + ROOM_FETCHED_BYTES));
        capture::prefetch_to_write(bytes.get(start..end).unwrap_or_default());
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

    /// The chunk takes no more records and lies at `locator`; gives its buffer away.
    pub(crate) fn seal(mut self, slab: &Slab<N>, locator: Locator) -> Block<N> {
        if let Some(place) = slab.bytes_mut(&mut self.block).get_mut(LOCATOR_AT..CHECK_AT) {
            place.copy_from_slice(&locator.to_bits().to_le_bytes());
        }
        slab.publish(&mut self.block, STATE_AT, STATE_SEALED.to_le());
        self.block
    }

    /// Gives the buffer away without what is in it.
    pub(crate) fn discard(mut self, slab: &Slab<N>) -> Block<N> {
        free(slab, &mut self.block);
        self.block
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::limits::CHUNK_BYTES;
    use capture::memory::Region;

    use super::*;
    use crate::format::Kind;
    use crate::locator::FlowId;
    use crate::records::{MediaRecords, well_formed};

    fn open() -> (Arc<Slab<CHUNK_BYTES>>, OpenChunk<CHUNK_BYTES>) {
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
        let (slab, mut fresh) = Region::anonymous(CHUNK_BYTES).unwrap().slab(1).unwrap();
        let chunk = OpenChunk::new(&slab, fresh.take().unwrap(), &header, &[7; FLOW_KEY_BYTES], 5);
        (slab, chunk)
    }

    fn packet(time: u64, payload: &[u8]) -> MediaPacket<'_> {
        MediaPacket { time: Timestamp::from_nanos(time), payload, wire_bytes: payload.len() as u16 }
    }

    #[test]
    fn the_header_is_valid_after_every_record() {
        let (slab, mut chunk) = open();
        let payload = [9; 172];
        for count in 0..22_u16 {
            let bytes = slab.bytes(&chunk.block).first_chunk::<CHUNK_HEADER_BYTES>().unwrap();
            let header = ChunkHeader::decode_in_memory(bytes).unwrap();
            assert_eq!(header.payload_bytes as usize, FLOW_KEY_BYTES + usize::from(count) * 180);
            assert_eq!((header.records, header.last()), (count, chunk.last()));
            assert_eq!(
                bytes[CHECK_AT..STATE_AT],
                memory_check(bytes.first_chunk().unwrap(), 5).to_le_bytes()
            );
            assert!(chunk.push_media(&slab, &packet(1_000 + u64::from(count) * 20, &payload)));
        }
        assert!(
            !chunk.push_media(&slab, &packet(2_000, &payload)),
            "22 packets of 20 ms of G.711 fill a chunk"
        );
        let payload_bytes = chunk.payload_bytes();
        let block = chunk.seal(&slab, Locator::new(1, 2, 128));
        let payload = &slab.bytes(&block)[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + payload_bytes];
        assert!(well_formed(Kind::Media, payload, 22, Timestamp::from_nanos(1_000)));
        assert_eq!(slab.bytes(&block)[STATE_AT..STATE_AT + 4], STATE_SEALED.to_le_bytes());
    }

    #[test]
    fn a_packet_before_the_first_or_too_late_is_not_taken() {
        let (slab, mut chunk) = open();
        assert!(!chunk.push_media(&slab, &packet(999, b"early")));
        assert!(!chunk.push_media(&slab, &packet(1_000 + (1 << 32), b"late")));
        assert!(chunk.push_media(&slab, &packet(1_000 + u64::from(u32::MAX), b"in time")));
        assert!(chunk.push_media(&slab, &packet(1_000, b"disordered, but not before the first")));
        assert_eq!(chunk.last(), Timestamp::from_nanos(1_000 + u64::from(u32::MAX)));
        let payload_bytes = chunk.payload_bytes();
        let block = chunk.discard(&slab);
        let payload = &slab.bytes(&block)[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + payload_bytes];
        let (_, records) = MediaRecords::new(payload, 2, Timestamp::from_nanos(1_000)).unwrap();
        assert_eq!(records.map(|packet| packet.payload.len()).collect::<Vec<_>>(), [7, 36]);
    }
}
