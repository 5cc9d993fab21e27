//! The end of one core's journal: places chunks, remembers which times lie in which segment.

use std::collections::VecDeque;

use base::Timestamp;
use capture::memory::{Block, Slab};

use crate::arena::Arena;
use crate::chunk::OpenChunk;
use crate::format::{CHUNK_OVERHEAD, Kind, SEGMENT_HEADER_BYTES, padded};
use crate::locator::Locator;
use crate::pool::{Memory, Outlet, Sealed};

/// Segments that can be remembered before the list grows: 64 GiB.
const SEGMENTS_EXPECTED: usize = 1_024;

/// Where the next chunk goes.
pub(crate) struct Tail {
    core: u8,
    segment: u32,
    offset: u64,
    segment_bytes: u64,
    outlet: Outlet,
    arena: Arena,
    /// The segments that may still be needed, oldest first.
    kept: VecDeque<Kept>,
}

/// The latest times in one segment.
struct Kept {
    segment: u32,
    media: Timestamp,
    signalling: Timestamp,
}

impl Kept {
    const fn latest(&self, kind: Kind) -> Timestamp {
        match kind {
            Kind::Media => self.media,
            Kind::Signalling => self.signalling,
        }
    }

    fn raise(&mut self, kind: Kind, time: Timestamp) {
        let latest = match kind {
            Kind::Media => &mut self.media,
            Kind::Signalling => &mut self.signalling,
        };
        *latest = time.max(*latest);
    }
}

impl Tail {
    /// Begins at segment `segment` of `core`; segments grow to `segment_bytes`.
    pub(crate) fn new(
        core: u8,
        segment: u32,
        segment_bytes: u64,
        outlet: Outlet,
        arena: Arena,
    ) -> Self {
        let offset = SEGMENT_HEADER_BYTES as u64;
        let kept = VecDeque::with_capacity(SEGMENTS_EXPECTED);
        Self { core, segment, offset, segment_bytes, outlet, arena, kept }
    }

    pub(crate) const fn core(&self) -> u8 {
        self.core
    }

    /// The segment that the next chunk goes into, or the one before.
    pub(crate) const fn segment(&self) -> u32 {
        self.segment
    }

    pub(crate) fn pending(&self) -> usize {
        self.outlet.pending()
    }

    /// Gives `chunk` its place and hands its buffer to the appender.
    pub(crate) fn append<const N: usize>(
        &mut self,
        kind: Kind,
        chunk: OpenChunk<N>,
        slab: &Slab<N>,
    ) -> Locator
    where
        Memory: From<Block<N>>,
    {
        let payload_bytes = chunk.payload_bytes();
        let locator = self.place((padded(payload_bytes) + CHUNK_OVERHEAD) as u64);
        self.note(kind, chunk.last());
        let memory = Memory::from(chunk.seal(slab, locator));
        self.outlet.push(Sealed { locator, payload_bytes: payload_bytes as u32, memory });
        locator
    }

    fn place(&mut self, chunk_bytes: u64) -> Locator {
        if self.offset + chunk_bytes > self.segment_bytes {
            self.segment += 1;
            self.offset = SEGMENT_HEADER_BYTES as u64;
            self.arena.set_tail(self.segment);
        }
        let locator = Locator::new(self.core, self.segment, self.offset as u32);
        self.offset += chunk_bytes;
        locator
    }

    fn note(&mut self, kind: Kind, last: Timestamp) {
        if self.kept.back().is_none_or(|kept| kept.segment != self.segment) {
            let (media, signalling) = (Timestamp::ZERO, Timestamp::ZERO);
            self.kept.push_back(Kept { segment: self.segment, media, signalling });
        }
        if let Some(kept) = self.kept.back_mut() {
            kept.raise(kind, last);
        }
    }

    /// The first segment from `from` on that may hold a record of this kind at `time` or later. Holds in
    /// whatever order the times came.
    pub(crate) fn first_needed(&self, from: u32, kind: Kind, time: Timestamp) -> u32 {
        let needed = |kept: &&Kept| kept.segment >= from && kept.latest(kind) >= time;
        self.kept.iter().find(needed).map_or(self.segment, |kept| kept.segment)
    }

    /// Segments before `segment` are not needed by anyone.
    pub(crate) fn forget_before(&mut self, segment: u32) {
        while self.kept.front().is_some_and(|kept| kept.segment < segment) {
            self.kept.pop_front();
        }
    }
}
