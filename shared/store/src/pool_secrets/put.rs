//! Writing a pool's secrets: all changes of a call or none.
//!
//! Two calls one after another: a transaction reads the pool's row, its usage and the sizes of the values to replace,
//! then another writes, on the condition that the pool's `secretsRevision` is still the one that was read (optimistic
//! lock). Concurrent writers of one pool thereby take turns, and the loser of a race reads again.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Get, Put, TransactGetItem, TransactWriteItem, Update};
use portcullis_auth::PoolId;
use portcullis_crypto::Domain;
use secrecy::{ExposeSecret, SecretString};

use super::{
    TABLE, cell,
    names::{Scope, SecretName},
    usage::{SORT_KEY as USAGE, Usage},
};
use crate::{
    PoolError, PoolStatus, Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, names, number, schema, size, text, time},
    backoff::Backoff,
    error::CallError,
    row::Row,
    store::built,
};

/// Most names that one call may write or delete.
pub const MAXIMUM_CHANGES: usize = 50;
/// Longest value, in bytes.
pub const MAXIMUM_VALUE_LENGTH: usize = 64 * 1024;
/// Most names of a scope.
pub const MAXIMUM_NAMES_A_SCOPE: usize = 1_000;
/// Most bytes of values of a scope.
pub const MAXIMUM_BYTES_A_SCOPE: usize = 512 * 1024;
/// Most scopes of a pool.
pub const MAXIMUM_SCOPES: usize = 1_000;

/// Change of one secret.
#[derive(Clone, Debug)]
pub struct SecretChange {
    /// Readers of the secret.
    pub scope: Scope,
    /// Name of the secret.
    pub name: SecretName,
    /// New value; `None` deletes the secret, if it exists.
    pub value: Option<SecretString>,
}

/// Reason why secrets were not written; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutSecretsError {
    /// No such pool, or it is terminated.
    #[error("the pool is not known")]
    NotFound,
    /// More than [`MAXIMUM_CHANGES`] names.
    #[error("at most {MAXIMUM_CHANGES} secrets may be written in one call")]
    TooManyChanges,
    /// The call names one secret twice, so its value would be ambiguous.
    #[error("{name} is given twice for scope {scope}")]
    NamedTwice {
        /// Scope of the secret.
        scope: Scope,
        /// Name of the secret.
        name: SecretName,
    },
    /// A value of more than [`MAXIMUM_VALUE_LENGTH`].
    #[error("the value of {name} in scope {scope} is over the limit of {MAXIMUM_VALUE_LENGTH} bytes")]
    ValueTooLong {
        /// Scope of the secret.
        scope: Scope,
        /// Name of the secret.
        name: SecretName,
    },
    /// The scope would hold more than [`MAXIMUM_NAMES_A_SCOPE`].
    #[error("scope {scope} would hold more than its limit of {MAXIMUM_NAMES_A_SCOPE} secrets")]
    TooManyNames {
        /// Scope that would be over its limit.
        scope: Scope,
    },
    /// The scope would hold more than [`MAXIMUM_BYTES_A_SCOPE`].
    #[error("scope {scope} would hold more than its limit of {MAXIMUM_BYTES_A_SCOPE} bytes of values")]
    TooManyBytes {
        /// Scope that would be over its limit.
        scope: Scope,
    },
    /// The pool would have more than [`MAXIMUM_SCOPES`].
    #[error("the pool would have more than its limit of {MAXIMUM_SCOPES} scopes")]
    TooManyScopes,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// State that the first call read.
struct Before {
    secrets_revision: u64,
    purging: bool,
    usage: Usage,
    /// Size of each name's value, in the order of the changes.
    sizes: Vec<Option<usize>>,
}

impl Store {
    /// Writes and deletes a pool's secrets: all or none.
    ///
    /// # Errors
    /// [`PutSecretsError`].
    pub async fn put_secrets(&self, pool: &PoolId, changes: &[SecretChange]) -> Result<(), PutSecretsError> {
        check(changes)?;
        let rows = changes.iter().map(|change| self.sealed_row(pool, change)).collect::<Result<Vec<_>, _>>()?;
        let mut backoff = Backoff::of_race();
        loop {
            let before = self.read_before(pool, changes).await?;
            if before.purging {
                // The pool was registered anew before its termination was complete. Finish that first, or it could
                // delete the new rows.
                self.finish_termination(pool).await.map_err(|error| match error {
                    PoolError::Store(error) => PutSecretsError::Store(error),
                    PoolError::NotFound | PoolError::Revoked => PutSecretsError::NotFound,
                })?;
            } else if changes.is_empty() || self.write_if_unchanged(pool, changes, &rows, &before).await? {
                return Ok(());
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Builds a change's row.
    fn sealed_row(&self, pool: &PoolId, change: &SecretChange) -> Result<Item, StoreError> {
        let scope_name = change.scope.sort_key(&change.name);
        let mut row = attributes([("pool", text(pool)), ("scopeName", text(&scope_name))]);
        if let Some(value) = &change.value {
            row.extend(attributes([
                (SCHEMA, schema()),
                ("value", self.seal(Domain::PoolSecrets, &cell(pool, &scope_name), value)?),
                ("size", size(value.expose_secret().len())),
                ("updatedAt", time(self.now())),
            ]));
        }
        Ok(row)
    }

    async fn read_before(&self, pool: &PoolId, changes: &[SecretChange]) -> Result<Before, PutSecretsError> {
        let mut gets = vec![
            get(
                self.table_name(Table::Pools),
                attributes([("id", text(pool))]),
                "#schema, #status, #secretsRevision, #purging",
            )?,
            get(self.table_name(TABLE), secret_key(pool, USAGE), "#schema, #scopes")?,
        ];
        for change in changes {
            let key = secret_key(pool, &change.scope.sort_key(&change.name));
            gets.push(get(self.table_name(TABLE), key, "#schema, #size")?);
        }
        let request = self.client().transact_get_items().set_transact_items(Some(gets));
        let responses = self.call(|| request.clone().send()).await.map_err(StoreError::from)?.responses;
        let mut items = responses.unwrap_or_default().into_iter().map(|response| response.item);
        let mut next = || items.next().flatten().filter(|item| !item.is_empty());
        let pool_item = next().ok_or(PutSecretsError::NotFound)?;
        let row = Row::new(Table::Pools, &pool_item)?;
        if row.parsed::<PoolStatus>("status")? == PoolStatus::Terminated {
            return Err(PutSecretsError::NotFound);
        }
        let usage = Usage::from_item(next().as_ref())?;
        let size = |item: Option<Item>| item.map(|item| Row::new(TABLE, &item)?.parsed("size")).transpose();
        let sizes = changes.iter().map(|_| size(next())).collect::<Result<_, StoreError>>()?;
        Ok(Before { secrets_revision: row.parsed("secretsRevision")?, purging: row.has("purging"), usage, sizes })
    }

    /// Writes, unless another writer has since `before` was read: then `false`.
    async fn write_if_unchanged(
        &self,
        pool: &PoolId,
        changes: &[SecretChange],
        rows: &[Item],
        before: &Before,
    ) -> Result<bool, PutSecretsError> {
        let mut usage = before.usage.clone();
        for (change, size) in changes.iter().zip(&before.sizes) {
            let length = change.value.as_ref().map(|value| value.expose_secret().len());
            let counted = usage.change(&change.scope, *size, length);
            counted.ok_or(StoreError::Malformed { table: TABLE.name(), attribute: "scopes" })?;
        }
        usage.check(&before.usage)?;

        let mut usage_row = secret_key(pool, USAGE);
        usage_row.extend(usage.to_item());
        let mut actions =
            vec![self.raise_secrets_revision(pool, before.secrets_revision)?, self.put_action(TABLE, usage_row)?];
        for (change, row) in changes.iter().zip(rows) {
            actions.push(if change.value.is_some() {
                let mut row = row.clone();
                row.insert("revision".to_owned(), number(i128::from(before.secrets_revision) + 1));
                self.put_action(TABLE, row)?
            } else {
                let delete = Delete::builder().table_name(self.table_name(TABLE)).set_key(Some(row.clone())).build();
                TransactWriteItem::builder().delete(built(delete)?).build()
            });
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    fn raise_secrets_revision(&self, pool: &PoolId, from: u64) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #secretsRevision = :next, #updatedAt = :now";
        let condition = "#schema = :schema AND #secretsRevision = :read AND #status <> :terminated \
            AND attribute_not_exists(#purging)";
        let update = Update::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":read", number(from)),
                (":next", number(i128::from(from) + 1)),
                (":now", time(self.now())),
                (":terminated", text(PoolStatus::Terminated)),
            ])))
            .build();
        Ok(TransactWriteItem::builder().update(built(update)?).build())
    }

    fn put_action(&self, table: Table, item: Item) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(self.table_name(table)).set_item(Some(item)).build();
        Ok(TransactWriteItem::builder().put(built(put)?).build())
    }
}

fn secret_key(pool: &PoolId, scope_name: &str) -> Item {
    attributes([("pool", text(pool)), ("scopeName", text(scope_name))])
}

fn get(table: String, key: Item, projection: &str) -> Result<TransactGetItem, StoreError> {
    let get = Get::builder()
        .table_name(table)
        .set_key(Some(key))
        .projection_expression(projection)
        .set_expression_attribute_names(names(&[projection]))
        .build();
    Ok(TransactGetItem::builder().get(built(get)?).build())
}

/// Checks that need no read.
fn check(changes: &[SecretChange]) -> Result<(), PutSecretsError> {
    if changes.len() > MAXIMUM_CHANGES {
        return Err(PutSecretsError::TooManyChanges);
    }
    let mut seen = BTreeSet::new();
    for SecretChange { scope, name, value } in changes {
        if !seen.insert((scope, name)) {
            return Err(PutSecretsError::NamedTwice { scope: scope.clone(), name: name.clone() });
        }
        if value.as_ref().is_some_and(|value| value.expose_secret().len() > MAXIMUM_VALUE_LENGTH) {
            return Err(PutSecretsError::ValueTooLong { scope: scope.clone(), name: name.clone() });
        }
    }
    Ok(())
}
