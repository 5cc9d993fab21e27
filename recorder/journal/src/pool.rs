//! Chunk buffers on their way round: pool, writer, appender, and back.
//!
//! The two queues between writer and appender hold as many places as there are buffers, so neither can be
//! full: the writer never waits for the disk, it runs out of buffers and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::limits::{CHUNK_BYTES, LARGE_CHUNK_BYTES};
use capture::memory::{Block, Fresh, Slab};
use crossbeam::queue::ArrayQueue;

use crate::chunk::free;
use crate::format::{CHUNK_OVERHEAD, padded};
use crate::locator::Locator;

/// A sealed chunk's memory.
pub(crate) enum Memory {
    /// Of most media chunks.
    Small(Block<CHUNK_BYTES>),
    /// Of signalling chunks and of large datagrams.
    Large(Block<LARGE_CHUNK_BYTES>),
}

impl From<Block<CHUNK_BYTES>> for Memory {
    fn from(block: Block<CHUNK_BYTES>) -> Self {
        Self::Small(block)
    }
}

impl From<Block<LARGE_CHUNK_BYTES>> for Memory {
    fn from(block: Block<LARGE_CHUNK_BYTES>) -> Self {
        Self::Large(block)
    }
}

/// A chunk that takes no more records, on its way to the disk.
pub(crate) struct Sealed {
    pub(crate) locator: Locator,
    /// What is used of it, not filled up.
    pub(crate) payload_bytes: u32,
    pub(crate) memory: Memory,
}

impl Sealed {
    /// Bytes in the file.
    pub(crate) const fn len(&self) -> usize {
        padded(self.payload_bytes as usize) + CHUNK_OVERHEAD
    }

    pub(crate) const fn is_large(&self) -> bool {
        matches!(self.memory, Memory::Large(_))
    }
}

/// All buffers of one core.
#[derive(Clone)]
pub(crate) struct Slabs {
    pub(crate) small: Arc<Slab<CHUNK_BYTES>>,
    pub(crate) large: Arc<Slab<LARGE_CHUNK_BYTES>>,
}

impl Slabs {
    /// A buffer's bytes.
    pub(crate) fn bytes<'a>(&'a self, memory: &'a Memory) -> &'a [u8] {
        match memory {
            Memory::Small(block) => self.small.bytes(block),
            Memory::Large(block) => self.large.bytes(block),
        }
    }

    /// Brings memory into being before it is needed. If there is none, the writer will say so.
    pub(crate) fn prepare(&self) {
        let _ = self.small.prepare();
        let _ = self.large.prepare();
    }
}

/// What a writer and its appender share.
pub(crate) struct Handover {
    pub(crate) slabs: Slabs,
    sealed: ArrayQueue<Sealed>,
    small: Arc<ArrayQueue<Block<CHUNK_BYTES>>>,
    large: Arc<ArrayQueue<Block<LARGE_CHUNK_BYTES>>>,
    /// The writer found no buffer.
    short: Arc<AtomicBool>,
}

impl Handover {
    /// For the buffers of `slabs`; at least 1 of each size.
    pub(crate) fn new(slabs: Slabs) -> Self {
        let (small, large) = (slabs.small.count() as usize, slabs.large.count() as usize);
        Self {
            slabs,
            sealed: ArrayQueue::new(small + large),
            small: Arc::new(ArrayQueue::new(small)),
            large: Arc::new(ArrayQueue::new(large)),
            short: Arc::default(),
        }
    }

    /// Whether the writer found no buffer since this was last asked.
    pub(crate) fn take_short(&self) -> bool {
        self.short.load(Ordering::Relaxed) && self.short.swap(false, Ordering::Relaxed)
    }

    /// The writer's pool of small buffers; made once.
    pub(crate) fn small(&self, fresh: Fresh<CHUNK_BYTES>) -> Pool<CHUNK_BYTES> {
        let returned = (Arc::clone(&self.small), Arc::clone(&self.short));
        Pool::new(Arc::clone(&self.slabs.small), fresh, returned)
    }

    /// The writer's pool of large buffers; made once.
    pub(crate) fn large(&self, fresh: Fresh<LARGE_CHUNK_BYTES>) -> Pool<LARGE_CHUNK_BYTES> {
        let returned = (Arc::clone(&self.large), Arc::clone(&self.short));
        Pool::new(Arc::clone(&self.slabs.large), fresh, returned)
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

    /// Gives the memory of a chunk that needs no keeping back to the writer.
    pub(crate) fn give_back(&self, memory: Memory) {
        let pushed = match memory {
            Memory::Small(mut block) => {
                free(&self.slabs.small, &mut block);
                self.small.push(block).is_ok()
            }
            Memory::Large(mut block) => {
                free(&self.slabs.large, &mut block);
                self.large.push(block).is_ok()
            }
        };
        assert!(pushed, "the queue has a place for every buffer");
    }
}

/// The free buffers of one size, on the writer's side.
pub(crate) struct Pool<const N: usize> {
    slab: Arc<Slab<N>>,
    /// Last used first: its lines may still be in the cache.
    free: Vec<Block<N>>,
    returned: Arc<ArrayQueue<Block<N>>>,
    /// There was none, for the other side to know.
    short: Arc<AtomicBool>,
    /// Buffers not used yet: memory grows with what is used, up to the limit.
    fresh: Fresh<N>,
}

impl<const N: usize> Pool<N> {
    fn new(
        slab: Arc<Slab<N>>,
        fresh: Fresh<N>,
        (returned, short): (Arc<ArrayQueue<Block<N>>>, Arc<AtomicBool>),
    ) -> Self {
        let free = Vec::with_capacity(returned.capacity());
        Self { slab, free, returned, short, fresh }
    }

    /// What the buffers are of.
    #[inline]
    pub(crate) fn slab(&self) -> &Slab<N> {
        &self.slab
    }

    /// A buffer; `None` if all are in use.
    pub(crate) fn take(&mut self) -> Option<Block<N>> {
        if self.free.is_empty() {
            self.collect();
        }
        let block = self.free.pop().or_else(|| self.fresh.take());
        if block.is_none() {
            self.short.store(true, Ordering::Relaxed);
        }
        block
    }

    /// A buffer, if more than `spared` can be taken.
    pub(crate) fn take_sparing(&mut self, spared: usize) -> Option<Block<N>> {
        self.collect();
        let available = self.free.len() + self.fresh.left();
        if available > spared {
            return self.take();
        }
        self.short.store(true, Ordering::Relaxed);
        None
    }

    /// How many of the buffers are in use, in percent.
    pub(crate) fn used_percent(&self) -> u8 {
        let free = self.free.len() + self.returned.len() + self.fresh.left();
        let all = self.slab.count() as usize;
        let used = all.saturating_sub(free);
        u8::try_from(used.saturating_mul(100) / all.max(1)).unwrap_or(100)
    }

    /// Takes a buffer back that was never handed over.
    pub(crate) fn give(&mut self, block: Block<N>) {
        self.free.push(block);
    }

    /// Takes back what the appender has returned, all at once.
    fn collect(&mut self) {
        let returned = self.returned.len();
        self.free.extend(std::iter::from_fn(|| self.returned.pop()).take(returned));
    }
}
