//! Chunk buffers on their way round: pool, writer, appender, and back.
//!
//! The two queues between writer and appender hold as many places as there are buffers, so neither can be
//! full: the writer never waits for the disk, it runs out of buffers and says so.

use std::sync::Arc;

use base::limits::{CHUNK_BYTES, LARGE_CHUNK_BYTES};
use crossbeam::queue::ArrayQueue;

use crate::chunk::Block;
use crate::format::CHUNK_OVERHEAD;
use crate::locator::Locator;

/// The memory of most media chunks.
pub(crate) type Small = Block<CHUNK_BYTES>;
/// The memory of signalling chunks and of large datagrams.
pub(crate) type Large = Block<LARGE_CHUNK_BYTES>;

/// A sealed chunk's memory.
pub(crate) enum Memory {
    Small(Box<Small>),
    Large(Box<Large>),
}

impl From<Box<Small>> for Memory {
    fn from(block: Box<Small>) -> Self {
        Self::Small(block)
    }
}

impl From<Box<Large>> for Memory {
    fn from(block: Box<Large>) -> Self {
        Self::Large(block)
    }
}

/// A chunk that takes no more records, on its way to the disk.
pub(crate) struct Sealed {
    pub(crate) locator: Locator,
    pub(crate) payload_bytes: u32,
    pub(crate) memory: Memory,
}

impl Sealed {
    /// Bytes in the file.
    pub(crate) const fn len(&self) -> usize {
        self.payload_bytes as usize + CHUNK_OVERHEAD
    }

    /// Header, payload, tag.
    pub(crate) fn bytes(&self) -> &[u8] {
        let whole = match &self.memory {
            Memory::Small(block) => block.bytes(),
            Memory::Large(block) => block.bytes(),
        };
        whole.get(..self.len()).unwrap_or_default()
    }

    /// Header, payload, tag.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let length = self.len();
        let whole = match &mut self.memory {
            Memory::Small(block) => block.bytes_mut(),
            Memory::Large(block) => block.bytes_mut(),
        };
        whole.get_mut(..length).unwrap_or_default()
    }
}

/// What a writer and its appender share.
pub(crate) struct Handover {
    sealed: ArrayQueue<Sealed>,
    small: Arc<ArrayQueue<Box<Small>>>,
    large: Arc<ArrayQueue<Box<Large>>>,
}

impl Handover {
    /// For `small` and `large` buffers; both at least 1.
    pub(crate) fn new(small: usize, large: usize) -> Self {
        Self {
            sealed: ArrayQueue::new(small + large),
            small: Arc::new(ArrayQueue::new(small)),
            large: Arc::new(ArrayQueue::new(large)),
        }
    }

    /// The writer's two pools; made once.
    pub(crate) fn pools(&self) -> (Pool<CHUNK_BYTES>, Pool<LARGE_CHUNK_BYTES>) {
        (Pool::new(Arc::clone(&self.small)), Pool::new(Arc::clone(&self.large)))
    }

    /// Hands a sealed chunk to the appender.
    pub(crate) fn push(&self, sealed: Sealed) {
        let pushed = self.sealed.push(sealed).is_ok();
        assert!(pushed, "the queue has a place for every buffer");
    }

    /// The oldest sealed chunk.
    pub(crate) fn pop(&self) -> Option<Sealed> {
        self.sealed.pop()
    }

    /// Sealed chunks that the appender has not taken.
    pub(crate) fn pending(&self) -> usize {
        self.sealed.len()
    }

    /// Gives a written chunk's memory back to the writer.
    pub(crate) fn give_back(&self, memory: Memory) {
        let pushed = match memory {
            Memory::Small(block) => self.small.push(block).is_ok(),
            Memory::Large(block) => self.large.push(block).is_ok(),
        };
        assert!(pushed, "the queue has a place for every buffer");
    }
}

/// The free buffers of one size, on the writer's side.
pub(crate) struct Pool<const N: usize> {
    /// Last used first: its lines may still be in the cache.
    free: Vec<Box<Block<N>>>,
    returned: Arc<ArrayQueue<Box<Block<N>>>>,
    /// Buffers not allocated yet: memory grows with what is used, up to the limit.
    unallocated: usize,
}

impl<const N: usize> Pool<N> {
    fn new(returned: Arc<ArrayQueue<Box<Block<N>>>>) -> Self {
        let unallocated = returned.capacity();
        Self { free: Vec::with_capacity(unallocated), returned, unallocated }
    }

    /// A buffer; `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<Box<Block<N>>> {
        if self.free.is_empty() {
            self.collect();
        }
        self.free.pop().or_else(|| self.allocate())
    }

    /// A buffer, if more than `spared` can be taken.
    pub(crate) fn take_sparing(&mut self, spared: usize) -> Option<Box<Block<N>>> {
        self.collect();
        let available = self.free.len() + self.unallocated;
        if available > spared { self.take() } else { None }
    }

    /// Takes a buffer back that was never handed over.
    pub(crate) fn give(&mut self, block: Box<Block<N>>) {
        self.free.push(block);
    }

    /// Takes back what the appender has returned, all at once.
    fn collect(&mut self) {
        let returned = self.returned.len();
        self.free.extend(std::iter::from_fn(|| self.returned.pop()).take(returned));
    }

    fn allocate(&mut self) -> Option<Box<Block<N>>> {
        self.unallocated = self.unallocated.checked_sub(1)?;
        Some(Block::allocate())
    }
}
