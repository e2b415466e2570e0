//! A cache of channel look-ups.

use std::{hash::Hash, sync::Arc, time::Duration};

use jiff::Timestamp;
use portcullis_runtime::cache::Cache;
use portcullis_store::StoreError;

/// TTL of a channel that was found: a change of the channel takes up to this long to be seen.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// TTL of a channel that was not found: short, since a customer may be connecting it now.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// Capacity of each of the two caches.
const CAPACITY: usize = 10_000;

/// Two bounded caches with fixed TTLs: look-ups that found a channel, and look-ups that found nothing.
pub struct LookUps<K, V> {
    known: Cache<K, Arc<V>>,
    unknown: Cache<K, ()>,
}

impl<K: Eq + Hash, V> LookUps<K, V> {
    pub fn new() -> Self {
        Self { known: Cache::new(CAPACITY, KNOWN_FOR), unknown: Cache::new(CAPACITY, UNKNOWN_FOR) }
    }

    /// Returns the cached outcome for a key, or else reads it and caches it. An error is not cached.
    pub async fn find(
        &self,
        key: K,
        now: Timestamp,
        read: impl AsyncFnOnce() -> Result<Option<V>, StoreError>,
    ) -> Result<Option<Arc<V>>, StoreError> {
        if let Some(known) = self.known.get(&key, now) {
            return Ok(Some(known));
        }
        if self.unknown.get(&key, now).is_some() {
            return Ok(None);
        }
        let found = read().await?.map(Arc::new);
        match &found {
            Some(known) => self.known.insert(key, Arc::clone(known), now),
            None => self.unknown.insert(key, (), now),
        }
        Ok(found)
    }
}
