//! List of all bots.

use super::{Bot, BotStatus, TABLE};
use crate::{
    Page, Store, StoreError,
    attribute::{attributes, text},
    page::Scan,
};

impl Store {
    /// Returns a page of the bots that are not deleted, in the table's order. System prompts are left out: they are
    /// long.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_bots(&self, limit: usize, after: Option<String>) -> Result<Page<Bot>, StoreError> {
        let scan = Scan {
            table: TABLE,
            projection: "#schema, #id, #user, #name, #slug, #pool, #status, #modelId, #createdAt, #updatedAt",
            // A slug's claim row has no status.
            filter: Some((
                "attribute_exists(#status) AND #status <> :deleted",
                attributes([(":deleted", text(BotStatus::Deleted))]),
            )),
        };
        self.scan_page(scan, limit, after, Bot::from_item).await
    }
}
