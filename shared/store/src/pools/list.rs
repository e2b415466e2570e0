//! List of all pools.

use super::Pool;
use crate::{Page, Store, StoreError, Table, page::Scan};

impl Store {
    /// Returns a page of the pools, terminated ones too, in the table's order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_pools(&self, limit: usize, after: Option<String>) -> Result<Page<Pool>, StoreError> {
        let scan = Scan {
            table: Table::Pools,
            // All attributes but the sealed ones.
            projection: "#schema, #id, #status, #podIp, #activeSince, #lastSeenAt, #lastSeenVersion, \
                #openclawVersion, #configVersion, #configRevision, #configGenerator, #secretsRevision, #revision, \
                #skillGeneration, #runtimeGeneration, #bots, #modelsKeyAliases, #createdAt, #updatedAt",
            filter: None,
        };
        self.scan_page(scan, limit, after, Pool::from_item).await
    }
}
