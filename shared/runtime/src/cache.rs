//! A bounded in-memory cache with a fixed TTL.

use std::{collections::HashMap, hash::Hash, sync::Mutex, time::Duration};

use jiff::Timestamp;

/// A bounded map whose entries expire. Clients choose some of the keys, so its size must not depend on their requests.
pub struct Cache<K, V> {
    entries: Mutex<HashMap<K, (V, Timestamp)>>,
    capacity: usize,
    lifetime: Duration,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// Creates an empty cache of at most `capacity` entries with a TTL of `lifetime`.
    #[must_use]
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { entries: Mutex::new(HashMap::new()), capacity, lifetime }
    }

    /// Returns the value of a key, unless it has expired.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let entries = self.lock();
        entries.get(key).filter(|(_, ends)| now < *ends).map(|(value, _)| value.clone())
    }

    /// Stores a value. A full cache drops its expired entries, or all entries if none has expired: a flood of keys
    /// costs look-ups, never memory.
    pub fn insert(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.lock();
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, (_, ends)| now < *ends);
            if entries.len() >= self.capacity {
                entries.clear();
            }
        }
        entries.insert(key, (value, now + self.lifetime));
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, (V, Timestamp)>> {
        // A poisoned lock is safe to use: no code under it can panic, and a cache has no invariant to break.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn an_entry_ends_with_its_lifetime() {
        let cache = Cache::new(10, MINUTE);
        cache.insert("a", 1, NOW);
        assert_eq!(cache.get(&"a", NOW + Duration::from_millis(59_999)), Some(1));
        assert_eq!(cache.get(&"a", NOW + MINUTE), None);
    }

    #[test]
    fn a_flood_of_keys_never_holds_more_than_the_capacity() {
        let cache = Cache::new(100, MINUTE);
        for key in 0..1_000 {
            cache.insert(key, (), NOW);
            assert!(cache.lock().len() <= 100);
        }
        assert_eq!(cache.get(&999, NOW), Some(()), "the newest is kept");
    }

    #[test]
    fn a_full_cache_drops_what_has_ended_first() {
        let cache = Cache::new(2, MINUTE);
        cache.insert("old", (), NOW);
        cache.insert("young", (), NOW + Duration::from_secs(30));
        cache.insert("new", (), NOW + MINUTE);
        assert_eq!(cache.get(&"young", NOW + MINUTE), Some(()));
    }
}
