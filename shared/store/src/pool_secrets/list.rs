//! List of a pool's secrets: their names, never their values.

use jiff::Timestamp;
use portcullis_auth::PoolId;

use super::{Scope, SecretName, TABLE, usage};
use crate::{
    Page, Store, StoreError,
    attribute::{Item, names, text},
    row::Row,
};

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// Readers of the secret.
    pub scope: Scope,
    /// Name of the secret.
    pub name: SecretName,
    /// Revision of the pool's secrets that wrote it; `None` for a secret that is older than revisions.
    pub revision: Option<u64>,
    /// Time of its last write.
    pub updated_at: Timestamp,
}

impl SecretEntry {
    fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let parsed = row.text("scopeName")?.rsplit_once('#').and_then(|(scope, name)| {
            let (scope, name) = (scope.parse().ok()?, name.parse().ok()?);
            Some((scope, name))
        });
        let (scope, name) = parsed.ok_or_else(|| row.malformed("scopeName"))?;
        Ok(Self { scope, name, revision: row.optional_parsed("revision")?, updated_at: row.time("updatedAt")? })
    }
}

impl Store {
    /// Returns a page of a pool's secrets, by scope and name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_secrets(
        &self,
        pool: &PoolId,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<SecretEntry>, StoreError> {
        // The usage row sorts before every scope.
        let after = after.unwrap_or_else(|| usage::SORT_KEY.to_owned());
        let condition = "#pool = :pool AND #scopeName > :after";
        let projection = "#schema, #scopeName, #revision, #updatedAt";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .key_condition_expression(condition)
            .projection_expression(projection)
            .set_expression_attribute_names(names(&[condition, projection]))
            .expression_attribute_values(":pool", text(pool))
            .expression_attribute_values(":after", text(after));
        let output = self.call(|| request.clone().send()).await?;
        let rows = output.items.unwrap_or_default();
        let rows: Vec<_> =
            rows.into_iter().filter(|row| row.get("scopeName") != Some(&text(usage::SORT_KEY))).collect();
        let items = rows.iter().map(SecretEntry::from_item).collect::<Result<Vec<_>, _>>()?;
        let last = output.last_evaluated_key.as_ref().and_then(|key| key.get("scopeName")?.as_s().ok().cloned());
        Ok(Page { items, after: last })
    }
}
