//! Deleting an artifact.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};

use super::{Artifact, ArtifactChange, ArtifactError, TABLE};
use crate::{
    BotReach, Store, StoreError,
    attribute::{names, number, text},
    backoff::Backoff,
    error::CallError,
    store::built,
};

impl Store {
    /// Deletes an artifact and frees its preview's URL, in one transaction.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn delete_artifact(&self, reach: BotReach<'_>, id: &str) -> Result<(), ArtifactError> {
        let mut backoff = Backoff::of_race();
        loop {
            let (known, _) = self.read_artifact(reach, id, &ArtifactChange::default()).await?;
            let mut actions = vec![self.delete_artifact_row(&known)?];
            if let Some(url) = &known.preview_url {
                actions.push(self.give_up_preview(url, &known.id)?);
            }
            actions.extend(self.while_it_counts(reach)?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn delete_artifact_row(&self, known: &Artifact) -> Result<TransactWriteItem, StoreError> {
        let condition = "#revision = :revision";
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&known.id))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":revision", number(known.revision));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}
