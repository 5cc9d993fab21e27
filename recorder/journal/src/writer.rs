//! The capture core's side: a packet is looked up, copied once into its flow's chunk, and that is all.
//!
//! After warm-up nothing here allocates, locks, waits or enters the kernel. The clock is what
//! [`Writer::seal_aged`] is told.

use std::time::Duration;

use base::limits::{
    CHUNK_AGE_MILLISECONDS_MAX, CHUNK_BYTES, CHUNKS_MAX, FLOWS_MAX, LARGE_CHUNK_BYTES,
    LARGE_CHUNKS_MAX, SEGMENT_BYTES_MAX, SIP_MESSAGE_BYTES_MAX,
};
use base::{FlowKey, MediaPacket, Timestamp, Transport};

use crate::arena::Arena;
use crate::chunk::{OpenChunk, fits_empty};
use crate::error::Refused;
use crate::flows::{ChainEnd, Counts, FlowSummary, FlowTable};
use crate::format::{Kind, SEGMENT_HEADER_BYTES};
use crate::locator::{FlowId, Locator};
use crate::pool::{Pool, Pools};
use crate::records::{encode_flow_key, encode_signalling};
use crate::tail::Tail;

const CHUNK_AGE_MAX: Duration = Duration::from_millis(CHUNK_AGE_MILLISECONDS_MAX);

/// How much one capture core's writer may hold. Values out of range are brought into it.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Flows at once, 1 to [`FLOWS_MAX`].
    pub flows_max: usize,
    /// Buffers of [`CHUNK_BYTES`] for media, 1 to [`CHUNKS_MAX`]: one per flow that receives packets, and those on
    /// their way to the disk. Memory is taken when they are first used.
    pub chunks_max: usize,
    /// Buffers of [`LARGE_CHUNK_BYTES`] for signalling and large datagrams, 2 to [`LARGE_CHUNKS_MAX`]; half of
    /// them are kept for signalling.
    pub large_chunks_max: usize,
    /// Bytes of a segment, at most [`SEGMENT_BYTES_MAX`].
    pub segment_bytes_max: u64,
    /// What is written cannot be had again. A buffer is then used again only when what was in it is durable, so
    /// that a disk which loses what it has not flushed loses nothing, and room for segments is reserved. Without
    /// it (a capture file is read, and would be read again) a buffer is free as soon as it is written, and
    /// stays in the caches.
    pub live: bool,
    /// Unless it is live: what is sealed stays in memory, readable, and is only written when the buffers run short.
    /// What is released before that never is.
    pub hold: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            flows_max: FLOWS_MAX,
            chunks_max: CHUNKS_MAX,
            large_chunks_max: LARGE_CHUNKS_MAX,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            live: true,
            hold: false,
        }
    }
}

impl WriterOptions {
    /// Whether what is sealed stays in memory.
    pub(crate) const fn holds(&self) -> bool {
        self.hold && !self.live
    }

    /// The options with every value in its range.
    pub(crate) fn in_range(&self) -> Self {
        let segment_bytes_min = (SEGMENT_HEADER_BYTES + LARGE_CHUNK_BYTES) as u64;
        Self {
            flows_max: self.flows_max.clamp(1, FLOWS_MAX),
            chunks_max: self.chunks_max.clamp(1, CHUNKS_MAX),
            large_chunks_max: self.large_chunks_max.clamp(2, LARGE_CHUNKS_MAX),
            segment_bytes_max: self.segment_bytes_max.clamp(segment_bytes_min, SEGMENT_BYTES_MAX),
            live: self.live,
            hold: self.hold,
        }
    }
}

/// A packet was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its flow.
    pub flow: FlowId,
    /// Whether this packet is the flow's first.
    pub opened: bool,
    /// Whether somebody [listens](Writer::overhear) to the flow.
    pub overheard: bool,
}

/// The journal of one capture core, for the thread that receives its packets.
///
/// What is in an open chunk is not written if the writer is dropped: [`Writer::seal_all`] first.
pub struct Writer {
    flows: FlowTable,
    signalling: SignallingLog,
    small: Pool<CHUNK_BYTES>,
    large: Pool<LARGE_CHUNK_BYTES>,
    /// Large buffers that datagrams leave for signalling.
    large_spared: usize,
    tail: Tail,
    arena: Arena,
    now: Timestamp,
}

/// The one chain of a core's SIP messages.
struct SignallingLog {
    open: Option<OpenChunk<LARGE_CHUNK_BYTES>>,
    open_since: Timestamp,
    chain: ChainEnd,
}

impl Writer {
    /// Options are in range.
    pub(crate) fn new(
        options: &WriterOptions,
        flows: FlowTable,
        tail: Tail,
        (small, large): Pools,
        arena: Arena,
    ) -> Self {
        let chain = ChainEnd { needed_from: tail.segment(), ..ChainEnd::default() };
        Self {
            flows,
            signalling: SignallingLog { open: None, open_since: Timestamp::ZERO, chain },
            small,
            large,
            large_spared: options.large_chunks_max / 2,
            tail,
            arena,
            now: Timestamp::ZERO,
        }
    }

    /// Which capture core this is.
    #[must_use]
    pub const fn core(&self) -> u8 {
        self.tail.core()
    }

    /// Sealed chunks that the appender has not taken yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.tail.pending()
    }

    /// How many of the buffers for media are in use, in percent: open, one a flow, or on their way to the disk.
    #[must_use]
    pub fn memory_used_percent(&self) -> u8 {
        self.small.used_percent()
    }

    /// Appends a datagram to the flow `key`, which is opened if it is new. RTCP and whatever else comes to a
    /// media endpoint is appended alike.
    ///
    /// # Errors
    /// The flow table is full, or no buffer is free; a flow is then not opened by this packet. Or the payload
    /// is longer than 65,535 bytes.
    #[inline]
    pub fn media(&mut self, key: &FlowKey, packet: MediaPacket<'_>) -> Result<Appended, Refused> {
        let Some(slot) = self.flows.find(key) else { return self.media_of_new_flow(key, &packet) };
        let flow = self.flows.at_mut(slot);
        let (id, overheard) = (FlowId { slot, generation: flow.generation() }, flow.overheard);
        let appended = Appended { flow: id, opened: false, overheard };
        if let Some(open) = &mut flow.open
            && open.push_media(self.small.slab(), &packet)
        {
            self.arena.took_one();
            return Ok(appended);
        }
        self.media_in_new_chunk(slot, &packet).map(|()| appended)
    }

    /// A packet of this flow comes soon, some packets after the next: what it will touch is fetched meanwhile.
    #[inline]
    pub fn ahead(&mut self, key: &FlowKey) {
        if let Some(slot) = self.flows.ahead(key)
            && let Some(open) = &self.flows.at(slot).open
        {
            open.prefetch(self.small.slab());
        }
    }

    #[cold]
    fn media_of_new_flow(
        &mut self,
        key: &FlowKey,
        packet: &MediaPacket<'_>,
    ) -> Result<Appended, Refused> {
        let slot =
            self.flows.open(key, self.tail.segment(), packet).ok_or(Refused::FlowTableFull)?;
        if let Err(refused) = self.media_in_new_chunk(slot, packet) {
            self.flows.close(slot);
            return Err(refused);
        }
        let flow = FlowId { slot, generation: self.flows.at(slot).generation() };
        Ok(Appended { flow, opened: true, overheard: false })
    }

    #[inline(never)]
    fn media_in_new_chunk(&mut self, slot: u32, packet: &MediaPacket<'_>) -> Result<(), Refused> {
        if packet.payload.len() > usize::from(u16::MAX) {
            return Err(Refused::TooLong);
        }
        self.seal_slot(slot);
        if !fits_empty::<CHUNK_BYTES>(packet.payload.len()) {
            return self.media_in_large_chunk(slot, packet);
        }
        let block = self.small.take().ok_or(Refused::JournalFull)?;
        let flow = self.flows.at_mut(slot);
        let id = FlowId { slot, generation: flow.generation() };
        let header = flow.chain.next_header(Kind::Media, id, packet.time);
        let (slab, key) = (self.small.slab(), encode_flow_key(flow.key()));
        let mut chunk = OpenChunk::new(slab, block, &header, &key, self.arena.stamp());
        let pushed = chunk.push_media(slab, packet);
        assert!(pushed, "a datagram that fits an empty chunk fits this one");
        self.arena.took_one();
        flow.open = Some(chunk);
        self.flows.link(slot, self.now);
        Ok(())
    }

    /// A chunk of its own, sealed at once: large buffers are few.
    fn media_in_large_chunk(&mut self, slot: u32, packet: &MediaPacket<'_>) -> Result<(), Refused> {
        let block = self.large.take_sparing(self.large_spared).ok_or(Refused::JournalFull)?;
        let flow = self.flows.at_mut(slot);
        let id = FlowId { slot, generation: flow.generation() };
        let header = flow.chain.next_header(Kind::Media, id, packet.time);
        let (slab, key) = (self.large.slab(), encode_flow_key(flow.key()));
        let mut chunk = OpenChunk::new(slab, block, &header, &key, self.arena.stamp());
        let pushed = chunk.push_media(slab, packet);
        assert!(pushed, "every datagram fits a large chunk");
        self.arena.took_one();
        let counts = Counts::of(&chunk);
        let locator = self.tail.append(Kind::Media, chunk, slab);
        flow.extend(locator, &counts);
        Ok(())
    }

    /// Appends a SIP message that came at `time`.
    ///
    /// # Errors
    /// No large buffer is free, or the message is longer than [`SIP_MESSAGE_BYTES_MAX`].
    pub fn signalling(
        &mut self,
        time: Timestamp,
        key: &FlowKey,
        transport: Transport,
        message: &[u8],
    ) -> Result<(), Refused> {
        if message.len() > SIP_MESSAGE_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let head = encode_signalling(time, key, transport, message.len() as u32);
        if let Some(open) = &mut self.signalling.open
            && let Some(delta) = open.delta(time)
            && open.push(self.large.slab(), delta, &head, message)
        {
            self.arena.took_one();
            return Ok(());
        }
        self.seal_signalling();
        let block = self.large.take().ok_or(Refused::JournalFull)?;
        let header = self.signalling.chain.next_header(Kind::Signalling, FlowId::SIGNALLING, time);
        let slab = self.large.slab();
        let mut chunk = OpenChunk::new(slab, block, &header, &[], self.arena.stamp());
        let pushed = chunk.push(slab, 0, &head, message);
        assert!(pushed, "every message fits an empty chunk");
        self.arena.took_one();
        self.signalling.open = Some(chunk);
        self.signalling.open_since = self.now;
        Ok(())
    }

    /// The open flow with this key.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowId> {
        let slot = self.flows.find(key)?;
        Some(FlowId { slot, generation: self.flows.at(slot).generation() })
    }

    /// What is known of a flow; `None` once it is forgotten.
    #[must_use]
    pub fn flow(&self, flow: FlowId) -> Option<FlowSummary> {
        self.flows.resolve(flow).map(|slot| self.flows.summary(slot))
    }

    /// Every flow that is not forgotten.
    pub fn flows(&self) -> impl Iterator<Item = (FlowId, FlowSummary)> {
        self.flows.iter().map(|(id, _)| (id, self.flows.summary(id.slot)))
    }

    /// From now on, whether somebody listens to the flow: its packets are told apart by it. `false` if the flow is
    /// forgotten; the next with its key is another.
    pub fn overhear(&mut self, flow: FlowId, on: bool) -> bool {
        let Some(slot) = self.flows.resolve(flow) else { return false };
        self.flows.at_mut(slot).overheard = on;
        true
    }

    /// Seals the flow's open chunk and gives the end of its chain, for [`crate::Reader::chain`]. `None` if the
    /// flow is forgotten.
    pub fn seal_flow(&mut self, flow: FlowId) -> Option<Locator> {
        let slot = self.flows.resolve(flow)?;
        self.seal_slot(slot);
        self.flows.at(slot).chain.previous
    }

    /// Seals the chunks that are older than [`CHUNK_AGE_MILLISECONDS_MAX`] at `now`, and gives their number.
    /// `now` is a clock of the caller's choice, told at least a few times per age limit; should it jump, back
    /// or forth, chunks are sealed early.
    pub fn seal_aged(&mut self, now: Timestamp) -> usize {
        self.now = now;
        let due = |since: Timestamp| now.since(since).max(since.since(now)) >= CHUNK_AGE_MAX;
        let mut sealed = 0;
        while let Some((slot, _)) = self.flows.oldest().filter(|(_, since)| due(*since)) {
            self.seal_slot(slot);
            sealed += 1;
        }
        if due(self.signalling.open_since) {
            sealed += usize::from(self.seal_signalling());
        }
        sealed
    }

    /// Seals every open chunk, and gives their number.
    pub fn seal_all(&mut self) -> usize {
        usize::from(self.seal_signalling()) + self.seal_oldest(usize::MAX)
    }

    /// Seals the open chunks of flows that are the oldest, `count` of them at most, and gives their number.
    pub fn seal_oldest(&mut self, count: usize) -> usize {
        let mut sealed = 0;
        while sealed < count
            && let Some((slot, _)) = self.flows.oldest()
        {
            self.seal_slot(slot);
            sealed += 1;
        }
        sealed
    }

    /// Seals the open chunk of signalling; `false` if there is none.
    pub fn seal_signalling(&mut self) -> bool {
        let Some(chunk) = self.signalling.open.take() else { return false };
        let last = chunk.last();
        let locator = self.tail.append(Kind::Signalling, chunk, self.large.slab());
        self.signalling.chain.extend(locator, last);
        true
    }

    /// Frees the flow's slot: what it holds is finished or not wanted. Its open chunk is dropped, its sealed
    /// ones are no longer needed. A later packet with the same key opens a new flow. `false` if it is
    /// forgotten already.
    pub fn forget_flow(&mut self, flow: FlowId) -> bool {
        let Some(slot) = self.flows.resolve(flow) else { return false };
        if let Some(chunk) = self.flows.at_mut(slot).open.take() {
            self.flows.unlink(slot);
            let block = chunk.discard(self.small.slab());
            self.small.give(block);
        }
        self.flows.close(slot);
        true
    }

    /// What the flow received before `time` is no longer needed: the call that claimed it is finished, the next
    /// one on the same addresses goes on.
    pub fn release_before(&mut self, flow: FlowId, time: Timestamp) {
        let Some(slot) = self.flows.resolve(flow) else { return };
        let needed_from = self.flows.at(slot).chain.needed_from;
        let needed_from = self.tail.first_needed(needed_from, Kind::Media, time);
        self.flows.at_mut(slot).chain.needed_from = needed_from;
    }

    /// Signalling from before `time` is no longer needed: every call that it belongs to is finished.
    pub fn release_signalling_before(&mut self, time: Timestamp) {
        let chain = &mut self.signalling.chain;
        chain.needed_from = self.tail.first_needed(chain.needed_from, Kind::Signalling, time);
    }

    /// The oldest segment that a flow or the signalling still needs, for [`crate::Appender::release_before`].
    /// Looks at every flow: to be asked every few seconds.
    pub fn needed_from(&mut self) -> u32 {
        let flows = self.flows.iter().map(|(_, flow)| flow.chain.needed_from).min();
        let needed = flows.unwrap_or(u32::MAX).min(self.signalling.chain.needed_from);
        let needed = needed.min(self.tail.segment());
        self.tail.forget_before(needed);
        needed
    }

    /// Seals the open chunk in `slot`, if there is one.
    fn seal_slot(&mut self, slot: u32) {
        let flow = self.flows.at_mut(slot);
        let Some(chunk) = flow.open.take() else { return };
        let counts = Counts::of(&chunk);
        let locator = self.tail.append(Kind::Media, chunk, self.small.slab());
        flow.extend(locator, &counts);
        self.flows.unlink(slot);
    }
}
