//! A fake `LiteLLM` that lists models and keeps virtual keys as `LiteLLM` does.
//!
//! Source: `LiteLLM`, "Virtual Keys", and its `key_management_endpoints.py`.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::system::random_hex;

/// Injected fault, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Carries every call out.
    Well,
    /// Answers 500 and does nothing.
    Failing,
    /// Refuses to create keys, but deletes existing ones.
    MakingNone,
    /// Creates keys, but refuses to delete them.
    EndingNone,
    /// Carries the call out and answers 500.
    LosingAnswers,
}

struct Shared {
    master_key: String,
    mood: Mood,
    /// Live keys by alias.
    living: BTreeMap<String, Living>,
    made: usize,
    ended: usize,
    listed: usize,
}

/// A live key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// The key.
    pub key: String,
    /// Pool that the key was created for.
    pub pool: String,
}

/// A fake `LiteLLM` proxy with its database of keys.
pub struct StandInLiteLlm {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

fn locked(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandInLiteLlm {
    /// Starts a server without keys.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Mutex::new(Shared {
            master_key: format!("not-a-real-master-key-{}", random_hex(12)),
            mood: Mood::Well,
            living: BTreeMap::new(),
            made: 0,
            ended: 0,
            listed: 0,
        }));
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the stand-in serves");
        });
        Self { address, shared, server }
    }

    /// Base URL, the value of `LITELLM_BASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Master key, the value of `LITELLM_MASTER_KEY`.
    #[must_use]
    pub fn master_key(&self) -> String {
        locked(&self.shared).master_key.clone()
    }

    /// Replaces the master key.
    pub fn rotate(&self, master_key: &str) {
        master_key.clone_into(&mut locked(&self.shared).master_key);
    }

    /// Sets the fault for later calls.
    pub fn be(&self, mood: Mood) {
        locked(&self.shared).mood = mood;
    }

    /// Live keys, ordered by alias.
    #[must_use]
    pub fn living(&self) -> Vec<Living> {
        locked(&self.shared).living.values().cloned().collect()
    }

    /// Aliases of the live keys.
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        locked(&self.shared).living.keys().cloned().collect()
    }

    /// Number of calls that listed the models.
    #[must_use]
    pub fn listed(&self) -> usize {
        locked(&self.shared).listed
    }

    /// Numbers of keys created and deleted.
    #[must_use]
    pub fn made_and_ended(&self) -> (usize, usize) {
        let shared = locked(&self.shared);
        (shared.made, shared.ended)
    }
}

impl Drop for StandInLiteLlm {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    let error = json!({ "message": message, "type": "a_type", "param": "None", "code": status.as_str() });
    (status, axum::Json(json!({ "error": error }))).into_response()
}

async fn take(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 10_000).await.expect("a small body");
    let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut shared = locked(&shared);
    let is_list = parts.uri.path() == "/v1/models";
    assert!((parts.method == http::Method::GET) == is_list && parts.uri.query().is_none(), "{parts:?}");
    if token != format!("Bearer {}", shared.master_key) {
        return error(StatusCode::UNAUTHORIZED, "Authentication Error, Invalid proxy server token passed");
    }
    if is_list {
        shared.listed += 1;
        if shared.mood == Mood::Failing {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error.");
        }
        let model = |id: &str| json!({ "id": id, "object": "model", "created": 1, "owned_by": "openai" });
        let models = [model("anthropic/claude-sonnet-4.5"), model("gpt-5")];
        return axum::Json(json!({ "object": "list", "data": models })).into_response();
    }
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let answer = match parts.uri.path() {
        "/key/generate" if !matches!(shared.mood, Mood::Failing | Mood::MakingNone) => shared.generate(&body),
        "/key/delete" if !matches!(shared.mood, Mood::Failing | Mood::EndingNone) => shared.delete(&body),
        "/key/generate" | "/key/delete" => error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error."),
        _ => (StatusCode::NOT_FOUND, axum::Json(json!({ "detail": "Not Found" }))).into_response(),
    };
    if shared.mood == Mood::LosingAnswers {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error.");
    }
    answer
}

impl Shared {
    fn generate(&mut self, body: &Value) -> Response {
        let alias = body["key_alias"].as_str().expect("an alias");
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-/.@".contains(letter);
        let ends = alias.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        assert!(alias.len() <= 255 && alias.chars().all(is_plain) && ends, "{alias} is an alias");
        assert_eq!(body["key_type"], "llm_api", "a pool's key calls models alone");
        if self.living.contains_key(alias) {
            return error(StatusCode::BAD_REQUEST, "Key with alias already exists. Unique key aliases are required.");
        }
        let key = format!("sk-not-a-real-key-{}", random_hex(12));
        let pool = body["metadata"]["portcullis_pool"].as_str().expect("a pool").to_owned();
        self.living.insert(alias.to_owned(), Living { key: key.clone(), pool });
        self.made += 1;
        axum::Json(json!({ "key": key, "key_alias": alias, "expires": null, "user_id": null })).into_response()
    }

    fn delete(&mut self, body: &Value) -> Response {
        let aliases = body["key_aliases"].as_array().expect("aliases");
        let before = self.living.len();
        self.living.retain(|alias, _| !aliases.contains(&json!(alias)));
        let ended = before - self.living.len();
        self.ended += ended;
        if ended == 0 {
            return error(StatusCode::NOT_FOUND, "{'error': 'No keys found'}");
        }
        axum::Json(json!({ "deleted_keys": aliases })).into_response()
    }
}
