//! Pages of lists. A list decides nothing, so it may be eventually consistent.

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use portcullis_auth::BotId;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, text},
};

/// Calls that one page makes at most, to read on past rows that the filter drops.
const MAXIMUM_CALLS: usize = 8;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most the requested number. There may be fewer, or none, though more follow.
    pub items: Vec<T>,
    /// Row that the next page begins after, which need not be in the list; `None` at the end.
    pub after: Option<String>,
}

/// A list of a table whose key is `id`, in the table's own order.
pub(crate) struct Scan {
    pub(crate) table: Table,
    /// Attributes that are read, `id` among them.
    pub(crate) projection: &'static str,
    /// Filter expression with its values; `None` lists all rows.
    pub(crate) filter: Option<(&'static str, Item)>,
}

impl Store {
    /// Reads a page of a table.
    pub(crate) async fn scan_page<T>(
        &self,
        scan: Scan,
        limit: usize,
        after: Option<String>,
        read: impl Fn(&Item) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let Scan { table, projection, filter } = scan;
        let (filter, values) = filter.unzip();
        let request = self
            .client()
            .scan()
            .table_name(self.table_name(table))
            .projection_expression(projection)
            .set_filter_expression(filter.map(str::to_owned))
            .set_expression_attribute_names(names(&[projection, filter.unwrap_or_default()]))
            .set_expression_attribute_values(values);
        let (mut items, mut after) = (Vec::new(), after);
        for _ in 0..MAXIMUM_CALLS {
            let left = i32::try_from(limit - items.len()).unwrap_or(i32::MAX);
            let start = after.as_ref().map(|key| attributes([("id", text(key))]));
            let request = request.clone().limit(left).set_exclusive_start_key(start);
            let output = self.call(|| request.clone().send()).await?;
            for item in output.items.unwrap_or_default() {
                items.push(read(&item)?);
            }
            after = output.last_evaluated_key.as_ref().and_then(last_id);
            if after.is_none() || items.len() >= limit {
                break;
            }
        }
        Ok(Page { items, after })
    }
}

fn last_id(key: &Item) -> Option<String> {
    key.get("id").map(AttributeValue::as_s)?.ok().cloned()
}

/// Newest rows of one bot that a list across bots reads. More would make one request read megabytes.
pub(crate) const MAXIMUM_LISTED_A_BOT: i32 = 1000;

/// Index of `chat_sessions` and of `artifacts` that lists a bot's rows by time.
pub(crate) const BY_BOT_AND_TIME: &str = "byBotAndTime";

/// Part of a list, with the whole list's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    /// Items of the part.
    pub items: Vec<T>,
    /// Number of items of the whole list.
    pub total: usize,
}

/// Part of a list that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of items to skip.
    pub offset: usize,
    /// Most items to return.
    pub limit: usize,
}

impl Window {
    pub(crate) fn of<T>(self, items: Vec<T>) -> Slice<T> {
        let total = items.len();
        Slice { items: items.into_iter().skip(self.offset).take(self.limit).collect(), total }
    }
}

impl Store {
    /// Reads all rows of a query, page by page: one call for each 1 MiB.
    pub(crate) async fn query_all(&self, query: QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
        let (mut rows, mut start) = (Vec::new(), None);
        loop {
            let page = query.clone().set_exclusive_start_key(start);
            let page = self.call(|| page.clone().send()).await?;
            rows.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Reads the newest rows of these bots, at most [`MAXIMUM_LISTED_A_BOT`] of each: one call a bot, side by side, and
    /// more where they exceed 1 MiB.
    pub(crate) async fn newest_rows(&self, table: Table, bots: &[BotId]) -> Result<Vec<Item>, StoreError> {
        let rows = futures_util::future::try_join_all(bots.iter().map(|bot| self.newest_rows_of(table, bot))).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn newest_rows_of(&self, table: Table, bot: &BotId) -> Result<Vec<Item>, StoreError> {
        let keys = "#bot = :bot";
        let request = self
            .client()
            .query()
            .table_name(self.table_name(table))
            .index_name(BY_BOT_AND_TIME)
            .scan_index_forward(false)
            .key_condition_expression(keys)
            .set_expression_attribute_names(names(&[keys]))
            .expression_attribute_values(":bot", text(bot));
        let (mut rows, mut start, mut left) = (Vec::new(), None, MAXIMUM_LISTED_A_BOT);
        loop {
            let request = request.clone().limit(left).set_exclusive_start_key(start);
            let output = self.call(|| request.clone().send()).await?;
            left = left.saturating_sub(output.count);
            rows.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() || left == 0 {
                return Ok(rows);
            }
        }
    }
}
