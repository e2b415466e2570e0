//! `pool_secrets`: what an operator gave a pool for its runtime and skills, sealed.
//!
//! The sort key is `<scope>#<NAME>`, so that one query reads one scope. Beside them each pool has one row, `#usage`,
//! that counts names and bytes by scope.

mod list;
mod names;
mod put;
mod usage;

use std::collections::BTreeMap;

use portcullis_auth::{PoolId, SkillName};
use portcullis_crypto::{Cell, Domain};
use secrecy::SecretString;

use crate::{
    Store, StoreError, Table,
    attribute::{self, Item, text},
    keys::Opener,
    row::Row,
};
pub use list::SecretEntry;
pub use names::{InvalidScope, InvalidSecretName, Scope, SecretName};
pub use put::{
    MAXIMUM_BYTES_A_SCOPE, MAXIMUM_CHANGES, MAXIMUM_NAMES_A_SCOPE, MAXIMUM_SCOPES, MAXIMUM_VALUE_LENGTH,
    PutSecretsError, SecretChange,
};

const TABLE: Table = Table::PoolSecrets;

/// The secrets of one scope, or of several.
type Secrets = BTreeMap<SecretName, SecretString>;

/// Where a secret's value is: what it is sealed for.
fn cell<'a>(pool: &'a PoolId, scope_name: &'a str) -> Cell<'a> {
    Cell { table: TABLE.name(), partition_key: pool.as_str(), sort_key: Some(scope_name), attribute: "value" }
}

impl Store {
    /// What a skill may read: the secrets of scope `pool` and its own, which win. Two queries side by side.
    ///
    /// # Errors
    /// [`StoreError`], also where a single one of the values does not open: none is left out in silence.
    pub async fn secrets_for_skill(&self, pool: &PoolId, skill: &SkillName) -> Result<Secrets, StoreError> {
        let own = Scope::Skill(skill.clone());
        let (shared_rows, own_rows) =
            tokio::try_join!(self.secret_rows(pool, &Scope::Pool), self.secret_rows(pool, &own))?;
        let mut opener = self.opener();
        let mut secrets = open_all(&mut opener, pool, &Scope::Pool, &shared_rows).await?;
        secrets.extend(open_all(&mut opener, pool, &own, &own_rows).await?);
        Ok(secrets)
    }

    /// The secrets of scope `pool` alone: what a pool's configuration holds.
    ///
    /// # Errors
    /// As [`Store::secrets_for_skill`].
    pub async fn secrets_of_pool(&self, pool: &PoolId) -> Result<Secrets, StoreError> {
        let rows = self.secret_rows(pool, &Scope::Pool).await?;
        open_all(&mut self.opener(), pool, &Scope::Pool, &rows).await
    }

    /// One secret of scope `pool`: one call.
    ///
    /// # Errors
    /// [`StoreError`], also where it does not open.
    pub async fn secret_of_pool(&self, pool: &PoolId, name: &SecretName) -> Result<Option<SecretString>, StoreError> {
        let scope_name = format!("{}{}", Scope::Pool.prefix(), name.as_str());
        let item = self.get_row(TABLE, [("pool", text(pool)), ("scopeName", text(&scope_name))]).await?;
        let Some(item) = item else { return Ok(None) };
        let sealed = Row::new(TABLE, &item)?.bytes("value")?;
        let place = cell(pool, &scope_name);
        self.opener().open(Domain::PoolSecrets, TABLE.name(), &place, sealed).await.map(Some)
    }

    /// All rows of a scope, page by page.
    async fn secret_rows(&self, pool: &PoolId, scope: &Scope) -> Result<Vec<Item>, StoreError> {
        let condition = "#pool = :pool AND begins_with(#scopeName, :prefix)";
        let projection = "#schema, #scopeName, #value";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .consistent_read(true)
            .key_condition_expression(condition)
            .projection_expression(projection)
            .set_expression_attribute_names(attribute::names(&[condition, projection]))
            .expression_attribute_values(":pool", text(pool))
            .expression_attribute_values(":prefix", text(scope.prefix()));
        self.query_all(request).await
    }
}

async fn open_all(opener: &mut Opener<'_>, pool: &PoolId, scope: &Scope, rows: &[Item]) -> Result<Secrets, StoreError> {
    let mut secrets = Secrets::new();
    for item in rows {
        let row = Row::new(TABLE, item)?;
        let scope_name = row.text("scopeName")?;
        let name = scope_name.strip_prefix(&scope.prefix()).and_then(|name| name.parse().ok());
        let name: SecretName = name.ok_or_else(|| row.malformed("scopeName"))?;
        let place = cell(pool, scope_name);
        let value = opener.open(Domain::PoolSecrets, TABLE.name(), &place, row.bytes("value")?).await?;
        secrets.insert(name, value);
    }
    Ok(secrets)
}
