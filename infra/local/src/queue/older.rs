//! Data folders of versions that kept the queue in a table of the embedded database.

use aws_sdk_dynamodb::{Client, types::Select};
use portcullis_runtime::queue::QueueError;

/// The tables of queued events and of dead letters. Rows without a body are traces of acknowledged events.
const TABLES: [&str; 2] = ["local_event_queue", "local_dead_letters"];

/// Makes sure that no older version has left events in the database behind `client`: this version would not find them.
///
/// # Errors
/// [`QueueError::Refused`] says how many there are, and [`QueueError::Unavailable`] that the database does not answer.
pub(crate) async fn check_no_older_queue(client: &Client) -> Result<(), QueueError> {
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
