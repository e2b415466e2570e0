//! Termination of a pool: its secrets and its configurations are deleted, then its tokens revoked. The aliases of its
//! keys to models stay on its row, since only the caller can revoke those keys.
//!
//! Three steps, each of which can be repeated: the row is marked `terminated` and `purging`; the pool's secrets and
//! snapshots are deleted page by page; the mark `purging` is removed and both generations are raised. The tokens go
//! last, so that a pool's own machine can repeat a termination that failed half way. While `purging` stands no secret
//! is written, so a secret written after a new registration is never deleted by an old termination.

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem,
};
use portcullis_auth::PoolId;

use super::{PoolError, PoolReach, PoolStatus, PoolUpdate, admit_row};
use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, number, schema, text, time},
    error::CallError,
    store::built,
};

/// Rows deleted at a time: with the condition on the pool's row, a transaction's limit of 100 actions.
const PAGE: i32 = 99;

impl Store {
    /// Terminates a pool: marks it terminated, deletes its secrets and snapshots, and revokes its tokens. A termination
    /// that failed half way can be repeated. Registering the pool again makes it active anew, without any of them.
    ///
    /// # Errors
    /// [`PoolError::NotFound`] and [`PoolError::Store`].
    pub async fn terminate(&self, pool: &PoolId) -> Result<(), PoolError> {
        let mut update = PoolUpdate::of_known_row(PoolReach::Any);
        update.set("#status = :status", ":status", text(PoolStatus::Terminated));
        update.set("#purging = :purging", ":purging", AttributeValue::Bool(true));
        self.update_pool(pool, update, PoolReach::Any).await?;
        self.finish_termination(pool).await
    }

    /// Runs the steps after the mark. If the mark is gone, another caller has finished.
    pub(crate) async fn finish_termination(&self, pool: &PoolId) -> Result<(), PoolError> {
        for (table, key) in [(Table::PoolSecrets, "#pool, #scopeName"), (Table::PoolConfigSnapshots, "#pool, #version")]
        {
            loop {
                let keys = self.keys_page(table, key, pool).await?;
                if keys.is_empty() {
                    break;
                }
                if !self.delete_while_purging(pool, table, keys).await? {
                    return Ok(());
                }
            }
        }
        self.end_purge(pool).await
    }

    /// Reads the keys of a page of the pool's rows, in a table whose partitions are pools.
    async fn keys_page(&self, table: Table, projection: &str, pool: &PoolId) -> Result<Vec<Item>, StoreError> {
        let condition = "#pool = :pool";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(table))
            .consistent_read(true)
            .limit(PAGE)
            .key_condition_expression(condition)
            .projection_expression(projection)
            .set_expression_attribute_names(names(&[projection, condition]))
            .expression_attribute_values(":pool", text(pool));
        Ok(self.call(|| request.clone().send()).await?.items.unwrap_or_default())
    }

    /// Deletes these rows; does nothing and returns `false` where the purge has ended.
    async fn delete_while_purging(&self, pool: &PoolId, table: Table, keys: Vec<Item>) -> Result<bool, StoreError> {
        let condition = "attribute_exists(#purging)";
        let check = ConditionCheck::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .build();
        let mut actions = vec![TransactWriteItem::builder().condition_check(built(check)?).build()];
        for key in keys {
            let delete = Delete::builder().table_name(self.table_name(table)).set_key(Some(key)).build();
            actions.push(TransactWriteItem::builder().delete(built(delete)?).build());
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    async fn end_purge(&self, pool: &PoolId) -> Result<(), PoolError> {
        let condition = "#schema = :schema AND attribute_exists(#purging)";
        let update = "SET #updatedAt = :now REMOVE #purging, #configRevision, #configGenerator, #gatewayToken, \
            #modelsKey, #modelsKeyAlias, #modelsKeyUrl \
            ADD #skillGeneration :one, #runtimeGeneration :one, #secretsRevision :one";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(self.now())),
                (":one", number(1)),
            ])))
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(()),
            // Another has finished it, unless the row is gone or of another layout.
            Err(CallError::Conditions(conditions)) => match admit_row(&conditions, PoolReach::Any) {
                Err(error @ PoolError::Store(_)) => Err(error),
                Ok(()) | Err(PoolError::NotFound | PoolError::Revoked) => Ok(()),
            },
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }
}
