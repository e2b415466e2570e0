//! A pool's own key to the model gateway, where each pool has one.
//!
//! The key is issued elsewhere and stays valid until someone revokes it, so the pool's row holds two things of it: the
//! sealed key, which goes with the pool's other secrets, and its alias in `modelsKeyAliases`, the keys that may still
//! be valid. An alias is removed only once its key has been revoked.

use aws_sdk_dynamodb::types::ReturnValue;
use portcullis_auth::PoolId;
use portcullis_crypto::{Cell, Domain};
use secrecy::SecretString;

use super::PoolConfiguration;
use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, number, schema, text, text_set},
    error::CallError,
    row::Row,
};

/// A key to the models at one address, issued for one pool.
#[derive(Clone, Debug)]
pub struct ModelsKey {
    /// Unique name by which the key is revoked.
    pub alias: String,
    /// Address of the models: the key is valid only there.
    pub base_url: String,
    /// Secret key.
    pub key: SecretString,
}

/// Change that a publication makes to the pool's key to the models.
#[derive(Clone, Copy, Debug)]
pub enum ModelsKeyChange<'a> {
    /// Keeps the present state, a key or none.
    Keep,
    /// Replaces the pool's key.
    Set(&'a ModelsKey),
    /// Removes the pool's key.
    Remove,
}

/// Stored form of a [`ModelsKey`].
#[derive(Debug)]
pub(super) struct SealedModelsKey {
    alias: String,
    base_url: String,
    sealed: Vec<u8>,
}

impl SealedModelsKey {
    pub(super) fn of(row: &Row<'_>) -> Result<Option<Self>, StoreError> {
        if !row.has("modelsKey") {
            return Ok(None);
        }
        let (alias, base_url) = (row.text("modelsKeyAlias")?.to_owned(), row.text("modelsKeyUrl")?.to_owned());
        Ok(Some(Self { alias, base_url, sealed: row.bytes("modelsKey")?.to_vec() }))
    }
}

fn cell(pool: &PoolId) -> Cell<'_> {
    Cell { table: Table::Pools.name(), partition_key: pool.as_str(), sort_key: None, attribute: "modelsKey" }
}

/// Parts of an update of a pool's row.
pub(super) struct Clauses {
    pub(super) set: &'static str,
    pub(super) remove: &'static str,
    pub(super) condition: &'static str,
    pub(super) values: Item,
}

impl PoolConfiguration {
    /// Alias of the pool's own key, whatever its address.
    #[must_use]
    pub fn models_key_alias(&self) -> Option<&str> {
        self.models_key.as_ref().map(|key| key.alias.as_str())
    }

    /// Aliases of keys that the pool no longer uses and that may still be valid.
    #[must_use]
    pub fn left_over_models_keys(&self) -> Vec<String> {
        let current = self.models_key_alias();
        self.pool.models_key_aliases.iter().filter(|alias| Some(alias.as_str()) != current).cloned().collect()
    }
}

impl Store {
    /// Opens the pool's key to the models at this address; `None` where the pool has none, or one for another address.
    ///
    /// # Errors
    /// [`StoreError`], also where the key does not open.
    pub async fn models_key(
        &self,
        configuration: &PoolConfiguration,
        base_url: &str,
    ) -> Result<Option<ModelsKey>, StoreError> {
        let Some(stored) = configuration.models_key.as_ref().filter(|stored| stored.base_url == base_url) else {
            return Ok(None);
        };
        let cell = cell(&configuration.pool.id);
        let key = self.opener().open(Domain::Configuration, Table::Pools.name(), &cell, &stored.sealed).await?;
        Ok(Some(ModelsKey { alias: stored.alias.clone(), base_url: stored.base_url.clone(), key }))
    }

    /// Clauses of the change for the publishing update. With a new key, the left-over keys are dropped: the issuer has
    /// revoked them, and the condition fails if an alias was added meanwhile.
    pub(super) fn models_key_clauses(
        &self,
        read: &PoolConfiguration,
        change: ModelsKeyChange<'_>,
    ) -> Result<Option<Clauses>, StoreError> {
        let clauses = match change {
            ModelsKeyChange::Keep => return Ok(None),
            ModelsKeyChange::Remove => Clauses {
                set: "",
                remove: " REMOVE #modelsKey, #modelsKeyAlias, #modelsKeyUrl",
                condition: "",
                values: Item::new(),
            },
            ModelsKeyChange::Set(key) => {
                let replaced = read.models_key_alias();
                let aliases = replaced.into_iter().chain([key.alias.as_str()]);
                let mut values = attributes([
                    (":modelsKey", self.seal(Domain::Configuration, &cell(&read.pool.id), &key.key)?),
                    (":modelsKeyAlias", text(&key.alias)),
                    (":modelsKeyUrl", text(&key.base_url)),
                    (":modelsKeyAliases", text_set(aliases)),
                ]);
                let known = &read.pool.models_key_aliases;
                if !known.is_empty() {
                    values.insert(":knownAliases".to_owned(), text_set(known));
                }
                Clauses {
                    set: ", #modelsKey = :modelsKey, #modelsKeyAlias = :modelsKeyAlias, #modelsKeyUrl = :modelsKeyUrl, \
                          #modelsKeyAliases = :modelsKeyAliases",
                    remove: "",
                    condition: if known.is_empty() {
                        " AND attribute_not_exists(#modelsKeyAliases)"
                    } else {
                        " AND #modelsKeyAliases = :knownAliases"
                    },
                    values,
                }
            }
        };
        Ok(Some(clauses))
    }

    /// Removes the aliases of revoked keys from the pool's row: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_models_keys(&self, pool: &PoolId, aliases: &[String]) -> Result<(), StoreError> {
        if aliases.is_empty() {
            return Ok(());
        }
        let (update, condition) = ("DELETE #modelsKeyAliases :aliases", "#schema = :schema");
        let values = attributes([(":schema", schema()), (":aliases", text_set(aliases))]);
        self.update_models_keys(pool, update, condition, values).await.map(|_| ())
    }

    /// Returns whether the pool's key is another one and no publication in flight can still set this one: for a
    /// publication whose outcome is unknown. It raises the pool's revision, on which every publication depends.
    ///
    /// # Errors
    /// [`StoreError`], where the outcome is still unknown.
    pub async fn rule_out_models_key(&self, pool: &PoolId, alias: &str) -> Result<bool, StoreError> {
        let update = "SET #revision = #revision + :one";
        let condition = "#schema = :schema AND (attribute_not_exists(#modelsKeyAlias) OR #modelsKeyAlias <> :alias)";
        let values = attributes([(":schema", schema()), (":one", number(1)), (":alias", text(alias))]);
        self.update_models_keys(pool, update, condition, values).await
    }

    /// Updates the pool's row; returns whether the condition held.
    async fn update_models_keys(
        &self,
        pool: &PoolId,
        update: &str,
        condition: &str,
        values: Item,
    ) -> Result<bool, StoreError> {
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::None);
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}
