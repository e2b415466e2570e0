//! Address of the AWS emulator that `tests/foreign/run` starts, and a fault-injecting proxy in front of it.

#![allow(dead_code, reason = "each suite uses its part")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_types::SdkConfig;
use axum::{
    extract::Request,
    handler::HandlerWithoutStateExt,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use portcullis_crypto::Randomness;
use portcullis_runtime::SystemRandomness;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// URL of the emulator, such as `http://127.0.0.1:40123`.
///
/// # Panics
/// If `AWS_EMULATOR_URL` is not set.
#[expect(clippy::disallowed_methods, reason = "a suite's own setting, which no function reads")]
pub fn url() -> String {
    std::env::var("AWS_EMULATOR_URL").expect("AWS_EMULATOR_URL is set: run this suite with tests/foreign/run")
}

/// AWS client configuration for the service at `url`.
pub fn config(url: &str) -> SdkConfig {
    portcullis_local::database::sdk_config(url)
}

/// A random name, unique among tests and runs.
pub fn unique_name(what: &str) -> String {
    let mut bytes = [0; 8];
    SystemRandomness.fill(&mut bytes);
    format!("{what}-{}", hex::encode(bytes))
}

/// Fault of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Forwards requests.
    Open,
    /// Answers 503 without forwarding.
    Down,
    /// Forwards requests once this many are in progress at the same time.
    Together(usize),
}

/// A fault-injecting proxy in front of the emulator.
pub struct Proxy {
    /// URL of the proxy.
    pub url: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    upstream: String,
    client: reqwest::Client,
    wire: Mutex<Wire>,
    waiting: AtomicUsize,
    gate: Semaphore,
    operations: Mutex<BTreeMap<String, usize>>,
}

impl Proxy {
    /// Starts a proxy on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let state = Arc::new(State {
            upstream: url(),
            client: reqwest::Client::builder().no_proxy().build().expect("a plain client"),
            wire: Mutex::new(Wire::Open),
            waiting: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            operations: Mutex::new(BTreeMap::new()),
        });
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let shared = Arc::clone(&state);
        let handler = move |request: Request| {
            let state = Arc::clone(&shared);
            async move { state.pass(request).await }
        };
        let server = tokio::spawn(async move { drop(axum::serve(listener, handler.into_make_service()).await) });
        Self { url, state, server }
    }

    /// Answers 503 to later requests.
    pub fn cut(&self) {
        self.set(Wire::Down);
    }

    /// Forwards later requests.
    pub fn recover(&self) {
        self.set(Wire::Open);
    }

    /// Holds later requests until `count` are in progress at the same time.
    pub fn hold_until(&self, count: usize) {
        self.set(Wire::Together(count));
    }

    /// Number of requests by operation.
    pub fn operations(&self) -> BTreeMap<String, usize> {
        self.state.operations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, wire: Wire) {
        *self.state.wire.lock().unwrap_or_else(PoisonError::into_inner) = wire;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    async fn pass(&self, request: Request) -> Response {
        let operation = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("-");
        *self.operations.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.to_owned()).or_default() += 1;
        let wire = *self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        match wire {
            Wire::Open => {}
            Wire::Down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Wire::Together(count) => {
                if self.waiting.fetch_add(1, Ordering::SeqCst) + 1 == count {
                    self.gate.add_permits(count);
                }
                // Sequential requests would never reach the count, so each fails after this time-out.
                if tokio::time::timeout(Duration::from_millis(1500), self.gate.acquire()).await.is_err() {
                    return StatusCode::BAD_REQUEST.into_response();
                }
            }
        }
        self.forward(request).await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
    }

    async fn forward(&self, request: Request) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let url = format!("{}{}", self.upstream, parts.uri);
        let answer = self.client.request(parts.method, url).headers(parts.headers).body(body).send().await?;
        let (status, content_type) = (answer.status(), answer.headers().get(http::header::CONTENT_TYPE).cloned());
        let mut response = (status, answer.bytes().await?).into_response();
        if let Some(content_type) = content_type {
            response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        }
        Ok(response)
    }
}
