//! The flow table of one writer: from a flow key to a slot with the flow's open chunk and its chain.
//!
//! All of it is laid out at the start; a packet of a known flow touches one line of the index, two of its slot,
//! and the chunk buffer. Slots with an open chunk are linked in the order in which their chunks were opened,
//! so that sealing what is old costs nothing for what is not.

use std::hash::{BuildHasher, Hasher};
use std::io;

use base::limits::CHUNK_BYTES;
use base::{Endpoint, FlowKey, MediaPacket, Timestamp};
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use crate::chunk::OpenChunk;
use crate::format::{ChunkHeader, Kind};
use crate::index::Index;
use crate::locator::{FlowId, Locator};
use crate::records::{FLOW_KEY_BYTES, MEDIA_RECORD_BYTES};

/// No slot.
const NONE: u32 = u32::MAX;

/// What is known of a flow without reading its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSummary {
    /// Which domain, from where to where.
    pub key: FlowKey,
    /// Its first packet's time.
    pub opened: Timestamp,
    /// Its latest packet's time.
    pub last: Timestamp,
    /// Datagrams.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// What the first datagram looked like.
    pub rtp: Option<RtpHint>,
    /// The last sealed chunk: the end of the flow's chain.
    pub end: Option<Locator>,
}

/// The first datagram of a flow read as RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHint {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
}

impl RtpHint {
    /// If `payload` has the length and version of RTP (RFC 3550, 5.1) and is not RTCP (RFC 5761, 4).
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let header: &[u8; 12] = payload.first_chunk()?;
        let looks_like_rtp = header[0] >> 6 == 2 && !(192..=223).contains(&header[1]);
        looks_like_rtp.then(|| Self {
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload_type: header[1] & 0x7f,
        })
    }
}

/// The end of a chain of chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChainEnd {
    /// The last sealed chunk.
    pub(crate) previous: Option<Locator>,
    /// The latest time in all sealed chunks.
    pub(crate) latest: Timestamp,
    /// The segment of the oldest chunk that is still needed, or an earlier one.
    pub(crate) needed_from: u32,
}

impl ChainEnd {
    /// The header of the chunk that comes next, whose first record is at `first`.
    pub(crate) fn next_header(&self, kind: Kind, flow: FlowId, first: Timestamp) -> ChunkHeader {
        let (latest_before, previous) = (self.latest, self.previous);
        ChunkHeader {
            kind,
            flow,
            records: 0,
            payload_bytes: 0,
            first,
            span: 0,
            latest_before,
            previous,
        }
    }

    /// A chunk whose latest record is at `last` was sealed.
    pub(crate) fn extend(&mut self, locator: Locator, last: Timestamp) {
        self.previous = Some(locator);
        self.latest = self.latest.max(last);
    }
}

/// One slot. What a packet touches comes first: two cache lines.
#[repr(C, align(64))]
pub(crate) struct Flow {
    key: FlowKey,
    pub(crate) open: Option<OpenChunk<CHUNK_BYTES>>,
    generation: u32,
    live: bool,
    /// Somebody listens to it.
    pub(crate) overheard: bool,
    pub(crate) chain: ChainEnd,
    opened: Timestamp,
    sealed_packets: u64,
    sealed_bytes: u64,
    rtp: Option<RtpHint>,
    /// When its open chunk was opened, on the clock that the writer was told.
    open_since: Timestamp,
    /// Neighbours among the slots with an open chunk; of a free slot, the next free one.
    older: u32,
    newer: u32,
}

impl Flow {
    fn new(key: FlowKey, generation: u32, segment: u32, first: &MediaPacket<'_>) -> Self {
        Self {
            key,
            open: None,
            generation,
            live: true,
            overheard: false,
            chain: ChainEnd { needed_from: segment, ..ChainEnd::default() },
            opened: first.time,
            sealed_packets: 0,
            sealed_bytes: 0,
            rtp: RtpHint::of(first.payload),
            open_since: Timestamp::ZERO,
            older: NONE,
            newer: NONE,
        }
    }

    pub(crate) const fn key(&self) -> &FlowKey {
        &self.key
    }

    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// A chunk of the flow was sealed and lies at `locator`.
    pub(crate) fn extend(&mut self, locator: Locator, sealed: &Counts) {
        self.chain.extend(locator, sealed.last);
        self.sealed_packets += sealed.packets;
        self.sealed_bytes += sealed.bytes;
    }

    fn summary(&self) -> FlowSummary {
        let open = self.open.as_ref().map(Counts::of).unwrap_or_default();
        FlowSummary {
            key: self.key,
            opened: self.opened,
            last: self.chain.latest.max(open.last),
            packets: self.sealed_packets + open.packets,
            bytes: self.sealed_bytes + open.bytes,
            rtp: self.rtp,
            end: self.chain.previous,
        }
    }
}

/// What a media chunk holds.
#[derive(Default)]
pub(crate) struct Counts {
    packets: u64,
    bytes: u64,
    last: Timestamp,
}

impl Counts {
    pub(crate) fn of<const N: usize>(chunk: &OpenChunk<N>) -> Self {
        let packets = usize::from(chunk.records());
        let bytes = chunk.payload_bytes() - FLOW_KEY_BYTES - packets * MEDIA_RECORD_BYTES;
        Self { packets: packets as u64, bytes: bytes as u64, last: chunk.last() }
    }
}

/// Packets from one stage of fetching to the next: as long as memory takes.
const STAGE_PACKETS: usize = 4;

/// Flows whose packets come soon, in a ring.
#[derive(Default)]
struct Coming {
    stages: [Stage; STAGE_PACKETS],
    at: usize,
}

#[derive(Clone, Copy, Default)]
struct Stage {
    /// Of a flow whose place in the index is on its way.
    hash: u64,
    /// A flow that is on its way itself.
    slot: Option<u32>,
}

impl Coming {
    /// Where it was noted what came a stage ago, to be replaced.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the place is kept within the ring")]
    fn next(&mut self) -> &mut Stage {
        self.at = (self.at + 1) % STAGE_PACKETS;
        &mut self.stages[self.at]
    }
}

/// All flows of one writer.
pub(crate) struct FlowTable {
    index: Index,
    hasher: SeedableRandomState,
    slots: Vec<Flow>,
    coming: Coming,
    flows_max: usize,
    free: u32,
    oldest: u32,
    newest: u32,
}

impl FlowTable {
    /// Room for `flows_max` flows. `seed` is secret: who sends packets chooses the keys.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn new(flows_max: usize, seed: u64) -> io::Result<Self> {
        let mut slots = Vec::with_capacity(flows_max);
        capture::memory::in_huge_pages(&mut slots);
        Ok(Self {
            index: Index::new(flows_max)?,
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            slots,
            coming: Coming::default(),
            flows_max,
            free: NONE,
            oldest: NONE,
            newest: NONE,
        })
    }

    /// The slot of the flow with this key.
    #[inline]
    pub(crate) fn find(&self, key: &FlowKey) -> Option<u32> {
        let hash = hash(&self.hasher, key);
        self.index.find(hash, |slot| self.at(slot).key == *key)
    }

    /// A packet of this flow comes soon. What it needs of the table is fetched in stages: its place in the index;
    /// some packets later, with that at hand, its slot; and some later the slot is given, for what it points to.
    #[inline]
    pub(crate) fn ahead(&mut self, key: &FlowKey) -> Option<u32> {
        let hash = hash(&self.hasher, key);
        self.index.prefetch(hash);
        let stage = self.coming.next();
        let before = std::mem::replace(&mut stage.hash, hash);
        let slot = self.index.find(before, |_| true).and_then(|slot| {
            let flow = self.slots.get(slot as usize)?;
            capture::prefetch(&flow.key);
            capture::prefetch(&flow.generation);
            Some(slot)
        });
        std::mem::replace(&mut stage.slot, slot)
    }

    /// A slot for a flow that is not in the table; `None` if it is full.
    pub(crate) fn open(
        &mut self,
        key: &FlowKey,
        segment: u32,
        first: &MediaPacket<'_>,
    ) -> Option<u32> {
        let slot = if self.free != NONE {
            let slot = self.free;
            let flow = self.at_mut(slot);
            let (next, generation) = (flow.newer, flow.generation.wrapping_add(1));
            *flow = Flow::new(*key, generation, segment, first);
            self.free = next;
            slot
        } else if self.slots.len() < self.flows_max {
            self.slots.push(Flow::new(*key, 0, segment, first));
            self.slots.len() as u32 - 1
        } else {
            return None;
        };
        self.index.insert(hash(&self.hasher, key), slot);
        Some(slot)
    }

    /// Frees a slot whose chunk has been taken out.
    pub(crate) fn close(&mut self, slot: u32) {
        let flow = self.at(slot);
        assert!(flow.live && flow.open.is_none(), "a flow is closed once, without its chunk");
        let hash = hash(&self.hasher, &flow.key);
        self.index.remove(hash, slot);
        let free = self.free;
        let flow = self.at_mut(slot);
        flow.live = false;
        flow.newer = free;
        self.free = slot;
    }

    /// The slot of a flow that has not been closed since.
    pub(crate) fn resolve(&self, flow: FlowId) -> Option<u32> {
        let found = self.slots.get(flow.slot as usize)?;
        (found.live && found.generation == flow.generation).then_some(flow.slot)
    }

    /// The flow in a slot that [`FlowTable::find`], [`FlowTable::open`] or [`FlowTable::resolve`] gave.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "slots are given out by this table and never removed"
    )]
    pub(crate) fn at(&self, slot: u32) -> &Flow {
        &self.slots[slot as usize]
    }

    /// The same, to change it.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "slots are given out by this table and never removed"
    )]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Flow {
        &mut self.slots[slot as usize]
    }

    /// Every flow that is open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        let numbered = (0..).zip(&self.slots);
        numbered.filter(|(_, flow)| flow.live).map(|(slot, flow)| {
            let id = FlowId { slot, generation: flow.generation };
            (id, flow)
        })
    }

    /// What is known of the flow in `slot`.
    pub(crate) fn summary(&self, slot: u32) -> FlowSummary {
        self.at(slot).summary()
    }

    /// The slot whose chunk was opened first, and when.
    pub(crate) fn oldest(&self) -> Option<(u32, Timestamp)> {
        (self.oldest != NONE).then(|| (self.oldest, self.at(self.oldest).open_since))
    }

    /// A chunk was opened in `slot`.
    pub(crate) fn link(&mut self, slot: u32, now: Timestamp) {
        let newest = self.newest;
        let flow = self.at_mut(slot);
        flow.open_since = now;
        (flow.older, flow.newer) = (newest, NONE);
        if newest == NONE {
            self.oldest = slot;
        } else {
            self.at_mut(newest).newer = slot;
        }
        self.newest = slot;
    }

    /// The chunk of `slot` was sealed or taken out.
    pub(crate) fn unlink(&mut self, slot: u32) {
        let flow = self.at(slot);
        let (older, newer) = (flow.older, flow.newer);
        if older == NONE {
            self.oldest = newer;
        } else {
            self.at_mut(older).newer = newer;
        }
        if newer == NONE {
            self.newest = older;
        } else {
            self.at_mut(newer).older = older;
        }
    }
}

#[inline]
fn hash(hasher: &SeedableRandomState, key: &FlowKey) -> u64 {
    let mut hasher = hasher.build_hasher();
    let address = |endpoint: &Endpoint| u128::from_ne_bytes(endpoint.octets());
    hasher.write_u128(address(&key.source));
    hasher.write_u128(address(&key.destination));
    hasher.write_u64(key.domain.0);
    hasher.write_u32(u32::from(key.source.port()) << 16 | u32::from(key.destination.port()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        FlowKey { source: Endpoint::v4([192, 0, 2, 1], port), ..FlowKey::default() }
    }

    fn open(table: &mut FlowTable, port: u16) -> Option<u32> {
        let first = MediaPacket { time: Timestamp::ZERO, payload: &[], wire_bytes: 0 };
        table.open(&key(port), 0, &first)
    }

    #[test]
    fn a_slot_is_used_again_with_another_generation() {
        let mut table = FlowTable::new(2, 1).unwrap();
        let first = open(&mut table, 1).unwrap();
        let second = open(&mut table, 2).unwrap();
        assert_eq!(open(&mut table, 3), None, "full");
        table.close(first);
        assert_eq!(table.find(&key(1)), None);
        let third = open(&mut table, 3).unwrap();
        assert_eq!(third, first);
        assert_eq!(table.resolve(FlowId { slot: first, generation: 0 }), None);
        assert_eq!(table.resolve(FlowId { slot: first, generation: 1 }), Some(first));
        assert_eq!((table.find(&key(2)), table.find(&key(3))), (Some(second), Some(third)));
        assert_eq!(table.iter().count(), 2);
    }

    #[test]
    fn a_flow_told_of_ahead_is_found_two_stages_later_and_one_that_is_not_there_is_not() {
        let mut table = FlowTable::new(8, 1).unwrap();
        let slots: Vec<u32> = (1..=2).map(|port| open(&mut table, port).unwrap()).collect();
        let ports = [1, 2, 99, 1];
        let told = ports.map(|port| table.ahead(&key(port)));
        assert_eq!(told, [None; STAGE_PACKETS], "nothing was told of before");
        let told = ports.map(|port| table.ahead(&key(port)));
        assert_eq!(told, [None; STAGE_PACKETS], "their slots are on their way");
        let told = ports.map(|port| table.ahead(&key(port)));
        assert_eq!(told, [Some(slots[0]), Some(slots[1]), None, Some(slots[0])]);
    }

    #[test]
    fn open_chunks_are_linked_by_age() {
        let mut table = FlowTable::new(8, 1).unwrap();
        let slots: Vec<u32> = (1..=4).map(|port| open(&mut table, port).unwrap()).collect();
        for (slot, now) in slots.iter().zip(10..) {
            table.link(*slot, Timestamp::from_nanos(now));
        }
        table.unlink(slots[1]);
        table.unlink(slots[3]);
        table.link(slots[1], Timestamp::from_nanos(20));
        let mut order = Vec::new();
        while let Some((slot, since)) = table.oldest() {
            order.push((slot, since.as_nanos()));
            table.unlink(slot);
        }
        assert_eq!(order, [(slots[0], 10), (slots[2], 12), (slots[1], 20)]);
    }

    #[test]
    fn rtcp_is_not_taken_for_rtp() {
        let mut payload = [0x80, 0xc8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(RtpHint::of(&payload), None);
        payload[1] = 0x88;
        assert_eq!(RtpHint::of(&payload), Some(RtpHint { ssrc: 0x0102_0304, payload_type: 8 }));
        assert_eq!(RtpHint::of(&payload[..11]), None);
    }
}
