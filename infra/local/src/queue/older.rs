//! Detection of data folders of versions that kept the queue in a table of the embedded database.

use aws_sdk_dynamodb::{Client, types::Select};
use portcullis_runtime::queue::QueueError;

/// Tables of queued events and of dead letters. Rows without a body are traces of acknowledged events.
const TABLES: [&str; 2] = ["local_event_queue", "local_dead_letters"];

/// Checks that no older version has left events in the database behind `client`: this version would not deliver them.
///
/// # Errors
/// [`QueueError::Refused`] with the number of such events, and [`QueueError::Unavailable`] where the database does not
/// answer.
pub async fn check_no_older_queue(client: &Client) -> Result<(), QueueError> {
    let unavailable = |error: &dyn std::fmt::Display| QueueError::Unavailable(error.to_string());
    let tables = client.list_tables().send().await.map_err(|error| unavailable(&error))?;
    for table in TABLES.into_iter().filter(|table| tables.table_names().iter().any(|name| name == table)) {
        let scan = client
            .scan()
            .table_name(table)
            .select(Select::Count)
            .filter_expression("attribute_exists(#body)")
            .expression_attribute_names("#body", "body");
        let (mut count, mut from) = (0, None);
        loop {
            let page = scan.clone().set_exclusive_start_key(from).send().await.map_err(|error| unavailable(&error))?;
            count += page.count;
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        if count > 0 {
            let advice =
                "start the version that queued them until they are delivered or redriven, or use another folder";
            return Err(QueueError::Refused(format!("{count} events of an older version lie in {table}: {advice}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_sdk_dynamodb::types::AttributeValue;
    use portcullis_runtime::SystemClock;

    use super::*;
    use crate::{
        database::{Database, create_tables},
        template::{Key, KeyAttribute, Table},
        wal_sync::Durability,
    };

    #[tokio::test]
    async fn events_of_an_older_version_are_counted_and_refused_and_traces_of_them_are_not() {
        let database = Database::start(None, Durability::default(), Arc::new(SystemClock)).unwrap();
        let client = Client::new(&database.sdk_config());
        check_no_older_queue(&client).await.unwrap();

        let id = KeyAttribute { name: "id".to_owned(), kind: "S".to_owned() };
        let key = Key { partition: id, sort: None };
        let table = Table { name: TABLES[0].to_owned(), key, indexes: Vec::new(), ttl_attribute: None };
        create_tables(&client, "", &[table]).await.unwrap();
        let put = |id: &str| client.put_item().table_name(TABLES[0]).item("id", AttributeValue::S(id.to_owned()));
        put("acknowledged").send().await.unwrap();
        check_no_older_queue(&client).await.unwrap();

        for id in ["waiting", "waiting too"] {
            put(id).item("body", AttributeValue::S("{}".to_owned())).send().await.unwrap();
        }
        let refused = check_no_older_queue(&client).await.unwrap_err();
        assert!(matches!(&refused, QueueError::Refused(reason) if reason.starts_with("2 events")), "{refused}");
        database.shutdown().await;
    }
}
