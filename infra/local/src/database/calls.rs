//! DynamoDB's calls on the engine: JSON in, JSON out, with the service's own statuses and error types.
//!
//! Only the operations that Portcullis and its tests use are supported.

use dynoxide::{Database as Engine, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};

/// Prefix of the `x-amz-target` header, before the operation's name.
pub(super) const TARGET_PREFIX: &str = "DynamoDB_20120810.";
/// Media type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Prefixes that the engine's types put before an error that DynamoDB calls a validation error.
const VALIDATION_MARKERS: [&str; 3] = ["VALIDATION:", "VALIDATION_REQUEST:", "VALIDATION_AS_READ:"];

/// An answer in DynamoDB's form.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: String,
}

impl Answer {
    /// An error of the AWS protocol itself, such as `UnknownOperationException`.
    pub(super) fn refusal(error: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": format!("com.amazon.coral.service#{error}"), "message": message });
        Self { status: 400, body: body.to_string() }
    }
}

/// Returns whether the operation of an `x-amz-target` header can write.
pub(super) fn writes(target: &str) -> bool {
    let operation = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
    !["GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"].contains(&operation)
        && !["Describe", "List"].iter().any(|prefix| operation.starts_with(prefix))
}

/// Runs the operation of an `x-amz-target` header. Blocks while the engine works.
pub(super) fn carry_out(engine: &Engine, target: &str, body: &[u8]) -> Answer {
    let operation = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
    let outcome = match operation {
        "GetItem" => call(body, |request| engine.get_item(request)),
        "PutItem" => call(body, |request| engine.put_item(request)),
        "UpdateItem" => call(body, |request| engine.update_item(request)),
        "DeleteItem" => call(body, |request| engine.delete_item(request)),
        "Query" => call(body, |request| engine.query(request)),
        "Scan" => call(body, |request| engine.scan(request)),
        "BatchGetItem" => call(body, |request| engine.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| engine.batch_write_item(request)),
        "TransactGetItems" => call(body, |request| engine.transact_get_items(request)),
        "TransactWriteItems" => call(body, |request| engine.transact_write_items(request)),
        "CreateTable" => call(body, |request| engine.create_table(request)),
        "DescribeTable" => call(body, |request| engine.describe_table(request)),
        "ListTables" => call(body, |request| engine.list_tables(request)),
        "DeleteTable" => call(body, |request| engine.delete_table(request)),
        "UpdateTimeToLive" => call(body, |request| engine.update_time_to_live(request)),
        "DescribeTimeToLive" => call(body, |request| engine.describe_time_to_live(request)),
        _ => return Answer::refusal("UnknownOperationException", "the embedded database has no such operation"),
    };
    match outcome {
        Ok(body) => Answer { status: 200, body },
        Err(error) => Answer { status: error.status_code(), body: error.to_json() },
    }
}

fn call<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<String> {
    let request = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let response = operation(request)?;
    serde_json::to_string(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

fn unreadable(problem: &str) -> DynoxideError {
    // serde_json appends the position.
    let without_place = problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem);
    match VALIDATION_MARKERS.iter().find_map(|marker| without_place.strip_prefix(marker)) {
        Some(problem) => DynoxideError::ValidationException(problem.to_owned()),
        None => DynoxideError::SerializationException(without_place.to_owned()),
    }
}
