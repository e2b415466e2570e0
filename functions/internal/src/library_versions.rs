//! Versions of the active skills and templates, which every heartbeat returns.

use std::time::Duration;

use portcullis_runtime::{ApiError, cache::Cache};

use crate::app::App;

/// TTL of the cached versions: shorter than a pool's interval between heartbeats.
const LIFETIME: Duration = Duration::from_secs(5);

/// A cache of one entry for both versions.
pub struct LibraryVersions(Cache<(), (u64, u64)>);

impl Default for LibraryVersions {
    fn default() -> Self {
        Self(Cache::new(1, LIFETIME))
    }
}

impl LibraryVersions {
    /// Clears the cache after a change by this instance. Other instances see the change within [`LIFETIME`].
    pub fn forget(&self) {
        self.0.clear();
    }
}

impl App {
    /// Returns the versions of the active skills and of the active templates, at most [`LIFETIME`] old.
    pub async fn library_versions(&self) -> Result<(u64, u64), ApiError> {
        let now = self.now();
        if let Some(versions) = self.library_versions.0.get(&(), now) {
            return Ok(versions);
        }
        let versions = self.store.library_versions().await?;
        self.library_versions.0.insert((), versions, now);
        Ok(versions)
    }
}
