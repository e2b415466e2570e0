//! What each function may do with the tables: what its role in the template allows, and nothing else.
//!
//! On AWS it is IAM that turns a call away. Here each function calls the database through a [`Guarded`] client, which does the
//! same by the same template, so that a role which is too narrow fails on this machine first. What was used is noted: a grant
//! that nothing ever uses is one too many.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use jiff::SignedDuration;
use portcullis_auth::Clock;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

/// That something may be done with a table, or with an index of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The table, without its prefix.
    pub table: String,
    /// The index; `None` for the table itself.
    pub index: Option<String>,
    /// What may be done, such as `GetItem`.
    pub action: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index.as_ref().map(|index| format!("/index/{index}")).unwrap_or_default();
        write!(formatter, "{} on {}{index}", self.action, self.table)
    }
}

/// A function's rights, and which of them it has used.
#[derive(Debug)]
pub struct Access {
    function: String,
    prefix: String,
    granted: BTreeSet<Grant>,
    used: Mutex<BTreeSet<Grant>>,
}

impl Access {
    /// The rights of a function to tables whose names begin with `prefix`.
    #[must_use]
    pub fn new(function: &str, prefix: &str, granted: BTreeSet<Grant>) -> Self {
        Self { function: function.to_owned(), prefix: prefix.to_owned(), granted, used: Mutex::default() }
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The rights that it has never used.
    #[must_use]
    pub fn unused(&self) -> Vec<Grant> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.granted.difference(&used).cloned().collect()
    }

    /// The part of a call that the role does not allow; `None` where it allows all of it.
    fn denied(&self, request: &HttpRequest) -> Option<String> {
        let unreadable = || Some("what is not understood".to_owned());
        let operation = request.headers().get("x-amz-target").and_then(|target| target.split('.').nth(1));
        let Some((operation, body)) = operation.zip(request.body().bytes()) else { return unreadable() };
        let Ok(needed) = self.needed(operation, body) else { return unreadable() };
        let Some(needed) = needed else { return Some(operation.to_owned()) };
        if let Some(missing) = needed.iter().find(|grant| !self.granted.contains(grant)) {
            return Some(missing.to_string());
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for grant in needed {
            if !used.contains(&grant) {
                used.insert(grant);
            }
        }
        None
    }

    /// The grants that a call needs; `None` for one that no function makes.
    ///
    /// Source: AWS, "Actions, resources, and condition keys for Amazon DynamoDB", and "IAM policies for transactions": a
    /// transaction needs what each of its parts does.
    fn needed(&self, operation: &str, body: &[u8]) -> Result<Option<Vec<Grant>>, serde_json::Error> {
        let of = |action: &str, place: &Place| {
            let table = place.table.as_deref()?.strip_prefix(&self.prefix)?.to_owned();
            let index = place.index.as_deref().map(str::to_owned);
            Some(Grant { table, index, action: action.to_owned() })
        };
        Ok(match operation {
            "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan" => {
                of(operation, &serde_json::from_slice(body)?).map(|grant| vec![grant])
            }
            "BatchGetItem" | "BatchWriteItem" => {
                let Batch { tables } = serde_json::from_slice(body)?;
                let places = tables.into_keys().map(|table| Place { table: Some(table.into()), index: None });
                places.map(|place| of(operation, &place)).collect()
            }
            "TransactGetItems" | "TransactWriteItems" => {
                let Transaction { parts } = serde_json::from_slice(body)?;
                let parts = parts.iter().flat_map(|part| part.iter());
                parts.map(|(part, place)| of(action_of_part(part)?, place)).collect()
            }
            _ => None,
        })
    }
}

/// The action that a part of a transaction needs; `None` for a part that DynamoDB does not know.
fn action_of_part(part: &str) -> Option<&'static str> {
    Some(match part {
        "Get" => "GetItem",
        "Put" => "PutItem",
        "Update" => "UpdateItem",
        "Delete" => "DeleteItem",
        "ConditionCheck" => "ConditionCheckItem",
        _ => return None,
    })
}

/// The table, or the index of it, that a call or a part of one is about.
#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, rename = "TableName")]
    table: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "IndexName")]
    index: Option<Cow<'a, str>>,
}

/// A batch, as far as it names tables.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "RequestItems")]
    #[expect(clippy::zero_sized_map_values, reason = "the values are skipped, not kept")]
    tables: BTreeMap<String, IgnoredAny>,
}

/// A transaction, as far as it names tables.
#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow, rename = "TransactItems")]
    parts: Vec<BTreeMap<String, Place<'a>>>,
}

/// A client whose calls are turned away where the function's role does not allow them.
#[derive(Clone, Debug)]
pub struct Guarded {
    client: SharedHttpClient,
    access: Arc<Access>,
    lag: Option<IndexLag>,
}

impl Guarded {
    /// Makes those calls of `client` that `access` allows.
    #[must_use]
    pub fn new(client: SharedHttpClient, access: Arc<Access>) -> Self {
        Self { client, access, lag: None }
    }

    /// Makes them so that indexes lag behind their tables.
    #[must_use]
    pub fn with_index_lag(self, lag: Option<IndexLag>) -> Self {
        Self { lag, ..self }
    }
}

/// How far indexes are behind their tables: DynamoDB promises nothing of it, and an embedded index is always fresh.
///
/// What was written since is not in an index's answer; a row that has changed is therefore missing from it, where DynamoDB's
/// would be there as it was before.
#[derive(Clone)]
pub struct IndexLag {
    /// The clock that rows were written by.
    pub clock: Arc<dyn Clock>,
    /// How far.
    pub lag: SignedDuration,
}

impl fmt::Debug for IndexLag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IndexLag").field("lag", &self.lag).finish_non_exhaustive()
    }
}

impl IndexLag {
    /// An index's answer without what was written since.
    async fn applied_to(&self, mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let body = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?.to_vec();
        let mut answer: Value = serde_json::from_slice(&body).map_err(|error| ConnectorError::io(error.into()))?;
        // Times are texts of one width.
        let seen = format!("{:.3}", self.clock.now() - self.lag);
        if let Some(items) = answer["Items"].as_array_mut() {
            items.retain(|item| item["updatedAt"]["S"].as_str().is_none_or(|written| written <= seen.as_str()));
            answer["Count"] = json!(answer["Items"].as_array().map_or(0, Vec::len));
        }
        let body = answer.to_string();
        response.headers_mut().insert("content-length", body.len().to_string());
        response.headers_mut().remove("x-amz-crc32");
        *response.body_mut() = SdkBody::from(body);
        Ok(response)
    }
}

/// Whether a request reads an index.
fn reads_index(request: &HttpRequest) -> bool {
    let body = request.body().bytes().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    body.is_some_and(|body| body["IndexName"].is_string())
}

impl HttpClient for Guarded {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(Connector {
            inner: connector,
            access: Arc::clone(&self.access),
            lag: self.lag.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    access: Arc<Access>,
    lag: Option<IndexLag>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(denied) = self.access.denied(&request) else {
            let Some(lag) = self.lag.clone().filter(|_| reads_index(&request)) else {
                return self.inner.call(request);
            };
            let connector = self.inner.clone();
            return HttpConnectorFuture::new(async move { lag.applied_to(connector.call(request).await?).await });
        };
        tracing::error!(
            function = self.access.function,
            denied,
            "the function's role in the template does not allow this"
        );
        let body = json!({
            "__type": "com.amazon.coral.service#AccessDeniedException",
            "message": format!("{} is not authorized to perform {denied}", self.access.function),
        });
        let response = StatusCode::try_from(400).map(|status| {
            let mut response = HttpResponse::new(status, SdkBody::from(body.to_string()));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            response
        });
        HttpConnectorFuture::ready(response.map_err(|error| ConnectorError::other(error.into(), None)))
    }
}
