//! From a hash to a slot: open addressing with linear probing.
//!
//! An entry is eight bytes, half of the hash beside the slot, so that a look-up is one cache line here and the
//! slot itself. hashbrown keeps hashes and values apart, a line more that waits for the one before: with
//! thousands of flows in turn that was 20 of 90 ns. The size is fixed; nothing moves but on removal. It lies in huge
//! pages where there are some: flows are all over it, and each would be a page of its own to look up.

use std::io;
use std::sync::atomic::Ordering;

use capture::memory::{Cells, Region};

/// No entry: what memory is before it is used.
const EMPTY: u64 = 0;

/// Slots by the hash of their key.
pub(crate) struct Index {
    /// The tag (the upper half of a hash) in the upper half, one more than the slot in the lower.
    entries: Cells,
    mask: usize,
}

impl Index {
    /// Room for `slots` slots, at most 2^30. At least half of the places stay empty, so that every search ends
    /// soon.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn new(slots: usize) -> io::Result<Self> {
        let places = (slots * 2).next_power_of_two();
        let entries = Region::anonymous(places * size_of::<u64>())?.cells(places)?;
        Ok(Self { entries, mask: places - 1 })
    }

    /// The slot with this hash that `is_it` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut place = home(hash) & self.mask;
        loop {
            let entry = self.at(place);
            if entry == EMPTY {
                return None;
            }
            let slot = slot_of(entry);
            if entry >> 32 == hash >> 32 && is_it(slot) {
                return Some(slot);
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Has the place where this hash belongs fetched.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(entry) = self.entries.get(home(hash) & self.mask) {
            capture::prefetch(entry);
        }
    }

    /// Adds `slot`, which is not in the index.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        let mut place = home(hash) & self.mask;
        while self.at(place) != EMPTY {
            place = (place + 1) & self.mask;
        }
        self.put(place, (hash >> 32) << 32 | u64::from(slot + 1));
    }

    /// Removes `slot`, which is in the index.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let mut hole = home(hash) & self.mask;
        while slot_of(self.at(hole)) != slot {
            assert!(self.at(hole) != EMPTY, "only what is in the index is removed");
            hole = (hole + 1) & self.mask;
        }
        // Entries behind the hole that belong at or before it move into it, so that no search ends early.
        let mut place = hole;
        loop {
            place = (place + 1) & self.mask;
            let entry = self.at(place);
            if entry == EMPTY {
                break;
            }
            let from_home = place.wrapping_sub(home(entry)) & self.mask;
            if from_home >= (place.wrapping_sub(hole) & self.mask) {
                self.put(hole, entry);
                hole = place;
            }
        }
        self.put(hole, EMPTY);
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "places are masked to the length")]
    fn at(&self, place: usize) -> u64 {
        self.entries[place].load(Ordering::Relaxed)
    }

    #[expect(clippy::indexing_slicing, reason = "places are masked to the length")]
    fn put(&mut self, place: usize, entry: u64) {
        self.entries[place].store(entry, Ordering::Relaxed);
    }
}

/// Where a hash, or an entry with its tag, belongs, before the mask.
#[inline]
const fn home(hash_or_entry: u64) -> usize {
    (hash_or_entry >> 32) as usize
}

/// The slot in an entry; none that exists if it is empty.
#[inline]
const fn slot_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that they pile up and wrap around.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((0..32_u32, 0..6_u64), 1..200)) {
            let mut index = Index::new(32).unwrap();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (slot, tag) in steps {
                match model.remove(&slot) {
                    Some(hash) => index.remove(hash, slot),
                    None => {
                        let hash = (tag + 61) << 32 | 7;
                        index.insert(hash, slot);
                        model.insert(slot, hash);
                    }
                }
                for slot in 0..32 {
                    let hash = model.get(&slot).copied();
                    let found = hash.and_then(|hash| index.find(hash, |found| found == slot));
                    prop_assert_eq!(found, hash.map(|_| slot));
                }
                prop_assert_eq!(index.find(61 << 32, |_| false), None);
            }
            let used = (0..=index.mask).filter(|place| index.at(*place) != EMPTY).count();
            prop_assert_eq!(used, model.len());
        }
    }
}
