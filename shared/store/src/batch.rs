//! Batch reads, across tables.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::future::try_join_all;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, text},
    backoff::Backoff,
    store::built,
};

/// Rows that one call reads; the service's own limit.
///
/// Source: DynamoDB, "`BatchGetItem`".
const ROWS_A_CALL: usize = 100;

/// Address of a row: its table, its partition key and, where the table has one, its sort key. All keys read here are
/// texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    table: Table,
    parts: Vec<String>,
}

impl RowKey {
    pub(crate) fn new<const N: usize>(table: Table, parts: [&str; N]) -> Self {
        Self { table, parts: parts.map(str::to_owned).into() }
    }

    fn attributes(&self) -> Item {
        let named = self.table.key().iter().zip(&self.parts);
        named.map(|(name, part)| ((*name).to_owned(), text(part))).collect()
    }

    fn of(table: Table, item: &Item) -> Option<Self> {
        let parts = table.key().iter().map(|name| item.get(*name)?.as_s().ok().cloned());
        Some(Self { table, parts: parts.collect::<Option<_>>()? })
    }
}

impl Store {
    /// Reads rows consistently, in the keys' order: one call for each 100, side by side. `None` for a missing row. The
    /// keys must differ from each other.
    pub(crate) async fn get_rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Item>>, StoreError> {
        let calls = keys.chunks(ROWS_A_CALL).map(|keys| self.get_batch(keys));
        let mut found: HashMap<RowKey, Item> = try_join_all(calls).await?.into_iter().flatten().collect();
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn get_batch(&self, keys: &[RowKey]) -> Result<Vec<(RowKey, Item)>, StoreError> {
        let mut wanted = self.batch_request(keys)?;
        let mut found = Vec::with_capacity(keys.len());
        let mut backoff = Backoff::of_conflict();
        loop {
            let request = self.client().batch_get_item().set_request_items(Some(wanted));
            let output = self.call(|| request.clone().send()).await?;
            let before = found.len();
            for (name, items) in output.responses.unwrap_or_default() {
                let table = keys.iter().map(|key| key.table).find(|table| self.table_name(*table) == name);
                let rows = items.into_iter().filter_map(|item| Some((RowKey::of(table?, &item)?, item)));
                found.extend(rows);
            }
            wanted = output.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
            // Unprocessed keys come from throttling or from a full answer of 16 MB; only throttling needs a wait.
            if found.len() == before {
                self.wait_after_throttling(&mut backoff).await?;
            }
        }
    }

    fn batch_request(&self, keys: &[RowKey]) -> Result<HashMap<String, KeysAndAttributes>, StoreError> {
        let mut by_table: HashMap<Table, Vec<Item>> = HashMap::new();
        for key in keys {
            by_table.entry(key.table).or_default().push(key.attributes());
        }
        let tables = by_table.into_iter().map(|(table, keys)| {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            Ok((self.table_name(table), built(keys)?))
        });
        tables.collect()
    }
}
