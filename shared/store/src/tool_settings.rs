//! `tool_settings`: an operator's changes of the toolkits' catalogue, and each pool's tool policy.

use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use portcullis_auth::PoolId;
use portcullis_toolkits::{Catalogue, ToolPolicy, ToolkitChange, ToolkitSlug};

use crate::{
    PoolError, Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, names, schema, text, time},
    batch::RowKey,
    error::CallError,
    row::Row,
    store::built,
};

const TABLE: Table = Table::ToolSettings;

/// Scope of the changes of the catalogue; a pool's scope begins with `pool#`.
const CATALOGUE: &str = "catalogue";
/// Name of a pool's policy in its scope.
const POLICY: &str = "policy";

fn scope_of(pool: &PoolId) -> String {
    format!("pool#{pool}")
}

impl Store {
    /// Reads the catalogue of toolkits, the standard one with the operator's changes: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn catalogue(&self) -> Result<Catalogue, StoreError> {
        let condition = "#scope = :scope";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":scope", text(CATALOGUE));
        let mut changes = Vec::<(ToolkitSlug, ToolkitChange)>::new();
        for item in self.query_all(request).await? {
            let row = Row::new(TABLE, &item)?;
            let change = serde_json::from_str(row.text("value")?).map_err(|_| row.malformed("value"))?;
            changes.push((row.parsed("name")?, change));
        }
        Ok(Catalogue::with(changes.iter().map(|(slug, change)| (slug, change))))
    }

    /// Stores an operator's change of a toolkit, in the place of an earlier one: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_toolkit_change(&self, slug: &ToolkitSlug, change: &ToolkitChange) -> Result<(), StoreError> {
        let row = attributes([
            ("scope", text(CATALOGUE)),
            ("name", text(slug)),
            (SCHEMA, schema()),
            ("value", text(json(change))),
            ("updatedAt", time(self.now())),
        ]);
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Deletes an operator's change of a toolkit, which restores the standard: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_toolkit_change(&self, slug: &ToolkitSlug) -> Result<(), StoreError> {
        let request = self
            .client()
            .delete_item()
            .table_name(self.table_name(TABLE))
            .key("scope", text(CATALOGUE))
            .key("name", text(slug));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Reads a pool's policy; without one the pool may use everything: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tool_policy(&self, pool: &PoolId) -> Result<ToolPolicy, StoreError> {
        policy_of(self.get_row(TABLE, [("scope", text(scope_of(pool))), ("name", text(POLICY))]).await?)
    }

    /// Reads the policies of pools, in their order: one call for each hundred, side by side.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tool_policies(&self, pools: &[PoolId]) -> Result<Vec<ToolPolicy>, StoreError> {
        let keys: Vec<_> = pools.iter().map(|pool| RowKey::new(TABLE, [scope_of(pool).as_str(), POLICY])).collect();
        self.get_rows(&keys).await?.into_iter().map(policy_of).collect()
    }

    /// Stores a pool's policy, on the condition that the pool exists.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn put_tool_policy(&self, pool: &PoolId, policy: &ToolPolicy) -> Result<(), PoolError> {
        let row = attributes([
            ("scope", text(scope_of(pool))),
            ("name", text(POLICY)),
            (SCHEMA, schema()),
            ("value", text(json(policy))),
            ("updatedAt", time(self.now())),
        ]);
        let condition = "attribute_exists(#id)";
        let pool_is_there = ConditionCheck::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]));
        let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(row));
        let actions = vec![
            TransactWriteItem::builder().put(built(put.build())?).build(),
            TransactWriteItem::builder().condition_check(built(pool_is_there.build())?).build(),
        ];
        match self.transact_write(actions).await {
            Ok(()) => Ok(()),
            Err(CallError::Conditions(_)) => Err(PoolError::NotFound),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }
}

fn policy_of(item: Option<Item>) -> Result<ToolPolicy, StoreError> {
    let Some(item) = item else { return Ok(ToolPolicy::default()) };
    let row = Row::new(TABLE, &item)?;
    serde_json::from_str(row.text("value")?).map_err(|_| row.malformed("value"))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unreachable!("it has text for keys: {error}"))
}
