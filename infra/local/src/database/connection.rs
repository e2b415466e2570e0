//! The way to the engine within this process: an HTTP client for the real AWS client that opens no socket.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
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
use bytes::Bytes;
use tokio::{sync::Semaphore, task::yield_now, time::timeout};
use tokio_util::task::TaskTracker;

use super::calls::{self, Answer};

/// Calls that are in the engine at once. It carries out one write at a time, so more threads would only wait for it.
const CALLS_AT_ONCE: usize = 8;
/// Name in the address that the AWS client wants; nothing ever looks it up.
const ADDRESS: &str = "http://embedded-dynamodb.invalid";

/// Why the engine has given no answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum CallError {
    /// The database was shut down.
    #[error("the embedded database has ended")]
    Ended,
    /// The engine panicked on this call.
    #[error("the embedded database failed at this call")]
    Failed,
}

/// A way to the embedded database's engine, good until the database is shut down. A clone leads to the same engine.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    // Empty after the end: clients that live longer would hold the engine's files open.
    engine: RwLock<Option<dynoxide::Database>>,
    places: Arc<Semaphore>,
    calls: TaskTracker,
}

impl Connection {
    pub(super) fn new(engine: dynoxide::Database) -> Self {
        let (places, calls) = (Arc::new(Semaphore::new(CALLS_AT_ONCE)), TaskTracker::new());
        Self { shared: Arc::new(Shared { engine: RwLock::new(Some(engine)), places, calls }) }
    }

    /// Makes the call that `target`, the header `x-amz-target`, names. Once the engine has begun it, it is carried out to its
    /// end, also where nobody waits for the answer any more.
    ///
    /// # Errors
    /// [`CallError`]. What DynamoDB would refuse is an [`Answer`].
    pub async fn call(&self, target: String, body: Bytes) -> Result<Answer, CallError> {
        self.with_engine(move |engine| calls::carry_out(engine, &target, &body)).await
    }

    /// Configuration of AWS clients that reach the engine through this.
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

    /// Has the engine do some work on a thread that may block.
    pub(super) async fn with_engine<Outcome: Send + 'static>(
        &self,
        work: impl FnOnce(&dynoxide::Database) -> Outcome + Send + 'static,
    ) -> Result<Outcome, CallError> {
        let place = Arc::clone(&self.shared.places).acquire_owned().await.map_err(|_| CallError::Ended)?;
        let running = {
            // Under the lock, so that the end cannot come between the engine's clone and its use being known.
            let engine = self.shared.engine.read().unwrap_or_else(PoisonError::into_inner);
            let engine = engine.clone().ok_or(CallError::Ended)?;
            self.shared.calls.spawn_blocking(move || {
                let outcome = work(&engine);
                drop(place);
                outcome
            })
        };
        // As over a network: an answer that were there at once would let calls that are made side by side run one by one.
        yield_now().await;
        running.await.map_err(|_| CallError::Failed)
    }

    /// Lets nothing more in, and waits for the calls under way.
    pub(super) async fn close(&self, grace: Duration) {
        drop(self.shared.engine.write().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.calls.close();
        if timeout(grace, self.shared.calls.wait()).await.is_err() {
            tracing::warn!("the database ended before calls that took too long");
        }
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
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let body = request.body().bytes().map(Bytes::copy_from_slice);
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
