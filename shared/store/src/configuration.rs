//! A pool's configuration: the records that it is built from, and its snapshots.
//!
//! Each change of a configuration raises the pool's `revision` in its own transaction. The pool's row names the
//! revision and the generator for which its newest snapshot was last found right; a reader of a pool whose revision has
//! moved on builds the next snapshot and publishes it on the condition that the revision is still the one that was read
//! before the records. So a snapshot shows one moment, one builder wins, and versions count 1, 2, 3.

mod credentials;
mod models_key;
mod records;
mod snapshots;

use portcullis_auth::PoolId;
use portcullis_crypto::{Cell, Domain};
use secrecy::SecretString;

use crate::{
    Pool, PoolError, PoolStatus, Store, StoreError, Table, attribute::Item, backoff::Backoff, batch::RowKey,
    pool_access::PoolReach, row::Row,
};
pub use credentials::{Credential, CredentialId, CredentialKind};
pub use models_key::{ModelsKey, ModelsKeyChange};
pub use records::{BotRecords, ChannelRecords};
pub use snapshots::{Publication, PublishError, Published, Snapshot};

use models_key::SealedModelsKey;

/// A pool with the newest snapshot that its row refers to.
#[derive(Debug)]
pub struct PoolConfiguration {
    /// The pool, as its row was read.
    pub pool: Pool,
    /// Newest snapshot; `None` before the first, and after the pool was terminated.
    pub newest: Option<Snapshot>,
    gateway_token: Option<Vec<u8>>,
    models_key: Option<SealedModelsKey>,
}

impl PoolConfiguration {
    /// Returns the newest snapshot, if it is right for the pool as it is and for this generator.
    #[must_use]
    pub fn current(&self, generator: &str) -> Option<&Snapshot> {
        self.newest.as_ref().filter(|_| self.pool.is_configured_by(generator))
    }

    fn new(item: &Item, newest: Option<Snapshot>) -> Result<Self, StoreError> {
        let row = Row::new(Table::Pools, item)?;
        let gateway_token = if row.has("gatewayToken") { Some(row.bytes("gatewayToken")?.to_vec()) } else { None };
        let models_key = SealedModelsKey::of(&row)?;
        Ok(Self { pool: Pool::from_item(item)?, newest, gateway_token, models_key })
    }

    /// Returns whether the snapshot that was read beside the pool's row is the one that the row refers to.
    fn belongs_together(&self) -> bool {
        let version = self.newest.as_ref().map(|newest| newest.version);
        version == self.pool.built_for.as_ref().map(|_| self.pool.config_version)
    }
}

/// Cell that a pool's gateway token is sealed for.
fn gateway_token_cell(pool: &PoolId) -> Cell<'_> {
    Cell { table: Table::Pools.name(), partition_key: pool.as_str(), sort_key: None, attribute: "gatewayToken" }
}

impl Store {
    /// Reads a pool with its newest snapshot: one call.
    ///
    /// # Errors
    /// [`PoolError`]: a terminated pool counts as unknown.
    pub async fn pool_configuration(&self, pool: &PoolId, reach: PoolReach) -> Result<PoolConfiguration, PoolError> {
        let keys = [RowKey::new(Table::Pools, [pool.as_str()]), snapshots::newest_key(pool)];
        let mut backoff = Backoff::of_race();
        loop {
            let mut rows = self.get_rows(&keys).await?.into_iter();
            let (Some(row), newest) = (rows.next().flatten(), rows.next().flatten()) else {
                return Err(reach.unknown());
            };
            let newest = newest.as_ref().map(Snapshot::from_item).transpose()?;
            let configuration = PoolConfiguration::new(&row, newest)?;
            if configuration.pool.status == PoolStatus::Terminated {
                return Err(reach.unknown());
            }
            reach.admit(configuration.pool.runtime_generation)?;
            if Row::new(Table::Pools, &row)?.has("purging") {
                // A termination failed half way and the pool was registered anew: finish the purge first, so that it
                // does not delete new rows.
                match self.finish_termination(pool).await {
                    Err(PoolError::NotFound) => return Err(reach.unknown()),
                    outcome => outcome?,
                }
            } else if configuration.belongs_together() {
                return Ok(configuration);
            } else {
                // A snapshot was published between the reads of the two rows.
                self.wait_after_race(&mut backoff).await?;
            }
        }
    }

    /// Opens the token of the pool's gateway; `None` before the first snapshot.
    ///
    /// # Errors
    /// [`StoreError`], also where it does not open.
    pub async fn gateway_token(&self, configuration: &PoolConfiguration) -> Result<Option<SecretString>, StoreError> {
        let Some(sealed) = &configuration.gateway_token else { return Ok(None) };
        let cell = gateway_token_cell(&configuration.pool.id);
        self.opener().open(Domain::Configuration, Table::Pools.name(), &cell, sealed).await.map(Some)
    }
}
