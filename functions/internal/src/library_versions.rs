//! The versions of the active skills and templates, which every heartbeat tells.

use std::time::Duration;

use portcullis_runtime::{ApiError, cache::Cache};

use crate::app::App;

/// How long an instance tells of versions without reading them again: less than a pool waits between two heartbeats.
const LIFETIME: Duration = Duration::from_secs(5);

/// A bounded cache of the versions, of one entry.
pub struct LibraryVersions(Cache<(), (u64, u64)>);

impl Default for LibraryVersions {
    fn default() -> Self {
        Self(Cache::new(1, LIFETIME))
    }
}

impl LibraryVersions {
    /// Forgets them after a change that this instance has made. Other instances tell of it [`LIFETIME`] later at the latest.
    pub fn forget(&self) {
        self.0.clear();
    }
}

impl App {
    /// The versions of the active skills and of the active templates, at most [`LIFETIME`] old.
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
