//! End of an account's connection.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem, Update};
use portcullis_auth::UserId;

use super::{Integration, IntegrationError, IntegrationStatus, TABLE, connect::AS_READ, key};
use crate::{
    Store, StoreError,
    attribute::{attributes, names, number, text, time},
    backoff::Backoff,
    error::CallError,
    store::built,
};

impl Store {
    /// Records that an account is disconnected, and deletes the person's keys, in one transaction, as long as the
    /// integration has the account that was read. Call it after the account was revoked at its provider.
    ///
    /// # Errors
    /// [`IntegrationError::Changed`] where another account has taken its place, and [`IntegrationError::Store`].
    pub async fn disconnect_integration(&self, known: &Integration) -> Result<Integration, IntegrationError> {
        let mut backoff = Backoff::of_race();
        let mut read = known.clone();
        loop {
            match self.try_to_disconnect(&read).await {
                Err(IntegrationError::Changed) => self.wait_after_race(&mut backoff).await?,
                outcome => return outcome,
            }
            // A link may have been stored, or a failure recorded: the account is revoked all the same.
            let now = self.integration(&known.user, &known.toolkit).await?;
            let same = now.filter(|now| now.id == known.id && now.account == known.account);
            read = same.ok_or(IntegrationError::Changed)?;
            if read.status == IntegrationStatus::Disconnected {
                return Ok(read);
            }
        }
    }

    async fn try_to_disconnect(&self, known: &Integration) -> Result<Integration, IntegrationError> {
        let keys = self.integration_credential_rows(&known.id).await?;
        let update = "SET #status = :disconnected, #updatedAt = :now, #revision = :next \
            REMOVE #account, #connectedAt, #hints, #state, #browser, #stateEndsAt, #links, #revokeFailedAt";
        let row = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(&known.user, &known.toolkit)))
            .update_expression(update)
            .condition_expression(AS_READ)
            .set_expression_attribute_names(names(&[update, AS_READ]))
            .set_expression_attribute_values(Some(attributes([
                (":disconnected", text(IntegrationStatus::Disconnected)),
                (":now", time(self.now())),
                (":read", number(known.revision)),
                (":next", number(known.revision + 1)),
            ])));
        let mut actions = vec![TransactWriteItem::builder().update(built(row.build())?).build()];
        for row in &keys {
            actions.push(self.delete_integration_credential(row)?);
        }
        match self.transact_write(actions).await {
            Ok(()) => {}
            Err(CallError::Conditions(_)) => return Err(IntegrationError::Changed),
            Err(CallError::Store(error)) => return Err(error.into()),
        }
        self.integration(&known.user, &known.toolkit).await?.ok_or(IntegrationError::Changed)
    }

    /// Records that an account could not be revoked at its provider; the account stays as it is.
    ///
    /// # Errors
    /// [`IntegrationError`].
    pub async fn record_failed_revocation(&self, known: &Integration) -> Result<Integration, IntegrationError> {
        let update = "SET #revokeFailedAt = :now, #updatedAt = :now, #revision = :next";
        let values = attributes([
            (":now", time(self.now())),
            (":read", number(known.revision)),
            (":next", number(known.revision + 1)),
        ]);
        self.change_integration(&known.user, &known.toolkit, update, AS_READ, values).await
    }

    /// Deletes all integrations of a person, with the keys, unread: for the deletion of the account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delete_integrations(&self, user: &UserId) -> Result<(), StoreError> {
        for row in self.integration_rows(user).await? {
            let integration = Integration::from_item(None, &row).await?;
            let delete =
                Delete::builder().table_name(self.table_name(TABLE)).set_key(Some(key(user, &integration.toolkit)));
            let mut actions = vec![TransactWriteItem::builder().delete(built(delete.build())?).build()];
            for row in &self.integration_credential_rows(&integration.id).await? {
                actions.push(self.delete_integration_credential(row)?);
            }
            match self.transact_write(actions).await {
                Ok(()) | Err(CallError::Conditions(_)) => {}
                Err(CallError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
