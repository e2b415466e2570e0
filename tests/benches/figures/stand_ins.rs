//! Fake servers that the functions call besides the database: SQS and a pool.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Json, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::Failure;

/// A server on loopback that ends on drop.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // The server ends with the task; its failure shows as a refused connection.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message as SQS delivers it.
pub struct Message {
    pub group: String,
    pub deduplication: String,
    pub body: String,
    pub attributes: Value,
}

type Messages = Arc<Mutex<Vec<Message>>>;

/// A fake SQS that accepts every message at once.
pub struct Sqs {
    server: Server,
    messages: Messages,
}

impl Sqs {
    pub async fn start() -> Result<Self, Failure> {
        let messages = Messages::default();
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take_message).with_state(Arc::clone(&messages));
        Ok(Self { server: Server::start(router).await?, messages })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Removes and returns the messages sent so far.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers the two calls. Source: Amazon SQS API Reference, `SendMessage` and `GetQueueAttributes`, JSON protocol.
async fn take_message(State(messages): State<Messages>, body: axum::body::Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let answer = match text("MessageBody") {
        Some(body) => {
            let group = text("MessageGroupId").unwrap_or_default();
            let deduplication = text("MessageDeduplicationId").unwrap_or_default();
            let attributes = request.get("MessageAttributes").cloned().unwrap_or_default();
            let message = Message { group, deduplication, body, attributes };
            messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            json!({ "MessageId": "00000000-0000-0000-0000-000000000000", "SequenceNumber": "1" })
        }
        None => json!({ "Attributes": {} }),
    };
    ([("content-type", "application/x-amz-json-1.0")], Json(answer).into_response().into_body()).into_response()
}

/// A fake pool that accepts and counts deliveries.
pub struct Pool {
    server: Server,
    taken: Arc<AtomicUsize>,
}

impl Pool {
    pub async fn start() -> Result<Self, Failure> {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = async |State(taken): State<Arc<AtomicUsize>>, _: axum::body::Bytes| {
            taken.fetch_add(1, Ordering::Relaxed);
        };
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(count).with_state(Arc::clone(&taken));
        Ok(Self { server: Server::start(router).await?, taken })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Number of accepted deliveries.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}
