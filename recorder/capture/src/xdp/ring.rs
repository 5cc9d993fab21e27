//! A ring in memory shared with the kernel (Documentation/networking/af_xdp.rst).
//!
//! One side produces, the other consumes. Each has an index that it alone advances, as 32 bits that wrap; an
//! index's place in the ring are its low bits. `producer - consumer` entries are filled. The producer fills
//! entries and then publishes them by storing its index with release order; the consumer loads that index
//! with acquire order, reads, and gives the places back by storing its own index with release order, which
//! the producer acquires. So every entry is at any time one side's, and crosses with a release-acquire pair.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::xdp::XdpRingOffset;

use crate::mapping::Mapping;

/// Set in a ring's flags when the kernel must be told of new entries (`XDP_RING_NEED_WAKEUP`).
const NEED_WAKEUP: u32 = 1;

/// The parts of a ring. `T` is the entry as the kernel defines it.
struct Parts<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    entries: NonNull<T>,
    size: u32,
    // Keeps what the pointers point to.
    _mapping: Arc<Mapping>,
}

// SAFETY: the pointers are into the mapping, which may change threads; the entries are plain data.
unsafe impl<T: Copy + Send> Send for Parts<T> {}

impl<T: Copy> Parts<T> {
    /// The ring of `size` entries (a power of two) at `offsets` of `mapping`.
    ///
    /// # Safety
    /// Nobody but the kernel (or in a test, the other end of the same ring) uses the mapping's memory in
    /// ways other than the module doc says, and any bytes are a valid `T`.
    unsafe fn new(mapping: Arc<Mapping>, offsets: &XdpRingOffset, size: u32) -> Self {
        assert!(size.is_power_of_two(), "a ring's size is a power of two");
        Self {
            producer: place(&mapping, offsets.producer, 1),
            consumer: place(&mapping, offsets.consumer, 1),
            flags: offsets.flags.map(|offset| place(&mapping, offset, 1)),
            entries: place(&mapping, offsets.desc, size as usize),
            size,
            _mapping: mapping,
        }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: `place` checked bounds and alignment; an atomic may be shared.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// The entry of an index.
    fn entry(&self, index: u32) -> NonNull<T> {
        // SAFETY: the mask keeps it within the `size` entries that `place` checked.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }
    }
}

/// A pointer to `count` values at `offset`, which must be within the mapping and aligned.
fn place<U>(mapping: &Mapping, offset: u64, count: usize) -> NonNull<U> {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = size_of::<U>().checked_mul(count).and_then(|bytes| bytes.checked_add(offset));
    assert!(end.is_some_and(|end| end <= mapping.bytes()), "a ring is within its mapping");
    assert!(offset.is_multiple_of(align_of::<U>()), "a ring's parts are aligned");
    // SAFETY: within the mapping, as just checked.
    unsafe { mapping.start().add(offset) }.cast()
}

/// The end that takes out: of the receive ring, ours.
pub(super) struct Consumer<T> {
    parts: Parts<T>,
    /// Next entry to take.
    next: u32,
    /// Up to where the producer was seen to have filled.
    filled: u32,
}

impl<T: Copy> Consumer<T> {
    /// # Safety
    /// As [`Parts::new`]; and this is the ring's only consumer.
    pub(super) unsafe fn new(mapping: Arc<Mapping>, offsets: &XdpRingOffset, size: u32) -> Self {
        // SAFETY: the caller's promise.
        let parts = unsafe { Parts::new(mapping, offsets, size) };
        let next = parts.consumer().load(Ordering::Relaxed);
        Self { parts, next, filled: next }
    }

    /// Takes the next entry. Its place stays taken until [`Consumer::release`].
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.next == self.filled {
            self.filled = self.parts.producer().load(Ordering::Acquire);
            if self.next == self.filled {
                return None;
            }
        }
        // SAFETY: the producer published this entry before the index that was acquired, and does not write it
        // again before `release`; any bytes are a valid `T`.
        let entry = unsafe { self.parts.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Looks how far the ring is filled.
    #[inline]
    pub(super) fn refresh(&mut self) {
        self.filled = self.parts.producer().load(Ordering::Acquire);
    }

    /// The entry that comes so many after the next one, if it was there at the last look.
    #[inline]
    pub(super) fn peek(&self, after: u32) -> Option<T> {
        if after >= self.filled.wrapping_sub(self.next) {
            return None;
        }
        // SAFETY: as in `pop`: it was published before the index that was acquired.
        Some(unsafe { self.parts.entry(self.next.wrapping_add(after)).read() })
    }

    /// Gives the places of all taken entries back.
    #[inline]
    pub(super) fn release(&mut self) {
        self.parts.consumer().store(self.next, Ordering::Release);
    }
}

/// The end that puts in: of the fill ring, ours.
pub(super) struct Producer<T> {
    parts: Parts<T>,
    /// Next entry to fill.
    next: u32,
    /// Up to where the consumer was seen to have taken.
    taken: u32,
}

impl<T: Copy> Producer<T> {
    /// # Safety
    /// As [`Parts::new`]; and this is the ring's only producer.
    pub(super) unsafe fn new(mapping: Arc<Mapping>, offsets: &XdpRingOffset, size: u32) -> Self {
        // SAFETY: the caller's promise.
        let parts = unsafe { Parts::new(mapping, offsets, size) };
        let next = parts.producer().load(Ordering::Relaxed);
        let taken = parts.consumer().load(Ordering::Acquire);
        Self { parts, next, taken }
    }

    /// Puts an entry in, or gives it back if the ring is full. It is published by [`Producer::submit`].
    #[inline]
    pub(super) fn push(&mut self, entry: T) -> Result<(), T> {
        if self.next.wrapping_sub(self.taken) >= self.parts.size {
            self.taken = self.parts.consumer().load(Ordering::Acquire);
            if self.next.wrapping_sub(self.taken) >= self.parts.size {
                return Err(entry);
            }
        }
        // SAFETY: the consumer gave this place back before the index that was acquired, and does not read it
        // before `submit`.
        unsafe { self.parts.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Publishes what was put in.
    #[inline]
    pub(super) fn submit(&mut self) {
        self.parts.producer().store(self.next, Ordering::Release);
    }

    /// Entries published or put in that the consumer has not taken.
    pub(super) fn filled(&self) -> u32 {
        self.next.wrapping_sub(self.parts.consumer().load(Ordering::Acquire))
    }

    /// Whether the kernel waits to be told of new entries.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        // SAFETY: `place` checked bounds and alignment; an atomic may be shared.
        let flags = self.parts.flags.map(|flags| unsafe { flags.as_ref() });
        flags.is_some_and(|flags| flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: XdpRingOffset =
        XdpRingOffset { producer: 0, consumer: 64, desc: 192, flags: Some(128) };

    /// Both ends of one ring, the indices beginning at `start`.
    fn pair(size: u32, start: u32) -> (Producer<u64>, Consumer<u64>) {
        let mapping = Arc::new(Mapping::anonymous(4096, false).unwrap());
        // SAFETY: the mapping is large enough and used by this ring only.
        unsafe {
            mapping.start().cast::<AtomicU32>().as_ref().store(start, Ordering::Relaxed);
            mapping.start().add(64).cast::<AtomicU32>().as_ref().store(start, Ordering::Relaxed);
            (Producer::new(mapping.clone(), &OFFSETS, size), Consumer::new(mapping, &OFFSETS, size))
        }
    }

    #[test]
    fn what_is_put_in_comes_out_in_order_across_the_wrap_of_the_indices() {
        let (mut producer, mut consumer) = pair(4, u32::MAX - 5);
        let mut next = 0_u64;
        for round in 0..8 {
            let count = 1 + round % 4;
            for value in next..next + count {
                producer.push(value).unwrap();
            }
            assert_eq!(consumer.pop(), None, "not published yet");
            producer.submit();
            for value in next..next + count {
                assert_eq!(consumer.pop(), Some(value));
            }
            assert_eq!(consumer.pop(), None);
            consumer.release();
            next += count;
        }
        assert_eq!(producer.filled(), 0);
    }

    #[test]
    fn a_full_ring_gives_the_entry_back_until_places_are_released() {
        let (mut producer, mut consumer) = pair(2, 0);
        assert_eq!(
            (producer.push(1), producer.push(2), producer.push(3)),
            (Ok(()), Ok(()), Err(3))
        );
        producer.submit();
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(producer.push(3), Err(3), "taken, but not released");
        consumer.release();
        assert_eq!((producer.push(3), producer.push(4)), (Ok(()), Err(4)));
        producer.submit();
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(2), Some(3), None));
    }

    #[test]
    fn the_wakeup_flag_is_the_kernels() {
        let (producer, consumer) = pair(2, 0);
        assert!(!producer.needs_wakeup());
        // SAFETY: within the mapping.
        let flags = unsafe { consumer.parts.flags.unwrap().as_ref() };
        flags.store(NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }

    /// The other end on another thread, as the kernel is on another CPU. Miri sees every missing ordering.
    #[test]
    fn entries_cross_threads_whole() {
        let count = if cfg!(miri) { 200 } else { 200_000 };
        let (mut producer, mut consumer) = pair(8, u32::MAX - 50);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for value in 0..count {
                    while producer.push(value).is_err() {
                        producer.submit();
                        std::thread::yield_now();
                    }
                    if value % 3 == 0 {
                        producer.submit();
                    }
                }
                producer.submit();
            });
            for value in 0..count {
                let got = loop {
                    if let Some(got) = consumer.pop() {
                        break got;
                    }
                    consumer.release();
                    std::thread::yield_now();
                };
                assert_eq!(got, value);
            }
        });
    }
}
