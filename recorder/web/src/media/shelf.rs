//! Things that are kept for a while: so many bytes at most, and not longer than so long after they were last used.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Timestamp;

/// Keeps things by key.
pub(super) struct Shelf<K, V> {
    bytes_max: usize,
    age_max: Duration,
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    things: HashMap<K, Thing<V>>,
    bytes: usize,
    /// Counts uses: the clock may be set back.
    uses: u64,
}

struct Thing<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
    at: Timestamp,
}

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    pub(super) fn new(bytes_max: usize, age_max: Duration) -> Self {
        let kept = Kept { things: HashMap::new(), bytes: 0, uses: 0 };
        Self { bytes_max, age_max, kept: Mutex::new(kept) }
    }

    /// What is kept under `key`.
    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let used = kept.uses;
        let thing = kept.things.get_mut(key)?;
        (thing.used, thing.at) = (used, now);
        Some(Arc::clone(&thing.value))
    }

    /// Keeps `value`, which takes so many bytes. What was used least recently gives way.
    pub(super) fn put(&self, key: K, value: Arc<V>, bytes: usize, now: Timestamp) {
        let mut kept = self.kept();
        kept.uses += 1;
        let used = kept.uses;
        kept.remove(&key);
        while kept.bytes > 0 && kept.bytes.saturating_add(bytes) > self.bytes_max {
            let oldest = kept.things.iter().min_by_key(|(_, thing)| thing.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            kept.remove(&oldest);
        }
        kept.bytes += bytes;
        kept.things.insert(key, Thing { value, bytes, used, at: now });
    }

    /// Forgets what was not used for long. True if anything is left.
    pub(super) fn forget(&self, now: Timestamp) -> bool {
        let mut kept = self.kept();
        let old = |thing: &Thing<V>| now.since(thing.at) >= self.age_max;
        let keys: Vec<K> =
            kept.things.iter().filter(|(_, t)| old(t)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| kept.remove(key));
        !kept.things.is_empty()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(thing) = self.things.remove(key) {
            self.bytes -= thing.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn shelf() -> Shelf<u8, &'static str> {
        Shelf::new(100, Duration::from_secs(60))
    }

    #[test]
    fn what_was_used_least_recently_gives_way() {
        let shelf = shelf();
        for (key, name) in [(1, "one"), (2, "two"), (3, "three")] {
            shelf.put(key, Arc::new(name), 30, at(0));
        }
        assert!(shelf.get(&1, at(1)).is_some());
        shelf.put(4, Arc::new("four"), 30, at(1));
        let there: Vec<u8> = (1..=4).filter(|key| shelf.get(key, at(2)).is_some()).collect();
        assert_eq!(there, [1, 3, 4]);
    }

    #[test]
    fn what_is_too_large_is_there_alone() {
        let shelf = shelf();
        shelf.put(1, Arc::new("small"), 30, at(0));
        shelf.put(2, Arc::new("large"), 1_000, at(0));
        assert!(shelf.get(&1, at(0)).is_none());
        assert_eq!(shelf.get(&2, at(0)).as_deref(), Some(&"large"));
        shelf.put(3, Arc::new("small"), 30, at(0));
        assert!(shelf.get(&2, at(0)).is_none());
        assert!(shelf.get(&3, at(0)).is_some());
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let shelf = shelf();
        shelf.put(1, Arc::new("one"), 30, at(0));
        shelf.put(2, Arc::new("two"), 30, at(0));
        assert!(shelf.get(&2, at(50)).is_some());
        assert!(shelf.forget(at(70)));
        assert!(shelf.get(&1, at(70)).is_none());
        assert!(shelf.get(&2, at(80)).is_some());
        assert!(shelf.forget(at(10)), "a clock that was set back makes nothing old");
        assert!(!shelf.forget(at(200)));
        assert_eq!(shelf.kept().bytes, 0);
    }

    #[test]
    fn putting_again_replaces() {
        let shelf = shelf();
        shelf.put(1, Arc::new("one"), 90, at(0));
        shelf.put(1, Arc::new("other"), 20, at(0));
        assert_eq!(shelf.get(&1, at(0)).as_deref(), Some(&"other"));
        assert_eq!(shelf.kept().bytes, 20);
    }
}
