//! `pool_secrets`: sealed secrets that an operator gave a pool for its runtime and skills.
//!
//! The sort key is `<scope>#<NAME>`, so that one query reads one scope. Each pool also has one row, `#usage`, that
//! counts names and bytes by scope.

mod list;
mod names;
mod put;
mod skill;
mod usage;

use std::collections::BTreeMap;

use portcullis_auth::PoolId;
use portcullis_crypto::{Cell, Domain};
use secrecy::SecretString;

use crate::{
    Store, StoreError, Table,
    attribute::{self, Item, text},
    row::Row,
};
pub use list::SecretEntry;
pub use names::{InvalidScope, InvalidSecretName, Scope, SecretName};
pub use put::{
    MAXIMUM_BYTES_A_SCOPE, MAXIMUM_CHANGES, MAXIMUM_NAMES_A_SCOPE, MAXIMUM_SCOPES, MAXIMUM_VALUE_LENGTH,
    PutSecretsError, SecretChange,
};
pub use skill::SealedSecrets;

const TABLE: Table = Table::PoolSecrets;

/// Secrets of one scope, or of several.
type Secrets = BTreeMap<SecretName, SecretString>;

/// Cell that a secret's value is sealed for.
fn cell<'a>(pool: &'a PoolId, scope_name: &'a str) -> Cell<'a> {
    Cell { table: TABLE.name(), partition_key: pool.as_str(), sort_key: Some(scope_name), attribute: "value" }
}

impl Store {
    /// Reads the secrets of scope `pool`, which a pool's configuration holds.
    ///
    /// # Errors
    /// [`StoreError`], also where one of the values does not open: none is silently left out.
    pub async fn secrets_of_pool(&self, pool: &PoolId) -> Result<Secrets, StoreError> {
        let sealed = self.sealed_secrets(pool, &Scope::Pool).await?;
        self.open_secrets(pool, sealed.iter()).await
    }

    /// Reads one secret of scope `pool`: one call.
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

    /// Reads all secrets of a scope, still sealed, page by page.
    async fn sealed_secrets(&self, pool: &PoolId, scope: &Scope) -> Result<Vec<SealedSecret>, StoreError> {
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
        let items = self.query_all(request).await?;
        items.iter().map(|item| SealedSecret::from_item(scope, item)).collect()
    }

    /// Opens secrets of one pool; for a duplicate name the later value wins.
    async fn open_secrets(
        &self,
        pool: &PoolId,
        sealed: impl Iterator<Item = &SealedSecret>,
    ) -> Result<Secrets, StoreError> {
        let mut opener = self.opener();
        let mut secrets = Secrets::new();
        for secret in sealed {
            let place = cell(pool, &secret.scope_name);
            let value = opener.open(Domain::PoolSecrets, TABLE.name(), &place, &secret.value).await?;
            secrets.insert(secret.name.clone(), value);
        }
        Ok(secrets)
    }
}

/// A secret in its stored form.
#[derive(Debug)]
struct SealedSecret {
    name: SecretName,
    /// Sort key, which the value is sealed for.
    scope_name: String,
    value: Vec<u8>,
}

impl SealedSecret {
    fn from_item(scope: &Scope, item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let scope_name = row.text("scopeName")?;
        let name = scope_name.strip_prefix(&scope.prefix()).and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| row.malformed("scopeName"))?;
        Ok(Self { name, scope_name: scope_name.to_owned(), value: row.bytes("value")?.to_vec() })
    }
}
