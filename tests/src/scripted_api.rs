//! A fake API of a chat platform with scripted answers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// A recorded call.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// Path and query, below the base URL.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// A scripted answer: prefix of the path and query, status, headers and body.
type Answer = (String, u16, Vec<(&'static str, String)>, String);

#[derive(Default)]
struct Shared {
    answers: Mutex<Vec<Answer>>,
    calls: Mutex<Vec<ApiCall>>,
}

/// The fake server.
pub struct ScriptedApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl ScriptedApi {
    /// Starts a server that answers 404.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, shared, server }
    }

    /// Base URL of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Scripts the answer to calls whose path and query start with `path`; the latest matching script wins.
    pub fn say(&self, path: &str, status: u16, body: impl ToString) {
        self.say_with(path, status, &[], body);
    }

    /// Scripts an answer as [`say`](Self::say) does, with headers.
    #[expect(clippy::needless_pass_by_value, reason = "tests write the body in place")]
    pub fn say_with(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: impl ToString) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(0, (path.to_owned(), status, headers, body.to_string()));
    }

    /// Recorded calls whose path and query start with `path`.
    #[must_use]
    pub fn calls(&self, path: &str) -> Vec<ApiCall> {
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.path.starts_with(path)).cloned().collect()
    }
}

impl Drop for ScriptedApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl ApiCall {
    /// The body as JSON; null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches('/').to_owned();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let found = {
        let answers = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find(|(of, ..)| path.starts_with(of.as_str())).cloned()
    };
    let call = ApiCall { path, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() };
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let Some((_, status, headers, body)) = found else { return StatusCode::NOT_FOUND.into_response() };
    let status = StatusCode::from_u16(status).expect("a test's status is one");
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).expect("a test's header is one");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}
