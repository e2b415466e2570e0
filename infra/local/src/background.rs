//! Work that nobody waits for gives way to requests.
//!
//! On AWS the relay has machines of its own. Here it shares two cores and one database with the front door, and a backlog of
//! deliveries would slow down each request that comes in meanwhile.

use std::sync::Arc;

use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use tokio::sync::Semaphore;

/// How many calls are made at once for the work in the background: each is short, so the others wait for milliseconds, and
/// a request meets at most this many before its own.
const CALLS_AT_ONCE: usize = 2;

/// A client whose calls are made few at a time.
#[derive(Clone, Debug)]
pub struct Background {
    client: SharedHttpClient,
    places: Arc<Semaphore>,
}

impl Background {
    /// Makes the calls of `client`, few at a time.
    #[must_use]
    pub fn new(client: SharedHttpClient) -> Self {
        Self { client, places: Arc::new(Semaphore::new(CALLS_AT_ONCE)) }
    }
}

impl HttpClient for Background {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(Connector { connector, places: Arc::clone(&self.places) })
    }
}

#[derive(Debug)]
struct Connector {
    connector: SharedHttpConnector,
    places: Arc<Semaphore>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connector, places) = (self.connector.clone(), Arc::clone(&self.places));
        HttpConnectorFuture::new(async move {
            let _place = places.acquire().await.map_err(|closed| ConnectorError::other(closed.into(), None))?;
            connector.call(request).await
        })
    }
}
