//! Cached versions of toolkits' actions.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use jiff::Timestamp;

/// TTL of a cached version: a newer one is used after at most this time.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// Capacity of the cache, in actions.
const MAXIMUM_ENTRIES: usize = 1_000;

/// A bounded cache of versions, with a fixed TTL.
#[derive(Debug, Default)]
pub(crate) struct ToolkitVersions(Mutex<HashMap<String, (String, Timestamp)>>);

impl ToolkitVersions {
    /// Returns an action's version, if it was cached within the TTL.
    pub(super) fn get(&self, action: &str, now: Timestamp) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (version, looked) = known.get(action)?;
        (now.duration_since(*looked).unsigned_abs() < KEPT_FOR).then(|| version.clone())
    }

    /// Caches an action's version. A full cache is emptied: each entry costs one call to look up again.
    pub(super) fn keep(&self, action: String, version: String, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MAXIMUM_ENTRIES && !known.contains_key(&action) {
            known.clear();
        }
        known.insert(action, (version, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_used_for_an_hour_and_the_cache_is_bounded() {
        let (versions, now) = (ToolkitVersions::default(), Timestamp::UNIX_EPOCH);
        versions.keep("A".to_owned(), "1".to_owned(), now);
        let later = now + KEPT_FOR;
        assert_eq!(versions.get("A", later - Duration::from_nanos(1)).as_deref(), Some("1"));
        assert_eq!(versions.get("A", later), None);
        for index in 0..MAXIMUM_ENTRIES {
            versions.keep(format!("B{index}"), "1".to_owned(), now);
        }
        assert!(versions.0.lock().unwrap().len() <= MAXIMUM_ENTRIES);
        assert_eq!(versions.get("A", now), None);
    }
}
