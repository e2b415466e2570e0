//! A stand-in pool that receives the relay's deliveries.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::LOCATION};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{slack, system::eventually};

/// Behaviour of a stand-in pool after it has recorded a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status.
    Answer(u16),
    /// Redirects the caller to this URL.
    Redirect(String),
    /// Answers 500 to deliveries that contain this text, and 200 to the rest.
    Refuse(String),
    /// Answers with this status to deliveries that contain this text, and 200 to the rest.
    AnswerTo {
        /// The text.
        text: String,
        /// The status.
        status: u16,
    },
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// A request received by a pool.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

impl Delivery {
    /// Whether the delivery is signed with this secret, at this time in seconds.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str, at: i64) -> bool {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let timestamp = header("x-slack-request-timestamp");
        timestamp == at.to_string() && header("x-slack-signature") == slack::signature(secret, timestamp, &self.body)
    }

    /// Text of the delivered message.
    #[must_use]
    pub fn text(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("a delivery's body is JSON");
        body["event"]["text"].as_str().unwrap_or_default().to_owned()
    }
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    seen: Vec<Delivery>,
}

/// A fake gateway of a pool that records its deliveries.
#[derive(Debug)]
pub struct StandInPool {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

impl StandInPool {
    /// Starts a pool that answers 200.
    pub async fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts a pool at this address that answers 200.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Mutex::new(Shared { behaviour: Behaviour::Answer(200), seen: Vec::new() }));
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the stand-in serves");
        });
        Self { address, shared, server }
    }

    /// Address that the pool listens at.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the behaviour for later deliveries.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).behaviour = behaviour;
    }

    /// All recorded deliveries, whatever was answered.
    #[must_use]
    pub fn seen(&self) -> Vec<Delivery> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Waits for this many deliveries and returns all received so far.
    pub async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        eventually(&format!("{count} deliveries"), async || self.seen().len() >= count).await;
        self.seen()
    }
}

impl Drop for StandInPool {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let delivery = Delivery { path: parts.uri.path().to_owned(), headers: parts.headers, body: body.to_bytes() };
    let holds = |text: &str| delivery.body.windows(text.len()).any(|window| window == text.as_bytes());
    let (behaviour, is_refused) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let behaviour = shared.behaviour.clone();
        let is_refused = match &behaviour {
            Behaviour::Refuse(text) | Behaviour::AnswerTo { text, .. } => holds(text),
            _ => false,
        };
        shared.seen.push(delivery);
        (behaviour, is_refused)
    };
    match behaviour {
        Behaviour::Answer(status) => StatusCode::from_u16(status).expect("a test's status is valid").into_response(),
        Behaviour::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Behaviour::Refuse(_) if is_refused => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Behaviour::AnswerTo { status, .. } if is_refused => {
            StatusCode::from_u16(status).expect("a test's status is valid").into_response()
        }
        Behaviour::Refuse(_) | Behaviour::AnswerTo { .. } => StatusCode::OK.into_response(),
        Behaviour::Hang => std::future::pending().await,
        // hyper closes the connection of a handler that panics.
        Behaviour::Close => panic!("the stand-in closes the connection"),
    }
}
