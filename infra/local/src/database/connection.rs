//! HTTP client for the real AWS client that calls the engine in this process and opens no socket.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, RuntimeComponents, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use tokio::task::yield_now;

use super::calls::{self, Answer};
use crate::wal_sync::{SyncError, WalSync};

/// Endpoint address that the AWS client requires; it is never resolved.
const ADDRESS: &str = "http://embedded-dynamodb.invalid";

/// Reason why the engine gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The database was shut down.
    #[error("the embedded database has ended")]
    Ended,
    /// The engine panicked on this call.
    #[error("the embedded database failed at this call")]
    Failed,
    /// The engine has run the call, and a power cut may undo it.
    #[error(transparent)]
    NotDurable(#[from] SyncError),
}

/// Handle to the embedded engine, valid until the database is shut down. Clones share the engine.
#[derive(Clone)]
pub struct Connection {
    // Empty after the shutdown: a client that outlives the database would hold the engine's files open.
    engine: Arc<RwLock<Option<dynoxide::Database>>>,
    sync: WalSync,
}

impl Connection {
    pub(super) fn new(engine: dynoxide::Database, sync: WalSync) -> Self {
        Self { engine: Arc::new(RwLock::new(Some(engine))), sync }
    }

    /// Runs the operation that `target`, the header `x-amz-target`, names. The engine works on the calling thread. A
    /// future that is dropped before its first yield returns has changed nothing.
    ///
    /// A write returns once it is durable. Reads see it as soon as the engine has committed it.
    ///
    /// # Errors
    /// [`CallError`]. An error of DynamoDB itself is an [`Answer`].
    pub async fn call(&self, target: &str, body: &[u8]) -> Result<Answer, CallError> {
        // Yield once, as a network call would: without it, `join!`ed calls would run one after another.
        yield_now().await;
        let answer = self.with_engine(|engine| calls::carry_out(engine, target, body))?;
        // Refused writes wait too: the condition may have failed because of a write that is not durable yet.
        if calls::writes(target) {
            self.sync.durable().await?;
        }
        Ok(answer)
    }

    /// Configuration of AWS clients that call the engine through this connection.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("local", "local", None, None, "local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(ADDRESS)
            .http_client(self.clone())
            .build()
    }

    /// Runs blocking work on the engine.
    pub(super) fn with_engine<Outcome>(
        &self,
        work: impl FnOnce(&dynoxide::Database) -> Outcome,
    ) -> Result<Outcome, CallError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let engine = engine.as_ref().ok_or(CallError::Ended)?;
        catch_unwind(AssertUnwindSafe(|| work(engine))).map_err(|_| CallError::Failed)
    }

    /// Waits for calls in flight, then refuses all later ones.
    pub(super) fn close(&self) {
        drop(self.engine.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connection = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let body = request.body().bytes();
            let body = body.ok_or_else(|| ConnectorError::user("a streamed body is no call of DynamoDB's".into()))?;
            let answer = Connection::call(&connection, target, body).await;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::io(error.into()))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            response.headers_mut().insert("content-type", calls::CONTENT_TYPE);
            Ok(response)
        })
    }
}
