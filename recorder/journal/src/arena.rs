//! The memory of one core's chunks, and what a successor needs to know to read it. The layout is in
//! [`crate::format`].

use std::io;
use std::sync::atomic::Ordering;

use base::limits::{CHUNK_BYTES, LARGE_CHUNK_BYTES};
use capture::memory::{Cells, Fresh, Region, Shelf};

use crate::format::{SourceId, array_at, mix};
use crate::pool::Slabs;

/// What is written and read.
const VERSION: u64 = 1;
const MAGIC: u64 = u64::from_ne_bytes(*b"SPANAREN");
/// The words, whole pages, before the buffers.
pub(crate) const HEADER_BYTES: usize = 4_096;
/// Words that stay as they are, the check not among them.
const FIXED_WORDS: usize = 11;
const TAIL: usize = 16;
const TAKEN: usize = 24;

/// Whose arena it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArenaHeader {
    pub(crate) core: u8,
    pub(crate) run: u32,
    pub(crate) stamp: u64,
    pub(crate) small: u32,
    pub(crate) large: u32,
    pub(crate) source: SourceId,
}

impl ArenaHeader {
    fn words(&self) -> [u64; FIXED_WORDS] {
        let mut words = [0; FIXED_WORDS];
        words[..7].copy_from_slice(&[
            MAGIC,
            VERSION,
            self.core.into(),
            self.run.into(),
            self.stamp,
            self.small.into(),
            self.large.into(),
        ]);
        for (word, bytes) in words.iter_mut().skip(7).zip(self.source.0.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        words
    }

    /// The header in an arena's first bytes, the segment of its latest sealed chunk, and how many packets and
    /// messages were taken; `None` if it is not one of this version, whole.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<(Self, u32, u64)> {
        let word = |at: usize| u64::from_ne_bytes(array_at(bytes, at * 8));
        let mut source = [0; 32];
        for (at, bytes) in (7..).zip(source.as_chunks_mut().0) {
            *bytes = word(at).to_ne_bytes();
        }
        let header = Self {
            core: u8::try_from(word(2)).ok()?,
            run: u32::try_from(word(3)).ok()?,
            stamp: word(4),
            small: u32::try_from(word(5)).ok()?,
            large: u32::try_from(word(6)).ok()?,
            source: SourceId(source),
        };
        let words = header.words();
        let same = words.iter().zip(0..).all(|(expected, at)| *expected == word(at));
        let tail = u32::try_from(word(TAIL)).ok().filter(|tail| *tail >= header.run)?;
        (same && word(FIXED_WORDS) == check(&words)).then_some((header, tail, word(TAKEN)))
    }

    /// Bytes of the whole arena.
    pub(crate) const fn bytes(&self) -> usize {
        self.large_at() + (self.large as usize * LARGE_CHUNK_BYTES).next_multiple_of(HEADER_BYTES)
    }

    /// Where the large buffers begin.
    pub(crate) const fn large_at(&self) -> usize {
        HEADER_BYTES + (self.small as usize * CHUNK_BYTES).next_multiple_of(HEADER_BYTES)
    }
}

fn check(words: &[u64; FIXED_WORDS]) -> u64 {
    words.iter().fold(0, |sum, word| mix(sum, *word))
}

/// The file name of an arena: `003-0000000017.arena`.
pub(crate) fn arena_name(core: u8, run: u32) -> String {
    format!("{core:03}-{run:010}.arena")
}

/// The core and the run of an arena by its file name.
pub(crate) fn named(name: &str) -> Option<(u8, u32)> {
    let (core, run) = name.strip_suffix(".arena")?.split_once('-')?;
    let (core, run) = (core.parse().ok()?, run.parse().ok()?);
    (arena_name(core, run) == name).then_some((core, run))
}

/// The live side: the words, and one count of its own.
pub(crate) struct Arena {
    cells: Cells,
    stamp: u64,
    taken: u64,
}

/// The buffers of a new arena.
pub(crate) struct Buffers {
    pub(crate) slabs: Slabs,
    pub(crate) small: Fresh<CHUNK_BYTES>,
    pub(crate) large: Fresh<LARGE_CHUNK_BYTES>,
}

impl Arena {
    /// A new one, on `shelf` or (without) in the memory of this process. The second is for the tail; each of
    /// them writes what is its own.
    pub(crate) fn make(
        header: &ArenaHeader,
        shelf: Option<&Shelf>,
    ) -> io::Result<(Self, Self, Buffers)> {
        let mut region = match shelf {
            Some(shelf) => shelf.make(&arena_name(header.core, header.run), header.bytes())?,
            None => Region::in_small_pages(header.bytes())?,
        };
        let cells = region.cells(HEADER_BYTES / 8)?;
        let (small_slab, small) = region.slab(header.small)?;
        let (large_slab, large) = region.slab(header.large)?;
        let words = header.words();
        let fixed = words.into_iter().chain([check(&words)]);
        for (cell, word) in cells.iter().zip(fixed) {
            cell.store(word, Ordering::Release);
        }
        let arena = |cells| Self { cells, stamp: header.stamp, taken: 0 };
        let tails = arena(cells.clone());
        tails.set_tail(header.run);
        let slabs = Slabs { small: small_slab, large: large_slab };
        Ok((arena(cells), tails, Buffers { slabs, small, large }))
    }

    #[inline]
    pub(crate) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The latest sealed chunk goes into this segment.
    pub(crate) fn set_tail(&self, segment: u32) {
        if let Some(cell) = self.cells.get(TAIL) {
            cell.store(segment.into(), Ordering::Release);
        }
    }

    /// One packet or message more is in its buffer.
    #[inline]
    pub(crate) fn took_one(&mut self) {
        self.taken += 1;
        if let Some(cell) = self.cells.get(TAKEN) {
            cell.store(self.taken, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_whole_or_not_at_all() {
        let header = ArenaHeader {
            core: 3,
            run: 17,
            stamp: 0x0102_0304_0506_0708,
            small: 5,
            large: 2,
            source: SourceId([9; 32]),
        };
        let shelf = Shelf::in_memory();
        let (mut arena, tail, buffers) = Arena::make(&header, Some(&shelf)).unwrap();
        tail.set_tail(18);
        arena.took_one();
        drop((arena, tail, buffers));
        let kept = shelf.kept("003-0000000017.arena").unwrap();
        let mut bytes = [0; HEADER_BYTES];
        assert_eq!(kept.read_at(&mut bytes, 0).unwrap(), HEADER_BYTES);
        assert_eq!(ArenaHeader::decode(&bytes), Some((header, 18, 1)));
        for byte in 0..(FIXED_WORDS + 1) * 8 {
            let mut wrong = bytes;
            wrong[byte] ^= 4;
            assert_eq!(ArenaHeader::decode(&wrong), None, "byte {byte}");
        }
        assert_eq!(header.bytes(), 4_096 + 5 * 4_096 + 2 * 72 * 1_024);
    }

    #[test]
    fn a_name_tells_core_and_run() {
        assert_eq!(arena_name(3, 17), "003-0000000017.arena");
        assert_eq!(named("003-0000000017.arena"), Some((3, 17)));
        for other in
            ["3-17.arena", "003-0000000017.journal", "300-0000000017.arena", "+03-0000000017.arena"]
        {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
