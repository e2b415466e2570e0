//! Lists of artifacts for the people whose bots made them.

use portcullis_auth::{BotId, UserId};
use portcullis_contract::SafeInteger;

use super::{Artifact, ArtifactSource, ArtifactStatus, TABLE};
use crate::{
    Slice, Store, StoreError, Window,
    batch::RowKey,
    bots::{owned_bots, owner_key},
};

/// Filter of a list of artifacts.
#[derive(Clone, Debug, Default)]
pub struct ArtifactFilter {
    /// Keeps only artifacts of this platform.
    pub channel_type: Option<String>,
    /// Keeps only artifacts of this status.
    pub status: Option<ArtifactStatus>,
}

/// Counts over some bots' artifacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArtifactStats {
    /// All artifacts.
    pub total: u64,
    /// Artifacts of status `live`.
    pub live: u64,
    /// Artifacts of status `building`.
    pub building: u64,
    /// Artifacts of status `failed`.
    pub failed: u64,
    /// Artifacts of source `coding`.
    pub coding: u64,
    /// Artifacts of source `content`.
    pub content: u64,
    /// Sum of their lines of code, at most [`SafeInteger::MAXIMUM`].
    pub lines_of_code: u64,
}

impl ArtifactFilter {
    fn admits(&self, artifact: &Artifact) -> bool {
        self.status.is_none_or(|status| artifact.status == status)
            && self.channel_type.as_ref().is_none_or(|kind| artifact.channel_type.as_ref() == Some(kind))
    }
}

impl ArtifactStats {
    fn count(mut self, artifact: &Artifact) -> Self {
        self.total += 1;
        match artifact.status {
            ArtifactStatus::Live => self.live += 1,
            ArtifactStatus::Building => self.building += 1,
            ArtifactStatus::Failed => self.failed += 1,
            ArtifactStatus::Stopped => {}
        }
        match artifact.source {
            Some(ArtifactSource::Coding) => self.coding += 1,
            Some(ArtifactSource::Content) => self.content += 1,
            None => {}
        }
        let lines = self.lines_of_code.saturating_add(artifact.lines_of_code.unwrap_or(0));
        self.lines_of_code = lines.min(SafeInteger::MAXIMUM);
        self
    }
}

impl Store {
    /// Lists these bots' artifacts without their metadata, the newest first; only each bot's newest 1,000 count. The
    /// list comes from an index, which may lag behind a change by a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_artifacts(
        &self,
        bots: &[BotId],
        filter: &ArtifactFilter,
        window: Window,
    ) -> Result<Slice<Artifact>, StoreError> {
        let mut artifacts = self.newest_artifacts(bots).await?;
        artifacts.retain(|artifact| filter.admits(artifact));
        artifacts.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(window.of(artifacts))
    }

    /// Counts these bots' artifacts; only each bot's newest 1,000 count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn artifact_stats(&self, bots: &[BotId]) -> Result<ArtifactStats, StoreError> {
        Ok(self.newest_artifacts(bots).await?.iter().fold(ArtifactStats::default(), ArtifactStats::count))
    }

    /// Returns an artifact of one of a person's own bots: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn artifact_of(&self, user: &UserId, id: &str) -> Result<Option<Artifact>, StoreError> {
        // Rows of preview owners share the table, but their ids are not UUIDs.
        if uuid::Uuid::try_parse(id).is_err() {
            return Ok(None);
        }
        let [owner, artifact] =
            self.get_rows(&[owner_key(user), RowKey::new(TABLE, [id])]).await?.try_into().unwrap_or_default();
        let bots = owned_bots(owner.as_ref())?;
        let artifact = artifact.as_ref().map(Artifact::from_item).transpose()?;
        Ok(artifact.filter(|artifact| bots.contains(&artifact.bot)))
    }

    async fn newest_artifacts(&self, bots: &[BotId]) -> Result<Vec<Artifact>, StoreError> {
        self.newest_rows(TABLE, bots).await?.iter().map(Artifact::from_item).collect()
    }
}
