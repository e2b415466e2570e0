//! Simulated lag of indexes behind their tables: DynamoDB promises no bound, and an embedded index is always fresh.
//!
//! An index's answer leaves out rows written within the lag. A changed row is therefore missing from it, where DynamoDB
//! would return the row's earlier state.

use std::{fmt, sync::Arc};

use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use jiff::SignedDuration;
use portcullis_auth::Clock;
use portcullis_local::stack::WrapClient;
use serde_json::{Value, json};

/// Wraps clients so that indexes lag by `lag`. Rows were written by `clock`.
#[must_use]
pub fn lagging(clock: Arc<dyn Clock>, lag: SignedDuration) -> WrapClient {
    let lag = IndexLag { clock, lag };
    Box::new(move |client| SharedHttpClient::new(Lagging { inner: client, lag: lag.clone() }))
}

/// A client whose indexes lag.
#[derive(Debug)]
struct Lagging<T> {
    inner: T,
    lag: IndexLag,
}

#[derive(Clone)]
struct IndexLag {
    clock: Arc<dyn Clock>,
    lag: SignedDuration,
}

impl fmt::Debug for IndexLag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IndexLag").field("lag", &self.lag).finish_non_exhaustive()
    }
}

impl IndexLag {
    /// Removes the rows written within the lag from an index's answer.
    async fn applied_to(&self, mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let body = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?.to_vec();
        let mut answer: Value = serde_json::from_slice(&body).map_err(|error| ConnectorError::io(error.into()))?;
        // Times are texts of a fixed width, so they sort by time.
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

/// Returns whether a request reads an index.
fn reads_index(request: &HttpRequest) -> bool {
    let body = request.body().bytes().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    body.is_some_and(|body| body["IndexName"].is_string())
}

impl HttpClient for Lagging<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Lagging { inner, lag: self.lag.clone() })
    }
}

impl HttpConnector for Lagging<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if !reads_index(&request) {
            return self.inner.call(request);
        }
        let (connector, lag) = (self.inner.clone(), self.lag.clone());
        HttpConnectorFuture::new(async move { lag.applied_to(connector.call(request).await?).await })
    }
}
