//! Listing all pools.

use super::Pool;
use crate::{Page, Store, StoreError, Table, page::Scan};

impl Store {
    /// A page of the pools, terminated ones too. The order is the table's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_pools(&self, limit: usize, after: Option<String>) -> Result<Page<Pool>, StoreError> {
        let scan = Scan {
            table: Table::Pools,
            // Without what is sealed.
            projection: "#schema, #id, #status, #podIp, #activeSince, #lastSeenAt, #lastSeenVersion, \
                #openclawVersion, #configVersion, #configRevision, #configGenerator, #secretsRevision, #revision, \
                #skillGeneration, #runtimeGeneration, #bots, #modelsKeyAliases, #createdAt, #updatedAt",
            filter: None,
        };
        self.scan_page(scan, limit, after, Pool::from_item).await
    }
}
