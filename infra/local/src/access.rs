//! Enforces in each function's database client the permissions of its role in the template.
//!
//! On AWS, IAM enforces the role. Here each function calls the database through a [`Guarded`] client, which checks
//! calls against the same template, so that a role which is too narrow fails on this machine first. Used grants are
//! recorded: a grant that nothing ever uses is superfluous.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

/// Permission for one action on a table, or on an index of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// Table, without its prefix.
    pub table: String,
    /// Index; `None` for the table itself.
    pub index: Option<String>,
    /// Action, such as `GetItem`.
    pub action: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index.as_ref().map(|index| format!("/index/{index}")).unwrap_or_default();
        write!(formatter, "{} on {}{index}", self.action, self.table)
    }
}

/// Grants of a function, and the used ones among them.
#[derive(Debug)]
pub struct Access {
    function: String,
    prefix: String,
    granted: BTreeSet<Grant>,
    used: Mutex<BTreeSet<Grant>>,
}

impl Access {
    /// Grants of a function for tables whose names begin with `prefix`.
    #[must_use]
    pub fn new(function: &str, prefix: &str, granted: BTreeSet<Grant>) -> Self {
        Self { function: function.to_owned(), prefix: prefix.to_owned(), granted, used: Mutex::default() }
    }

    /// Name of the function.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Grants that were never used.
    #[must_use]
    pub fn unused(&self) -> Vec<Grant> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.granted.difference(&used).cloned().collect()
    }

    /// Part of a call that the role does not allow; `None` where it allows the whole call.
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

    /// Grants that a call needs; `None` for an operation that no function uses.
    ///
    /// Source: AWS, "Actions, resources, and condition keys for Amazon DynamoDB", and "IAM policies for transactions":
    /// a transaction needs the permissions of each of its parts.
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

/// Action that a part of a transaction needs; `None` for a part that DynamoDB does not know.
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

/// Table, or index of it, of a call or a part of one.
#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, rename = "TableName")]
    table: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "IndexName")]
    index: Option<Cow<'a, str>>,
}

/// The table names of a batch request.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "RequestItems")]
    #[expect(clippy::zero_sized_map_values, reason = "the values are skipped, not kept")]
    tables: BTreeMap<String, IgnoredAny>,
}

/// The table names of a transaction request.
#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow, rename = "TransactItems")]
    parts: Vec<BTreeMap<String, Place<'a>>>,
}

/// A client that refuses the calls that the function's role does not allow.
#[derive(Clone, Debug)]
pub struct Guarded {
    client: SharedHttpClient,
    access: Arc<Access>,
}

impl Guarded {
    /// Wraps `client` so that it makes only the calls that `access` allows.
    #[must_use]
    pub fn new(client: SharedHttpClient, access: Arc<Access>) -> Self {
        Self { client, access }
    }
}

impl HttpClient for Guarded {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner: connector, access: Arc::clone(&self.access) })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    access: Arc<Access>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(denied) = self.access.denied(&request) else { return self.inner.call(request) };
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
