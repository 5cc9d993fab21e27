//! Chunks that stay in memory until their buffers are needed ([`crate::WriterOptions::hold`]).
//!
//! Who reads them finds them here, in the clear as they were taken. Those that are not needed any more are never
//! written; when buffers run short, the oldest are, and are here until they can be read in the file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::limits::CHUNKS_PER_WRITE_MAX;
use hashbrown::HashMap;

use crate::cipher::SegmentCipher;
use crate::format::{CHUNK_HEADER_BYTES, ChunkHeader, padded};
use crate::locator::Locator;
use crate::pool::{Handover, Sealed, Slabs};

/// Chunks that change hands under one lock: readers do not wait longer.
const TURN_CHUNKS: usize = 256;

/// The chunks of one core that are in memory.
pub(crate) struct Held {
    slabs: Slabs,
    chunks: RwLock<Chunks>,
    /// Segments before this are not kept.
    released: AtomicU32,
}

struct Chunks {
    /// In the order of their places. By their places alone they would be searched for in ten steps, each a wait for
    /// memory.
    queue: VecDeque<Locator>,
    by_place: HashMap<Locator, Sealed>,
    large: usize,
}

impl Held {
    pub(crate) fn new(slabs: Slabs) -> Self {
        let count = slabs.small.count() as usize + slabs.large.count() as usize;
        let queue = VecDeque::with_capacity(count);
        let chunks = Chunks { queue, by_place: HashMap::with_capacity(count), large: 0 };
        Self { slabs, chunks: RwLock::new(chunks), released: AtomicU32::new(0) }
    }

    /// Takes what is sealed, and gives the number.
    pub(crate) fn take_from(&self, handover: &mut Handover) -> usize {
        let mut taken = 0;
        while handover.pending() > 0 {
            let mut chunks = self.write();
            let sealed = std::iter::from_fn(|| handover.pop()).take(TURN_CHUNKS);
            for sealed in sealed {
                chunks.large += usize::from(sealed.is_large());
                chunks.queue.push_back(sealed.locator);
                chunks.by_place.insert(sealed.locator, sealed);
                taken += 1;
            }
        }
        taken
    }

    /// Whether so many buffers are in use here that few are left.
    pub(crate) fn is_full(&self) -> bool {
        let chunks = self.read();
        let (small, large) = (self.slabs.small.count() as usize, self.slabs.large.count() as usize);
        chunks.queue.len() - chunks.large > small / 16 * 15 || chunks.large > large / 2
    }

    pub(crate) fn contains(&self, locator: Locator) -> bool {
        self.read().by_place.contains_key(&locator)
    }

    /// Whether what was at `locator` is not kept.
    pub(crate) fn is_released(&self, locator: Locator) -> bool {
        locator.segment() < self.released.load(Ordering::Acquire)
    }

    /// The header of the chunk at `locator`, as it would be in the file.
    pub(crate) fn header(&self, locator: Locator) -> Option<ChunkHeader> {
        let chunks = self.read();
        let (header, _) = self.decode(chunks.by_place.get(&locator)?)?;
        Some(header)
    }

    /// Appends the chunk at `locator` to `bytes` as it is in the file when it is decrypted, but for its tags, if
    /// `wanted`. Gives its header.
    pub(crate) fn copy(
        &self,
        locator: Locator,
        wanted: impl FnOnce(&ChunkHeader) -> bool,
        bytes: &mut Vec<u8>,
    ) -> Option<ChunkHeader> {
        let chunks = self.read();
        let (header, memory) = self.decode(chunks.by_place.get(&locator)?)?;
        if wanted(&header) {
            let end = bytes.len() + header.chunk_bytes();
            bytes.extend_from_slice(memory);
            bytes.resize(end, 0);
        }
        Some(header)
    }

    /// The header of a chunk with the length that it has in the file, and what is used of its memory.
    fn decode<'a>(&'a self, sealed: &'a Sealed) -> Option<(ChunkHeader, &'a [u8])> {
        let memory = self.slabs.bytes(&sealed.memory);
        let mut header = ChunkHeader::decode_in_memory(memory.first_chunk()?)?;
        let used = memory.get(..CHUNK_HEADER_BYTES + sealed.payload_bytes as usize)?;
        header.payload_bytes = padded(sealed.payload_bytes as usize) as u32;
        Some((header, used))
    }

    /// Where the oldest chunk is.
    pub(crate) fn oldest(&self) -> Option<Locator> {
        self.read().queue.front().copied()
    }

    /// Appends the oldest chunks, which are of one segment, to `image`, encrypted. Gives their number.
    pub(crate) fn encrypt_oldest(&self, cipher: &SegmentCipher, image: &mut Vec<u8>) -> usize {
        let chunks = self.read();
        let Some(segment) = chunks.queue.front().map(|first| first.segment()) else { return 0 };
        let same = chunks.queue.iter().take_while(|locator| locator.segment() == segment);
        let mut count = 0;
        for sealed in
            same.take(CHUNKS_PER_WRITE_MAX).filter_map(|locator| chunks.by_place.get(locator))
        {
            let (offset, bytes) = (sealed.locator.offset(), sealed.payload_bytes as usize);
            cipher.seal_chunk(offset, self.slabs.bytes(&sealed.memory), bytes, image);
            count += 1;
        }
        count
    }

    /// Gives the buffers of the `count` oldest chunks back.
    pub(crate) fn drop_oldest(&self, count: usize, handover: &mut Handover) {
        self.drop_while(|at, _| at < count, handover);
    }

    /// Gives the buffers of all chunks in segments before `segment` back, which nobody reads any more.
    pub(crate) fn release_before(&self, segment: u32, handover: &mut Handover) {
        self.released.fetch_max(segment, Ordering::AcqRel);
        self.drop_while(|_, locator| locator.segment() < segment, handover);
    }

    /// From the oldest on, as long as `dropped` says so of its number and place.
    fn drop_while(&self, dropped: impl Fn(usize, &Locator) -> bool, handover: &mut Handover) {
        let mut before = 0;
        loop {
            let mut turn = Vec::new();
            let mut chunks = self.write();
            while turn.len() < TURN_CHUNKS
                && let Some(first) = chunks.queue.front()
                && dropped(before + turn.len(), first)
                && let Some(locator) = chunks.queue.pop_front()
                && let Some(sealed) = chunks.by_place.remove(&locator)
            {
                chunks.large -= usize::from(sealed.is_large());
                turn.push(sealed);
            }
            drop(chunks);
            before += turn.len();
            if turn.is_empty() {
                return;
            }
            turn.into_iter().for_each(|sealed| handover.give_back(sealed.memory));
        }
    }

    /// Every critical section leaves the data whole, so a panic elsewhere does not spoil it.
    fn read(&self) -> RwLockReadGuard<'_, Chunks> {
        self.chunks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Chunks> {
        self.chunks.write().unwrap_or_else(PoisonError::into_inner)
    }
}
