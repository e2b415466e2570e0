//! Channels that were lately looked up.

use std::{hash::Hash, sync::Arc, time::Duration};

use jiff::Timestamp;
use portcullis_runtime::cache::Cache;
use portcullis_store::StoreError;

/// How long a channel is remembered: how long a change of it may take to be seen.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// How long it is remembered that there is no such channel: short, since somebody may be connecting it now.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// The most of each that is remembered.
const CAPACITY: usize = 10_000;

/// Channels that were lately looked up, found or not.
pub struct LookUps<K, V> {
    known: Cache<K, Arc<V>>,
    unknown: Cache<K, ()>,
}

impl<K: Eq + Hash, V> LookUps<K, V> {
    pub fn new() -> Self {
        Self { known: Cache::new(CAPACITY, KNOWN_FOR), unknown: Cache::new(CAPACITY, UNKNOWN_FOR) }
    }

    /// The value of a key: what is remembered, else what `read` finds.
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
