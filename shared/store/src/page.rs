//! Pages of lists. A list decides nothing, so that it may be eventually consistent.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, text},
};

/// How often one page of a list reads on past rows that the list leaves out.
const MAXIMUM_CALLS: usize = 8;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as were asked for. There may be fewer, or none, where more follow.
    pub items: Vec<T>,
    /// The row that the next page begins after, which need not be one of the list; `None` at the end.
    pub after: Option<String>,
}

/// A list of a table whose key is `id`, in the table's own order.
pub(crate) struct Scan {
    pub(crate) table: Table,
    /// The attributes that are read, `id` among them.
    pub(crate) projection: &'static str,
    /// Which rows the list holds, with the condition's values; without it all.
    pub(crate) filter: Option<(&'static str, Item)>,
}

impl Store {
    /// A page of a table.
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
