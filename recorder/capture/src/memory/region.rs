//! One mapping, cut into cells and blocks.
#![expect(unsafe_code, reason = "blocks of a mapping, each with one owner")]

use std::fs::File;
use std::io;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FallocateFlags;

use super::pages::{HUGE_PAGE_BYTES, PAGE_BYTES, Pages};

/// How much memory is brought into being at a time: long enough to be rare, short enough (0.2 ms) not to be felt.
const STEP_BYTES: usize = HUGE_PAGE_BYTES;
/// After so many failures, huge pages are not asked for any more: to look for one, the kernel may move about what else is
/// in memory.
const FAILURES_MAX: u32 = 16;

/// A piece of memory that is cut from its begin to its end; each part is given out once.
#[derive(Debug)]
pub struct Region {
    mapping: Arc<Pages>,
    file: Option<Arc<File>>,
    used: usize,
}

impl Region {
    /// Memory of this process alone, zeroed.
    ///
    /// # Errors
    /// The system's: no room among the addresses.
    pub fn anonymous(bytes: usize) -> io::Result<Self> {
        Ok(Self::of(Arc::new(Pages::anonymous(whole_pages(bytes), true)?), None))
    }

    /// The same for much of it that is used once, page after page. To find huge pages for all of it, the kernel would
    /// move about what else is in memory.
    ///
    /// # Errors
    /// As [`Region::anonymous`].
    pub fn in_small_pages(bytes: usize) -> io::Result<Self> {
        Ok(Self::of(Arc::new(Pages::anonymous(whole_pages(bytes), false)?), None))
    }

    /// The whole of `file`, which nobody makes shorter.
    pub(super) fn of_file(file: File, bytes: usize) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let mapping = Pages::of_file(file.as_fd(), bytes)?;
        Ok(Self::of(Arc::new(mapping), Some(Arc::new(file))))
    }

    pub(super) const fn of(mapping: Arc<Pages>, file: Option<Arc<File>>) -> Self {
        Self { mapping, file, used: 0 }
    }

    /// The next bytes, whole pages.
    fn part(&mut self, bytes: usize) -> io::Result<(usize, Populated)> {
        let offset = self.used;
        let bytes = whole_pages(bytes);
        let end = offset.checked_add(bytes).filter(|end| *end <= self.mapping.bytes());
        self.used = end.ok_or(io::ErrorKind::OutOfMemory)?;
        let (mapping, file) = (Arc::clone(&self.mapping), self.file.clone());
        let failures = AtomicU32::new(0);
        Ok((offset, Populated { mapping, file, offset, bytes, failures }))
    }

    /// The next part as `count` words of 8 bytes.
    ///
    /// # Errors
    /// No memory, or the region is used up.
    pub fn cells(&mut self, count: usize) -> io::Result<Cells> {
        let bytes = count.checked_mul(8).ok_or(io::ErrorKind::OutOfMemory)?;
        let (offset, part) = self.part(bytes)?;
        part.populate(0, part.bytes)?;
        // SAFETY: within the mapping, as `part` has checked.
        let start = unsafe { self.mapping.start().add(offset) }.cast();
        Ok(Cells { _mapping: Arc::clone(&self.mapping), start, count })
    }

    /// The next part as `count` blocks of `N` bytes, none of them used yet.
    ///
    /// # Errors
    /// No memory, or the region is used up.
    pub fn slab<const N: usize>(&mut self, count: u32) -> io::Result<(Arc<Slab<N>>, Fresh<N>)> {
        const { assert!(N > 0 && N.is_multiple_of(64), "blocks begin at cache lines") };
        let bytes = N.checked_mul(count as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let (offset, part) = self.part(bytes)?;
        // SAFETY: within the mapping, as `part` has checked.
        let start = unsafe { self.mapping.start().add(offset) };
        let brand = next_brand();
        let (ready, given) = (AtomicU32::new(0), AtomicU32::new(0));
        let preparing = Mutex::default();
        let slab = Arc::new(Slab { start, brand, count, ready, given, preparing, part });
        Ok((Arc::clone(&slab), Fresh { slab, next: 0 }))
    }
}

/// Tells slabs of one process apart.
fn next_brand() -> NonZeroU32 {
    static BRANDS: AtomicU32 = AtomicU32::new(1);
    let brand = BRANDS.fetch_add(1, Ordering::Relaxed);
    let brand = NonZeroU32::new(brand);
    assert!(brand.is_some(), "four thousand million slabs were made");
    brand.unwrap_or(NonZeroU32::MAX)
}

const fn whole_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// A part of a region whose pages come into being in steps.
#[derive(Debug)]
struct Populated {
    mapping: Arc<Pages>,
    file: Option<Arc<File>>,
    offset: usize,
    bytes: usize,
    /// How often there was no huge page.
    failures: AtomicU32,
}

impl Populated {
    /// Makes huge pages of what is there and what is not, up to `end`, beginning where nothing is in use. Chunks are all
    /// over them, and each would be a page of its own to look up. That this is asked for is what a tmpfs without huge
    /// pages of itself (`huge=never`, as `/dev/shm` is) needs.
    fn collapse(&self, at: usize, end: usize) {
        // What is before the first part is words that are written once in a while.
        let is_first = at == 0 && self.offset < HUGE_PAGE_BYTES;
        let begin = if is_first { 0 } else { self.offset + at }.next_multiple_of(HUGE_PAGE_BYTES);
        let last = (self.offset + end).saturating_sub(HUGE_PAGE_BYTES);
        for page in (begin..=last).step_by(HUGE_PAGE_BYTES) {
            if self.file.is_none() || self.failures.load(Ordering::Relaxed) >= FAILURES_MAX {
                return;
            }
            // One small page has to be there, for the kernel to have where to put it.
            let made = self.bring(page, PAGE_BYTES).and_then(|()| self.mapping.collapse(page));
            self.failures.fetch_add(u32::from(made.is_err()), Ordering::Relaxed);
        }
    }

    /// Brings `bytes` bytes at `at` into being.
    fn populate(&self, at: usize, bytes: usize) -> io::Result<()> {
        self.bring(self.offset + at, bytes)
    }

    fn bring(&self, offset: usize, bytes: usize) -> io::Result<()> {
        if let Some(file) = &self.file {
            // Room first: on a full tmpfs this fails, and a touch would kill.
            let (from, bytes) = (offset as u64, bytes as u64);
            rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes)?;
        }
        self.mapping.populate(offset, bytes)
    }
}

/// Words that any thread reads and writes, one at a time.
#[derive(Clone, Debug)]
pub struct Cells {
    _mapping: Arc<Pages>,
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: it is a shared slice of atomics in a mapping that it keeps alive.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

impl Deref for Cells {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `count` words from a page's begin, within the mapping, given out as cells only; any bytes are
        // a valid word.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

/// Blocks of `N` bytes.
#[derive(Debug)]
pub struct Slab<const N: usize> {
    start: NonNull<u8>,
    brand: NonZeroU32,
    count: u32,
    /// Blocks whose pages are there.
    ready: AtomicU32,
    /// Blocks that were given out at least once.
    given: AtomicU32,
    /// Held by who brings more pages into being.
    preparing: Mutex<()>,
    part: Populated,
}

// SAFETY: the pointer is into the mapping that `part` keeps alive; what it points to is reached only by who has
// the block.
unsafe impl<const N: usize> Send for Slab<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Slab<N> {}

/// One block of a [`Slab`]: the right to its bytes. Dropping it leaves the block unused until the slab goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<const N: usize> {
    index: u32,
    brand: NonZeroU32,
}

impl<const N: usize> Slab<N> {
    /// A block's bytes.
    #[inline]
    pub fn bytes<'a>(&'a self, block: &'a Block<N>) -> &'a [u8; N] {
        // SAFETY: `place` gives N bytes within the mapping. The block is the only right to them, and borrowed,
        // so nobody writes them meanwhile.
        unsafe { self.place(block).cast::<[u8; N]>().as_ref() }
    }

    /// A block's bytes, to be changed.
    #[inline]
    pub fn bytes_mut<'a>(&'a self, block: &'a mut Block<N>) -> &'a mut [u8; N] {
        // SAFETY: as above, and borrowed mutably, so nobody else reads or writes them meanwhile.
        unsafe { self.place(block).cast::<[u8; N]>().as_mut() }
    }

    /// Stores four bytes (as the machine does) at `at`, after everything that was written to the block before:
    /// whoever finds them in the region of a killed process finds that too.
    #[inline]
    pub fn publish(&self, block: &mut Block<N>, at: usize, value: u32) {
        assert!(at.is_multiple_of(4) && at <= N - 4, "an aligned place within the block");
        // SAFETY: within the block as just checked, aligned because blocks are; the block is borrowed mutably.
        let word = unsafe { AtomicU32::from_ptr(self.place(block).add(at).cast().as_ptr()) };
        word.store(value, Ordering::Release);
    }

    /// How many blocks there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Brings more blocks' memory into being, a step of it, if less than `bytes` (or a step) are left unused, so that
    /// the owner of [`Fresh`] need not. True if it did.
    ///
    /// # Errors
    /// There is no memory.
    pub fn prepare(&self, bytes: usize) -> io::Result<bool> {
        let wanted = (bytes.max(STEP_BYTES) / N).max(1);
        let ready = self.ready.load(Ordering::Acquire);
        let unused = ready.saturating_sub(self.given.load(Ordering::Relaxed));
        if unused as usize >= wanted || ready >= self.count {
            return Ok(false);
        }
        let (begin, end, _) = self.next_step(ready);
        self.part.collapse(begin, end);
        self.make_ready(ready)?;
        Ok(true)
    }

    /// The next step from a block on: its bytes, and the block after it. Steps end where huge pages do.
    fn next_step(&self, from: u32) -> (usize, usize, u32) {
        let begin = from as usize * N;
        let end = (self.part.offset + begin + STEP_BYTES) / STEP_BYTES * STEP_BYTES;
        let blocks = u32::try_from((end - self.part.offset) / N).unwrap_or(self.count);
        let to = self.count.min(blocks.max(from.saturating_add(1)));
        let end = whole_pages(to as usize * N).min(self.part.bytes);
        (begin / PAGE_BYTES * PAGE_BYTES, end, to)
    }

    /// If another thread is at the same step, it is waited for: both at it would only be in each other's way.
    fn make_ready(&self, from: u32) -> io::Result<()> {
        let _preparing = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ready.load(Ordering::Acquire) > from {
            return Ok(());
        }
        let (begin, end, to) = self.next_step(from);
        self.part.populate(begin, end - begin)?;
        self.ready.fetch_max(to, Ordering::AcqRel);
        Ok(())
    }

    #[inline]
    fn place(&self, block: &Block<N>) -> NonNull<u8> {
        assert!(block.brand == self.brand, "a block belongs to its slab");
        // SAFETY: a block of this slab has an index below its count, and the slab is that many blocks long.
        unsafe { self.start.add(block.index as usize * N) }
    }
}

/// The blocks of a slab that were never given out.
#[derive(Debug)]
pub struct Fresh<const N: usize> {
    slab: Arc<Slab<N>>,
    next: u32,
}

impl<const N: usize> Fresh<N> {
    /// One of them, all zero; they come in the order of their places. `None` if there is none left, or no
    /// memory for it.
    pub fn take(&mut self) -> Option<Block<N>> {
        let slab = &*self.slab;
        if self.next >= slab.count {
            return None;
        }
        if self.next >= slab.ready.load(Ordering::Acquire) {
            slab.make_ready(self.next).ok()?;
        }
        let block = Block { index: self.next, brand: slab.brand };
        self.next += 1;
        slab.given.store(self.next, Ordering::Relaxed);
        Some(block)
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        (self.slab.count - self.next) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shelf;
    use super::*;

    #[test]
    fn every_block_is_given_once_and_keeps_its_bytes() {
        let mut region = Region::anonymous(3 * 4_096).unwrap();
        let cells = region.cells(4).unwrap();
        let (slab, mut fresh) = region.slab::<128>(40).unwrap();
        assert_eq!((fresh.left(), slab.count()), (40, 40));
        let mut blocks: Vec<_> = std::iter::from_fn(|| fresh.take()).collect();
        assert_eq!((blocks.len(), fresh.left()), (40, 0));
        for (number, block) in (0..).zip(&mut blocks) {
            assert_eq!(slab.bytes(block), &[0; 128]);
            slab.bytes_mut(block).fill(number);
            slab.publish(block, 4, u32::from(number) + 1_000);
        }
        for (number, block) in (0..).zip(&blocks) {
            let bytes = slab.bytes(block);
            assert_eq!(bytes[4..8], (u32::from(number) + 1_000).to_le_bytes());
            assert!(bytes[..4].iter().chain(&bytes[8..]).all(|byte| *byte == number));
        }
        assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == 0));
        cells[3].store(7, Ordering::Relaxed);
        assert_eq!(cells.clone()[3].load(Ordering::Relaxed), 7);
        assert!(region.slab::<128>(1).is_err(), "the region is used up");
    }

    #[test]
    fn memory_is_prepared_ahead_of_use() {
        let mut region = Region::anonymous(8 * 1024 * 1024).unwrap();
        let (slab, mut fresh) = region.slab::<4_096>(2_048).unwrap();
        assert!(slab.prepare(0).unwrap());
        assert!(!slab.prepare(0).unwrap(), "a step is enough");
        assert!(slab.prepare(2 * STEP_BYTES).unwrap(), "for more, another");
        assert!(!slab.prepare(2 * STEP_BYTES).unwrap(), "two are enough");
        for _ in 0..512 {
            fresh.take().unwrap();
        }
        assert!(!slab.prepare(0).unwrap(), "the second is still unused");
        let _block = fresh.take().unwrap();
        assert!(slab.prepare(0).unwrap());
        while let Some(block) = fresh.take() {
            assert_eq!(slab.bytes(&block)[4_095], 0);
        }
        assert!(!slab.prepare(0).unwrap(), "there is no more");
    }

    /// Where the kernel has no huge pages, the same with small ones.
    #[test]
    fn what_is_in_huge_pages_outlives_its_process() {
        const BLOCKS: u32 = 1_200;
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let shelf = Shelf::folder(&scratch.path().join("shelf")).unwrap();
        let mut region = shelf.make("blocks", (BLOCKS as usize + 1) * PAGE_BYTES).unwrap();
        let cells = region.cells(1).unwrap();
        cells[0].store(7, Ordering::Relaxed);
        let (slab, mut fresh) = region.slab::<PAGE_BYTES>(BLOCKS).unwrap();
        for number in 0..BLOCKS {
            // Some steps are prepared ahead, others come when they are needed.
            if number % 700 == 0 {
                assert!(slab.prepare(0).unwrap());
            }
            let mut block = fresh.take().unwrap();
            assert_eq!(slab.bytes(&block), &[0; PAGE_BYTES]);
            slab.bytes_mut(&mut block).fill(number as u8);
        }
        assert_eq!(fresh.take(), None);
        assert_eq!(cells[0].load(Ordering::Relaxed), 7);
        drop((cells, slab, fresh, region));
        let kept = shelf.kept("blocks").unwrap();
        let mut bytes = vec![0; PAGE_BYTES];
        for number in 0..BLOCKS {
            let at = (u64::from(number) + 1) * PAGE_BYTES as u64;
            assert_eq!(kept.read_at(&mut bytes, at).unwrap(), PAGE_BYTES);
            assert!(bytes.iter().all(|byte| *byte == number as u8), "block {number}");
        }
    }

    #[test]
    #[should_panic(expected = "a block belongs to its slab")]
    fn a_block_of_another_slab_is_refused() {
        let mut region = Region::anonymous(2 * 4_096).unwrap();
        let (_, mut fresh) = region.slab::<64>(1).unwrap();
        let (other, _) = region.slab::<64>(1).unwrap();
        other.bytes(&fresh.take().unwrap());
    }
}
