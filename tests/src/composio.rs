//! A fake Composio server with scripted answers. Calls without a script get the answer of `cargo local`'s fake
//! Composio.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};
use portcullis_local::dev_composio::DevComposio;
use portcullis_runtime::{SystemClock, SystemRandomness};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::system::random_hex;

/// A scripted answer.
#[derive(Clone, Debug)]
pub enum Says {
    /// A status and a body, with a `retry-after` header in seconds if given.
    Status(u16, String, Option<u32>),
    /// A body longer than any caller reads.
    Endless,
    /// The regular answer, after this delay.
    Late(Duration),
    /// No answer for this time.
    Nothing(Duration),
}

struct Shared {
    stand_in: DevComposio,
    says: Mutex<BTreeMap<(Method, String), Says>>,
    calls: Mutex<Vec<(Method, String)>>,
}

/// The fake server.
pub struct ScriptedComposio {
    address: SocketAddr,
    key: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl ScriptedComposio {
    /// Starts a server without accounts.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let key = format!("ak_{}", random_hex(12));
        let stand_in = DevComposio::new(
            &format!("http://{address}"),
            key.clone().into(),
            Arc::new(SystemClock),
            Arc::new(SystemRandomness),
        );
        let shared = Arc::new(Shared { stand_in, says: Mutex::default(), calls: Mutex::default() });
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, key, shared, server }
    }

    /// Base URL, the value of `COMPOSIO_API_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/dev/composio/", self.address)
    }

    /// API key of the Composio project.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Scripts the answer to calls whose path below `/api/v3.1/` starts with `path`.
    pub fn say(&self, method: Method, path: &str, says: Says) {
        let mut all = self.shared.says.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((method, path.to_owned()), says);
    }

    /// Removes all scripts.
    pub fn be_well(&self) {
        self.shared.says.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Number of calls whose path below `/api/v3.1/` starts with `path`.
    #[must_use]
    pub fn calls(&self, method: &Method, path: &str) -> usize {
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|(called, below)| called == method && below.starts_with(path)).count()
    }

    /// Number of executed actions.
    #[must_use]
    pub fn executed(&self) -> usize {
        self.shared.stand_in.executed().len()
    }

    /// Calls the API with the project's key.
    pub async fn call(&self, method: Method, path: &str) -> serde_json::Value {
        let url = format!("{}api/v3.1/{path}", self.url());
        let request = reqwest::Client::new().request(method, url).header("x-api-key", &self.key);
        let answer = request.send().await.expect("the stand-in answers");
        answer.json().await.expect("it is JSON")
    }
}

impl Drop for ScriptedComposio {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let below = path.strip_prefix("/dev/composio/api/v3.1/").unwrap_or_default().to_owned();
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push((method.clone(), below.clone()));
    let says = {
        let all = shared.says.lock().unwrap_or_else(PoisonError::into_inner);
        let made = all.iter().find(|((of, path), _)| *of == method && below.starts_with(path.as_str()));
        made.map(|(_, says)| says.clone())
    };
    match says {
        None => shared.stand_in.answer(request).await,
        Some(Says::Status(status, body, retry_after)) => {
            let status = StatusCode::from_u16(status).expect("a test's status is one");
            let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Some(Says::Endless) => {
            let chunk = bytes::Bytes::from(vec![b' '; 64 * 1024]);
            let chunks = std::iter::repeat_n(chunk, 800).map(Ok::<_, std::io::Error>);
            Body::from_stream(futures_util::stream::iter(chunks)).into_response()
        }
        Some(Says::Late(time)) => {
            pause(time).await;
            shared.stand_in.answer(request).await
        }
        Some(Says::Nothing(time)) => {
            pause(time).await;
            StatusCode::OK.into_response()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server that takes its time")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
