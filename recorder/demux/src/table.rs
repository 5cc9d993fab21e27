//! A bounded table whose entries know which of them was touched longest ago.
//!
//! Entries belong to one of `CLASSES` classes, each a list in the order of touching. So the entry to expire
//! or to give up is found in constant time, whatever an attacker fills the table with. Hashing is seeded
//! anew in every process.

use std::hash::Hash;

use base::Timestamp;
use hashbrown::HashMap;

/// An entry's place. Valid until the entry is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// See the module.
#[derive(Debug)]
pub(crate) struct Table<K, V, const CLASSES: usize> {
    places: HashMap<K, Slot>,
    entries: Vec<Option<Entry<K, V>>>,
    vacant: Vec<Slot>,
    lists: [List; CLASSES],
    entries_max: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    class: usize,
    touched: Timestamp,
    older: Option<Slot>,
    newer: Option<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct List {
    oldest: Option<Slot>,
    newest: Option<Slot>,
}

impl<K: Copy + Eq + Hash, V, const CLASSES: usize> Table<K, V, CLASSES> {
    /// An empty table for `entries_max` entries. It takes its memory now and does not grow later.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            places: HashMap::with_capacity(entries_max),
            entries: Vec::with_capacity(entries_max),
            vacant: Vec::with_capacity(entries_max),
            lists: [List::default(); CLASSES],
            entries_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.entries_max
    }

    pub(crate) fn find(&self, key: &K) -> Option<Slot> {
        self.places.get(key).copied()
    }

    pub(crate) fn key(&self, slot: Slot) -> Option<K> {
        self.entry(slot).map(|entry| entry.key)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&V> {
        self.entry(slot).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut V> {
        self.entry_mut(slot).map(|entry| &mut entry.value)
    }

    /// Adds an entry, as the one touched last in its class; `None` if the table is full. The key must not
    /// be in it.
    pub(crate) fn insert(
        &mut self,
        key: K,
        value: V,
        class: usize,
        now: Timestamp,
    ) -> Option<Slot> {
        if self.is_full() {
            return None;
        }
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Slot(self.entries.len() - 1)
        });
        let entry = Entry { key, value, class, touched: now, older: None, newer: None };
        *self.entries.get_mut(slot.0)? = Some(entry);
        let before = self.places.insert(key, slot);
        assert!(before.is_none(), "a key is in the table once");
        self.link(slot, class);
        Some(slot)
    }

    /// Makes an entry the one touched last in `class`.
    pub(crate) fn touch(&mut self, slot: Slot, class: usize, now: Timestamp) {
        self.unlink(slot);
        if let Some(entry) = self.entry_mut(slot) {
            entry.class = class;
            entry.touched = now;
        }
        self.link(slot, class);
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<V> {
        self.unlink(slot);
        let entry = self.entries.get_mut(slot.0)?.take()?;
        self.places.remove(&entry.key);
        self.vacant.push(slot);
        Some(entry.value)
    }

    /// The entry of `class` that was touched longest ago, and when that was.
    pub(crate) fn oldest(&self, class: usize) -> Option<(Slot, Timestamp)> {
        let slot = self.lists.get(class)?.oldest?;
        Some((slot, self.entry(slot)?.touched))
    }

    fn entry(&self, slot: Slot) -> Option<&Entry<K, V>> {
        self.entries.get(slot.0)?.as_ref()
    }

    fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V>> {
        self.entries.get_mut(slot.0)?.as_mut()
    }

    fn link(&mut self, slot: Slot, class: usize) {
        let Some(list) = self.lists.get_mut(class) else { return };
        let newest = list.newest.replace(slot);
        list.oldest.get_or_insert(slot);
        if let Some(entry) = newest.and_then(|newest| self.entry_mut(newest)) {
            entry.newer = Some(slot);
        }
        if let Some(entry) = self.entry_mut(slot) {
            entry.older = newest;
            entry.newer = None;
        }
    }

    fn unlink(&mut self, slot: Slot) {
        let Some(entry) = self.entry_mut(slot) else { return };
        let (older, newer, class) = (entry.older.take(), entry.newer.take(), entry.class);
        match older.and_then(|older| self.entry_mut(older)) {
            Some(entry) => entry.newer = newer,
            None => self.lists.iter_mut().skip(class).take(1).for_each(|list| list.oldest = newer),
        }
        match newer.and_then(|newer| self.entry_mut(newer)) {
            Some(entry) => entry.older = older,
            None => self.lists.iter_mut().skip(class).take(1).for_each(|list| list.newest = older),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_nanos;

    #[test]
    fn a_full_table_takes_no_more_until_one_leaves() {
        let mut table = Table::<u8, char, 1>::new(2);
        let a = table.insert(1, 'a', 0, AT(1)).unwrap();
        table.insert(2, 'b', 0, AT(2)).unwrap();
        assert_eq!(table.insert(3, 'c', 0, AT(3)), None);
        assert_eq!(table.remove(a), Some('a'));
        assert_eq!(table.find(&1), None);
        let c = table.insert(3, 'c', 0, AT(3)).unwrap();
        assert_eq!((table.get(c), table.key(c), table.len()), (Some(&'c'), Some(3), 2));
    }

    #[test]
    fn each_class_knows_its_oldest() {
        let mut table = Table::<u8, (), 2>::new(8);
        let slots: Vec<Slot> = (0..4).map(|key| table.insert(key, (), 0, AT(0)).unwrap()).collect();
        assert_eq!(table.oldest(0), Some((slots[0], AT(0))));
        table.touch(slots[0], 0, AT(5));
        assert_eq!(table.oldest(0), Some((slots[1], AT(0))));
        table.touch(slots[1], 1, AT(6));
        table.touch(slots[2], 1, AT(7));
        assert_eq!(table.oldest(0), Some((slots[3], AT(0))));
        assert_eq!(table.oldest(1), Some((slots[1], AT(6))));
        table.remove(slots[3]);
        assert_eq!(table.oldest(0), Some((slots[0], AT(5))));
        table.remove(slots[0]);
        assert_eq!(table.oldest(0), None);
    }

    proptest! {
        /// Against a plain list of (key, class) in the order of touching.
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec((0_u8..3, 0_u8..12, 0_usize..2), 0..200)) {
            let mut table = Table::<u8, u8, 2>::new(8);
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (action, key, class) in steps {
                match (action, table.find(&key)) {
                    (0, None) => {
                        let inserted = table.insert(key, key, class, AT(0)).is_some();
                        prop_assert_eq!(inserted, model.len() < 8);
                        if inserted {
                            model.push((key, class));
                        }
                    }
                    (1, Some(slot)) => {
                        table.touch(slot, class, AT(0));
                        model.retain(|entry| entry.0 != key);
                        model.push((key, class));
                    }
                    (2, Some(slot)) => {
                        prop_assert_eq!(table.remove(slot), Some(key));
                        model.retain(|entry| entry.0 != key);
                    }
                    (_, place) => {
                        prop_assert_eq!(place.is_some(), model.iter().any(|entry| entry.0 == key));
                    }
                }
                for class in 0..2 {
                    let oldest = table.oldest(class).and_then(|(slot, _)| table.key(slot));
                    let expected = model.iter().find(|entry| entry.1 == class).map(|entry| entry.0);
                    prop_assert_eq!(oldest, expected);
                }
                prop_assert_eq!(table.len(), model.len());
            }
        }
    }
}
