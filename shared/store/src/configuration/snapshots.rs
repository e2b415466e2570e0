//! `pool_config_snapshots`: a pool's configurations by version, with references in place of the credentials.
//!
//! The sort key is a version's number in decimal, or `newest`: that row is a copy of the newest version, so that a poll
//! reads it beside the pool's row, in one call, without knowing its number.

use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::PoolId;
use portcullis_crypto::{Digest, Domain};
use secrecy::SecretString;

use super::{ModelsKeyChange, PoolConfiguration, gateway_token_cell};
use crate::{
    PoolStatus, Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, bytes, names, number, schema, text, time},
    batch::RowKey,
    error::CallError,
    row::Row,
    store::built,
};

const TABLE: Table = Table::PoolConfigSnapshots;

/// Largest snapshot, in bytes: an item of DynamoDB holds 400 KB with its names and numbers.
const MAXIMUM_SNAPSHOT_BYTES: usize = 380_000;

/// One version of a pool's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Version: 1, 2, 3.
    pub version: u64,
    /// Digest of the configuration with its references.
    pub hash: Digest,
    /// Configuration with its references, as its generator wrote it.
    pub config: Vec<u8>,
    /// Time of its publication.
    pub created_at: Timestamp,
}

/// A configuration to publish.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    /// Generator that built it.
    pub generator: &'a str,
    /// Digest of the configuration with its references.
    pub hash: Digest,
    /// Configuration with its references.
    pub config: Vec<u8>,
    /// Becomes the pool's gateway token, on the condition that the pool has none yet.
    pub gateway_token: Option<&'a SecretString>,
    /// Change of the pool's key to the models.
    pub models_key: ModelsKeyChange<'a>,
    /// Time at which the first of its bot tokens is due for replacement.
    pub tokens_due_at: Option<Timestamp>,
}

/// Outcome of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The configuration has this version: a new one, or the newest one where nothing has changed.
    As(Snapshot),
    /// The pool has changed, or another publisher won: read again.
    Overtaken,
}

/// Reason why a configuration was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The configuration is larger than a row may be.
    #[error("a configuration of {0} bytes is more than the {MAXIMUM_SNAPSHOT_BYTES} that can be stored")]
    TooLarge(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sort key of the newest version's copy.
const NEWEST: &str = "newest";

pub(super) fn newest_key(pool: &PoolId) -> RowKey {
    RowKey::new(TABLE, [pool.as_str(), NEWEST])
}

impl Snapshot {
    pub(super) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let hash = Digest::from_hex(row.text("configHash")?).ok_or_else(|| row.malformed("configHash"))?;
        Ok(Self {
            version: row.parsed("number")?,
            hash,
            config: row.bytes("config")?.to_vec(),
            created_at: row.time("createdAt")?,
        })
    }

    fn to_item(&self, pool: &PoolId, version: &str) -> Item {
        attributes([
            (SCHEMA, schema()),
            ("pool", text(pool)),
            ("version", text(version)),
            ("number", number(self.version)),
            ("configHash", text(self.hash.to_hex())),
            ("config", bytes(self.config.clone())),
            ("createdAt", time(self.created_at)),
        ])
    }
}

impl Store {
    /// Reads the pool's snapshot of this version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot(&self, pool: &PoolId, version: u64) -> Result<Option<Snapshot>, StoreError> {
        let item = self.get_row(TABLE, [("pool", text(pool)), ("version", text(version))]).await?;
        item.as_ref().map(Snapshot::from_item).transpose()
    }

    /// Publishes a configuration that was built from records read after `read`: one call. It gets the next version,
    /// unless it equals the newest one.
    ///
    /// A publication that is [`Published::Overtaken`] has changed nothing; after [`StoreError::Unavailable`] it may
    /// have.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_snapshot(
        &self,
        read: &PoolConfiguration,
        publication: &Publication<'_>,
    ) -> Result<Published, PublishError> {
        let Publication { hash, config, .. } = publication;
        if config.len() > MAXIMUM_SNAPSHOT_BYTES {
            return Err(PublishError::TooLarge(config.len()));
        }
        let unchanged = read.newest.as_ref().filter(|newest| newest.hash == *hash);
        let snapshot = unchanged.cloned().unwrap_or_else(|| Snapshot {
            version: read.pool.config_version + 1,
            hash: *hash,
            config: config.clone(),
            created_at: self.now(),
        });
        let mut actions = vec![self.update_built_for(read, publication, snapshot.version)?];
        if unchanged.is_none() {
            // These writes need no condition: the one on the pool's row decides for all.
            for version in [snapshot.version.to_string().as_str(), NEWEST] {
                let item = snapshot.to_item(&read.pool.id, version);
                let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(item)).build();
                actions.push(TransactWriteItem::builder().put(built(put)?).build());
            }
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(Published::As(snapshot)),
            Err(CallError::Conditions(_)) => Ok(Published::Overtaken),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// Action that records what the newest snapshot is right for, on the condition that the pool is as it was read.
    fn update_built_for(
        &self,
        read: &PoolConfiguration,
        publication: &Publication<'_>,
        version: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let Publication { generator, gateway_token, models_key, tokens_due_at, .. } = *publication;
        let mut update =
            "SET #configVersion = :version, #configRevision = :revision, #configGenerator = :generator".to_owned();
        let mut condition =
            "#schema = :schema AND #status <> :terminated AND attribute_not_exists(#purging) AND #revision = :revision \
             AND #configVersion = :known"
                .to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":terminated", text(PoolStatus::Terminated)),
            (":revision", number(read.pool.revision)),
            (":known", number(read.pool.config_version)),
            (":version", number(version)),
            (":generator", text(generator)),
        ]);
        if let Some(due_at) = tokens_due_at {
            update.push_str(", #tokensDueAt = :tokensDueAt");
            values.extend(attributes([(":tokensDueAt", time(due_at))]));
        }
        if let Some(token) = gateway_token {
            update.push_str(", #gatewayToken = :gatewayToken");
            condition.push_str(" AND attribute_not_exists(#gatewayToken)");
            let sealed = self.seal(Domain::Configuration, &gateway_token_cell(&read.pool.id), token)?;
            values.extend(attributes([(":gatewayToken", sealed)]));
        }
        if let Some(clauses) = self.models_key_clauses(read, models_key)? {
            update.push_str(clauses.set);
            update.push_str(clauses.remove);
            condition.push_str(clauses.condition);
            values.extend(clauses.values);
        }
        if tokens_due_at.is_none() {
            update.push_str(if update.contains(" REMOVE ") { ", #tokensDueAt" } else { " REMOVE #tokensDueAt" });
        }
        let update = Update::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(&read.pool.id))
            .set_expression_attribute_names(names(&[&update, &condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition)
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
