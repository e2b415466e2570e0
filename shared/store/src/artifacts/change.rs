//! Changing an artifact.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::{Artifact, ArtifactChange, TABLE, preview::PreviewOwner};
use crate::{
    BotAccessError, BotReach, Store, StoreError,
    attribute::{Item, names, number},
    backoff::Backoff,
    batch::RowKey,
    error::CallError,
    store::built,
};

/// Reason why an artifact was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// No such artifact, or the caller may not reach its bot.
    #[error("the artifact is not known")]
    NotFound,
    /// Another artifact has the preview URL.
    #[error("the preview's URL is another artifact's")]
    PreviewTaken,
    /// The caller's token is of another generation than the pool's.
    #[error("the caller's token has been revoked")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Changes an artifact: two calls, one more with a bound token.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn change_artifact(
        &self,
        reach: BotReach<'_>,
        id: &str,
        change: &ArtifactChange,
    ) -> Result<Artifact, ArtifactError> {
        let mut backoff = Backoff::of_race();
        loop {
            let (known, owner) = self.read_artifact(reach, id, change).await?;
            if owner.is_some_and(|owner| owner.artifact != known.id) {
                return Err(ArtifactError::PreviewTaken);
            }
            let artifact = known.clone().changed(change, self.now());
            if let Some(artifact) = self.write_artifact(reach, Some(&known), artifact).await? {
                return Ok(artifact);
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Reads the artifact, if the caller may reach its bot, and the present owner of the preview URL in `change`.
    pub(super) async fn read_artifact(
        &self,
        reach: BotReach<'_>,
        id: &str,
        change: &ArtifactChange,
    ) -> Result<(Artifact, Option<PreviewOwner>), ArtifactError> {
        // Rows of preview owners share the table, but their ids are not UUIDs.
        let is_artifact = uuid::Uuid::try_parse(id).is_ok();
        let keys = is_artifact.then(|| RowKey::new(TABLE, [id])).into_iter();
        let keys = keys.chain(change.preview_url.as_ref().map(super::PreviewUrl::key)).chain(reach.pool_key());
        let mut rows = self.get_rows(&keys.collect::<Vec<_>>()).await?.into_iter();
        let artifact = if is_artifact { rows.next().flatten() } else { None };
        let owner = change.preview_url.as_ref().and_then(|_| rows.next().flatten());
        reach.check_generation(rows.next().flatten().as_ref()).map_err(unreached)?;
        let artifact = Artifact::from_item(&artifact.ok_or(ArtifactError::NotFound)?)?;
        if reach != BotReach::Any {
            self.reach_bot(reach, &artifact.bot, Vec::new()).await.map_err(unreached)?;
        }
        Ok((artifact, owner.as_ref().map(PreviewOwner::from_item).transpose()?))
    }

    /// Writes an artifact in the place of the one that was read, and moves its URL's ownership with it, in one
    /// transaction; `None` where either has changed meanwhile, or the caller's token has been revoked.
    pub(super) async fn write_artifact(
        &self,
        reach: BotReach<'_>,
        known: Option<&Artifact>,
        artifact: Artifact,
    ) -> Result<Option<Artifact>, StoreError> {
        let mut actions = vec![self.put_artifact_row(&artifact, known.map(|known| known.revision))?];
        let (old, new) = (known.and_then(|known| known.preview_url.as_ref()), artifact.preview_url.as_ref());
        let is_kept = old.zip(new).is_some_and(|(old, new)| old.is_same(new));
        if !is_kept {
            actions.extend(new.map(|url| self.take_preview(url, &artifact)).transpose()?);
            actions.extend(old.map(|url| self.give_up_preview(url, &artifact.id)).transpose()?);
        }
        actions.extend(self.while_it_counts(reach)?);
        match self.transact_write(actions).await {
            Ok(()) => Ok(Some(artifact)),
            Err(CallError::Conditions(_)) => Ok(None),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    fn put_artifact_row(&self, artifact: &Artifact, revision: Option<u64>) -> Result<TransactWriteItem, StoreError> {
        let condition = if revision.is_none() { "attribute_not_exists(#id)" } else { "#revision = :revision" };
        let values = revision.map(|revision| Item::from([(":revision".to_owned(), number(revision))]));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(artifact.to_item()))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(values);
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }
}

fn unreached(error: BotAccessError) -> ArtifactError {
    match error {
        BotAccessError::NotFound | BotAccessError::NotOfPool => ArtifactError::NotFound,
        BotAccessError::Revoked => ArtifactError::Revoked,
        BotAccessError::Store(error) => ArtifactError::Store(error),
    }
}
