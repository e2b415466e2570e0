//! Raw rows of the store, read and written without the functions.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use portcullis_store::Table;
use portcullis_tests::System;

fn client(system: &System) -> Client {
    Client::new(&system.stack.environment().aws)
}

fn name(table: Table) -> String {
    format!("portcullis-local-{}", table.name())
}

/// Deletes the row with this id.
pub async fn delete(system: &System, table: Table, id: &str) {
    let delete = client(system).delete_item().table_name(name(table)).key("id", AttributeValue::S(id.to_owned()));
    delete.condition_expression("attribute_exists(id)").send().await.expect("the row is there and is deleted");
}

/// All rows of a table, each with its text and number attributes by name.
pub async fn all(system: &System, table: Table) -> Vec<HashMap<String, String>> {
    let rows = client(system).scan().table_name(name(table)).consistent_read(true).send().await;
    let rows = rows.expect("the table is read").items.unwrap_or_default();
    let texts = |row: HashMap<String, AttributeValue>| {
        let text = |(name, value)| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => Some((name, text)),
            _ => None,
        };
        row.into_iter().filter_map(text).collect()
    };
    rows.into_iter().map(texts).collect()
}
