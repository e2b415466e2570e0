//! A session's metadata, in a row of its own.
//!
//! A message rewrites its session's row, and DynamoDB bills a write by the size of the whole row and again for each
//! index that the row is in: with 64 KiB of metadata in it, each message would cost more than a hundred write units.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use super::TABLE;
use crate::{
    Store, StoreError,
    attribute::{Item, SCHEMA, attributes, names, number, schema, text},
    batch::RowKey,
    row::Row,
    store::built,
};

/// Id of the row: unlike a session's id it is not hex. The row has no `bot`, so no index holds it.
fn id(session: &str) -> String {
    format!("metadata#{session}")
}

pub(super) fn key(session: &str) -> RowKey {
    RowKey::new(TABLE, [&id(session)])
}

/// Reads the metadata of a row.
pub(super) fn from_item(item: &Item) -> Result<String, StoreError> {
    Ok(Row::new(TABLE, item)?.text("metadata")?.to_owned())
}

impl Store {
    /// Action that replaces a session's metadata and keeps it at least until `until`, in seconds since the epoch.
    pub(super) fn put_metadata(
        &self,
        session: &str,
        metadata: &str,
        until: i64,
    ) -> Result<TransactWriteItem, StoreError> {
        let row = attributes([
            (SCHEMA, schema()),
            ("id", text(id(session))),
            ("metadata", text(metadata)),
            ("expiresAt", number(until)),
        ]);
        let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(row));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Action that keeps a session's metadata at least until `until`, in seconds since the epoch.
    pub(super) fn keep_metadata(&self, session: &str, until: i64) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #expiresAt = :until";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(id(session)))
            .update_expression(update)
            .set_expression_attribute_names(names(&[update]))
            .expression_attribute_values(":until", number(until));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
