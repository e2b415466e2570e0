//! Slack's Web API, as far as Portcullis calls it: a stand-in that is strict about what it is sent.
//!
//! Source: Slack, "Using the Slack Web API", and the pages of `auth.test`, `conversations.info` and `users.info`.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// How long a call takes: long enough that calls which are made side by side overlap.
const TAKES: Duration = Duration::from_millis(20);

/// What the stand-in says to a token.
#[derive(Clone, Debug)]
pub enum Saying {
    /// It is good.
    Good,
    /// This error.
    Error(&'static str),
    /// This status, and a page of HTML.
    Status(u16),
    /// Nothing, ever.
    Nothing,
}

#[derive(Default)]
struct Shared {
    sayings: BTreeMap<String, Saying>,
    conversations: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
    calls: Vec<String>,
    under_way: usize,
    most_at_once: usize,
}

/// A Slack that knows the tokens, conversations and users that a test names.
pub struct StandInSlack {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

fn locked(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandInSlack {
    /// Starts one that knows nothing.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the stand-in serves");
        });
        Self { address, shared, server }
    }

    /// What `SLACK_API_URL` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    /// Says this to a token from now on.
    pub fn say(&self, token: &str, saying: Saying) {
        locked(&self.shared).sayings.insert(token.to_owned(), saying);
    }

    /// Knows a conversation: what `conversations.info` has as its `channel`.
    pub fn converse(&self, id: &str, channel: Value) {
        locked(&self.shared).conversations.insert(id.to_owned(), channel);
    }

    /// Knows a user: what `users.info` has as its `user`.
    pub fn know(&self, id: &str, user: Value) {
        locked(&self.shared).users.insert(id.to_owned(), user);
    }

    /// How often a method was called.
    #[must_use]
    pub fn calls(&self, method: &str) -> usize {
        locked(&self.shared).calls.iter().filter(|called| *called == method).count()
    }

    /// How many calls were under way at once at the most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        locked(&self.shared).most_at_once
    }
}

impl Drop for StandInSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "an answer that takes its time")]
async fn take(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    {
        let mut shared = locked(&shared);
        shared.under_way += 1;
        shared.most_at_once = shared.most_at_once.max(shared.under_way);
    }
    tokio::time::sleep(TAKES).await;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 10_000).await.expect("a small form");
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let is_form = header(header::CONTENT_TYPE) == "application/x-www-form-urlencoded";
    let method = parts.uri.path().strip_prefix("/api/").unwrap_or_default().to_owned();
    let saying = {
        let mut shared = locked(&shared);
        shared.under_way -= 1;
        shared.calls.push(method.clone());
        shared.sayings.get(&token).cloned()
    };
    assert!(parts.method == http::Method::POST && is_form && parts.uri.query().is_none(), "{parts:?}");
    let error = |code: &str| axum::Json(json!({ "ok": false, "error": code })).into_response();
    match saying {
        None => error("invalid_auth"),
        Some(Saying::Error(code)) => error(code),
        Some(Saying::Status(status)) => {
            (StatusCode::from_u16(status).expect("a status"), "<html><body>Sorry</body></html>").into_response()
        }
        Some(Saying::Nothing) => std::future::pending().await,
        Some(Saying::Good) => known(&locked(&shared), &method, &body),
    }
}

fn known(shared: &Shared, method: &str, form: &Bytes) -> Response {
    let text = format!("http://form/?{}", String::from_utf8_lossy(form));
    let form = reqwest::Url::parse(&text).expect("a form");
    let argument = |name: &str| {
        let found = form.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let found = match method {
        "auth.test" => Some(json!({ "ok": true, "team_id": "T0", "user_id": "U0BOT", "bot_id": "B0" })),
        "conversations.info" => {
            shared.conversations.get(&argument("channel")).map(|channel| json!({ "ok": true, "channel": channel }))
        }
        "users.info" => shared.users.get(&argument("user")).map(|user| json!({ "ok": true, "user": user })),
        _ => None,
    };
    axum::Json(found.unwrap_or_else(|| json!({ "ok": false, "error": "channel_not_found" }))).into_response()
}
