//! A pool, as the relay sees it.

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

/// What a stand-in pool does with a delivery, after it has written it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status.
    Answer(u16),
    /// Sends the caller elsewhere.
    Redirect(String),
    /// Answers 500 to what holds this text, and 200 to the rest.
    Refuse(String),
    /// Answers with this status to what holds this text, and 200 to the rest.
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

/// What reached a pool.
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
    /// Whether it is signed with this secret, at this time in seconds.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str, at: i64) -> bool {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let timestamp = header("x-slack-request-timestamp");
        timestamp == at.to_string() && header("x-slack-signature") == slack::signature(secret, timestamp, &self.body)
    }

    /// The text of the message that it brings.
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

/// A pool's gateway that writes down what reaches it.
#[derive(Debug)]
pub struct StandInPool {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

impl StandInPool {
    /// Starts one that answers 200.
    pub async fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts one at this address.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).behaviour = behaviour;
    }

    /// Everything that reached it, whatever it did with it.
    #[must_use]
    pub fn seen(&self) -> Vec<Delivery> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Waits until this many have reached it, and gives them.
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
