//! Chunk buffers on their way round: pool, writer, appender, and back.
//!
//! The rings between writer and appender have as many places as there are buffers, so none can be full: the writer never
//! waits for the disk, it runs out of buffers and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::limits::{CHUNK_BYTES, CHUNK_BYTES_AHEAD, LARGE_CHUNK_BYTES};
use capture::memory::{Block, Fresh, Slab, ring};
use rtrb::{Consumer, Producer};

use crate::arena::Buffers;
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

    /// Brings memory into being before it is needed, so that `bytes` of small buffers (or a step) are there unused. True if
    /// it did. If there is none, the writer will say so.
    pub(crate) fn prepare(&self, bytes: usize) -> bool {
        let small = self.small.prepare(bytes).unwrap_or(false);
        let large = self.large.prepare(0).unwrap_or(false);
        small || large
    }
}

/// Brings the memory of a core's chunks into being ahead of its use. Without it the writer does so itself, in the middle of
/// its packets.
pub struct Preparer(Slabs);

impl Preparer {
    pub(crate) const fn new(slabs: Slabs) -> Self {
        Self(slabs)
    }

    /// Brings some, if less than [`CHUNK_BYTES_AHEAD`] is there unused. False if there was nothing to do, or no memory.
    #[must_use]
    pub fn prepare(&self) -> bool {
        self.0.prepare(CHUNK_BYTES_AHEAD)
    }
}

/// The appender's end of what it shares with its writer.
pub(crate) struct Handover {
    pub(crate) slabs: Slabs,
    sealed: Consumer<Sealed>,
    small: Producer<Block<CHUNK_BYTES>>,
    large: Producer<Block<LARGE_CHUNK_BYTES>>,
    /// The writer found no buffer.
    short: Arc<AtomicBool>,
}

/// The writer's end: where sealed chunks go.
pub(crate) struct Outlet(Producer<Sealed>);

/// Where the writer's buffers come from: those of media chunks, and the large ones.
pub(crate) type Pools = (Pool<CHUNK_BYTES>, Pool<LARGE_CHUNK_BYTES>);

/// Both ends, for the buffers of an arena.
pub(crate) fn handover(buffers: Buffers) -> (Handover, Outlet, Pools) {
    let Buffers { slabs, small, large } = buffers;
    let (sealed_in, sealed) = ring(small.left() + large.left());
    let short = Arc::default();
    let (small_back, small) = Pool::new(Arc::clone(&slabs.small), small, &short);
    let (large_back, large) = Pool::new(Arc::clone(&slabs.large), large, &short);
    let handover = Handover { slabs, sealed, small: small_back, large: large_back, short };
    (handover, Outlet(sealed_in), (small, large))
}

impl Outlet {
    /// Hands a sealed chunk to the appender.
    pub(crate) fn push(&mut self, sealed: Sealed) {
        let pushed = self.0.push(sealed).is_ok();
        assert!(pushed, "the ring has a place for every buffer");
    }

    /// Sealed chunks that the appender has not taken.
    pub(crate) fn pending(&self) -> usize {
        self.0.buffer().capacity() - self.0.slots()
    }
}

impl Handover {
    /// Whether the writer found no buffer since this was last asked.
    pub(crate) fn take_short(&self) -> bool {
        self.short.load(Ordering::Relaxed) && self.short.swap(false, Ordering::Relaxed)
    }

    /// The oldest sealed chunk.
    pub(crate) fn pop(&mut self) -> Option<Sealed> {
        self.sealed.pop().ok()
    }

    /// Sealed chunks that the appender has not taken.
    pub(crate) fn pending(&self) -> usize {
        self.sealed.slots()
    }

    /// Gives the memory of a chunk that needs no keeping back to the writer.
    pub(crate) fn give_back(&mut self, memory: Memory) {
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
        assert!(pushed, "the ring has a place for every buffer");
    }
}

/// The free buffers of one size, on the writer's side.
pub(crate) struct Pool<const N: usize> {
    slab: Arc<Slab<N>>,
    /// Last used first: its lines may still be in the cache.
    free: Vec<Block<N>>,
    returned: Consumer<Block<N>>,
    /// There was none, for the other side to know.
    short: Arc<AtomicBool>,
    /// Buffers not used yet: memory grows with what is used, up to the limit.
    fresh: Fresh<N>,
}

impl<const N: usize> Pool<N> {
    /// And where buffers come back.
    fn new(
        slab: Arc<Slab<N>>,
        fresh: Fresh<N>,
        short: &Arc<AtomicBool>,
    ) -> (Producer<Block<N>>, Self) {
        let (back, returned) = ring(fresh.left());
        let (free, short) = (Vec::with_capacity(fresh.left()), Arc::clone(short));
        (back, Self { slab, free, returned, short, fresh })
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
        let free = self.free.len() + self.returned.slots() + self.fresh.left();
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
        if let Ok(returned) = self.returned.read_chunk(self.returned.slots()) {
            self.free.extend(returned);
        }
    }
}
