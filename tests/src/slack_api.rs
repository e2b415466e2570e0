//! A fake Slack Web API that is strict about its requests and implements only the methods that Portcullis calls.
//!
//! Source: Slack, "Using the Slack Web API", and the pages of `auth.test`, `bots.info`, `conversations.info` and
//! `users.info`.

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
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::system::random_hex;

/// Duration of a call: long enough that concurrent calls overlap.
const TAKES: Duration = Duration::from_millis(20);

/// Answer to the calls made with a token.
#[derive(Clone, Debug)]
pub enum Saying {
    /// The token is valid.
    Good,
    /// This error code.
    Error(&'static str),
    /// This status, with an HTML body.
    Status(u16),
    /// No answer, ever.
    Nothing,
}

/// Outcome of exchanging an OAuth code.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// A bot token.
    Good(Installed),
    /// This error code.
    Error(&'static str),
    /// This status, with an HTML body.
    Status(u16),
    /// This text as the body.
    Text(&'static str),
}

/// Outcome of a token refresh.
#[derive(Clone, Debug)]
pub enum Refresh {
    /// A new token with a lifetime in seconds; its refresh token is `refresh-{token}`.
    Good(&'static str, u32),
    /// The token is refreshed and the answer is lost.
    Lost,
    /// This error code.
    Error(&'static str),
}

/// A bot token issued for an OAuth code.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The token.
    pub token: &'static str,
    /// The workspace.
    pub team: &'static str,
    /// The app.
    pub app: &'static str,
    /// The kind of token.
    pub token_type: &'static str,
    /// The enterprise, if the app was installed org-wide.
    pub enterprise: Option<&'static str>,
    /// Lifetime in seconds of a token that rotates.
    pub expires_in: Option<u32>,
}

impl Installed {
    /// A bot token of a workspace, without rotation.
    #[must_use]
    pub fn new(token: &'static str, team: &'static str, app: &'static str) -> Self {
        Self { token, team, app, token_type: "bot", enterprise: None, expires_in: None }
    }

    /// The answer of `oauth.v2.access`. Source: Slack, "Installing with OAuth".
    fn answer(&self) -> Value {
        let named = |id: &str| json!({ "id": id, "name": "A team" });
        let mut answer = json!({
            "ok": true, "access_token": self.token, "token_type": self.token_type, "scope": "chat:write",
            "bot_user_id": "U0BOT", "app_id": self.app, "authed_user": { "id": "U0PERSON" },
            "team": named(self.team), "enterprise": null, "is_enterprise_install": false,
        });
        if let Some(enterprise) = self.enterprise {
            answer["team"] = Value::Null;
            answer["enterprise"] = named(enterprise);
            answer["is_enterprise_install"] = json!(true);
        }
        if let Some(seconds) = self.expires_in {
            answer["expires_in"] = json!(seconds);
            answer["refresh_token"] = json!(format!("refresh-{}", self.token));
        }
        answer
    }
}

/// An install of an app, found by its bot token.
#[derive(Clone)]
struct Install {
    team: String,
    app: String,
}

#[derive(Default)]
struct Shared {
    sayings: BTreeMap<String, Saying>,
    installs: BTreeMap<String, Install>,
    exchanges: BTreeMap<String, Exchange>,
    refreshes: BTreeMap<String, Refresh>,
    client_secret: String,
    conversations: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
    calls: Vec<String>,
    under_way: usize,
    most_at_once: usize,
}

/// A fake Slack that knows the tokens, conversations and users that a test adds.
pub struct StandInSlack {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

fn locked(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandInSlack {
    /// Starts an empty server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Shared { client_secret: format!("not-a-real-secret-{}", random_hex(8)), ..Shared::default() };
        let shared = Arc::new(Mutex::new(shared));
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the stand-in serves");
        });
        Self { address, shared, server }
    }

    /// Base URL, the value of `SLACK_API_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    /// Sets the answer to later calls with a token.
    pub fn say(&self, token: &str, saying: Saying) {
        locked(&self.shared).sayings.insert(token.to_owned(), saying);
    }

    /// Client secret of the app, whose client id is `1.2`.
    #[must_use]
    pub fn client_secret(&self) -> String {
        locked(&self.shared).client_secret.clone()
    }

    /// Sets the outcome of exchanging a code.
    pub fn exchange(&self, code: &str, exchange: Exchange) {
        locked(&self.shared).exchanges.insert(code.to_owned(), exchange);
    }

    /// Sets the outcome of a refresh token, for any number of refreshes: Slack accepts one token more than once.
    pub fn refresh(&self, refresh_token: &str, refresh: Refresh) {
        locked(&self.shared).refreshes.insert(refresh_token.to_owned(), refresh);
    }

    /// Adds a valid bot token of this workspace and app.
    pub fn install(&self, token: &str, team: &str, app: &str) {
        let install = Install { team: team.to_owned(), app: app.to_owned() };
        let mut shared = locked(&self.shared);
        shared.sayings.insert(token.to_owned(), Saying::Good);
        shared.installs.insert(token.to_owned(), install);
    }

    /// Adds a conversation: the `channel` of `conversations.info`.
    pub fn converse(&self, id: &str, channel: Value) {
        locked(&self.shared).conversations.insert(id.to_owned(), channel);
    }

    /// Adds a user: the `user` of `users.info`.
    pub fn know(&self, id: &str, user: Value) {
        locked(&self.shared).users.insert(id.to_owned(), user);
    }

    /// Number of calls to a method.
    #[must_use]
    pub fn calls(&self, method: &str) -> usize {
        locked(&self.shared).calls.iter().filter(|called| *called == method).count()
    }

    /// Largest number of concurrent calls.
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
    if method == "oauth.v2.access" {
        let (basic, shared) = (header(header::AUTHORIZATION), locked(&shared));
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("1.2:{}", shared.client_secret)));
        let is_refresh =
            form_urlencoded::parse(&body).any(|pair| pair == ("grant_type".into(), "refresh_token".into()));
        return match basic == expected {
            false => error("bad_client_secret"),
            true if is_refresh => refreshed(&shared, &body),
            true => exchanged(&shared, &body),
        };
    }
    match saying {
        None => error("invalid_auth"),
        Some(Saying::Error(code)) => error(code),
        Some(Saying::Status(status)) => page(status),
        Some(Saying::Nothing) => std::future::pending().await,
        Some(Saying::Good) => known(&locked(&shared), &token, &method, &body),
    }
}

fn error(code: &str) -> Response {
    axum::Json(json!({ "ok": false, "error": code })).into_response()
}

fn page(status: u16) -> Response {
    (StatusCode::from_u16(status).expect("a status"), "<html><body>Sorry</body></html>").into_response()
}

fn exchanged(shared: &Shared, form: &Bytes) -> Response {
    let code = form_urlencoded::parse(form).find(|(name, _)| name == "code").expect("a code").1;
    match shared.exchanges.get(&*code) {
        None => error("invalid_code"),
        Some(Exchange::Good(installed)) => axum::Json(installed.answer()).into_response(),
        Some(Exchange::Error(code)) => error(code),
        Some(Exchange::Status(status)) => page(*status),
        Some(Exchange::Text(text)) => (*text).into_response(),
    }
}

/// The answer to `grant_type=refresh_token`. Source: Slack, "Using token rotation".
fn refreshed(shared: &Shared, form: &Bytes) -> Response {
    let token = form_urlencoded::parse(form).find(|(name, _)| name == "refresh_token").expect("a refresh token").1;
    match shared.refreshes.get(&*token) {
        None => error("invalid_refresh_token"),
        Some(Refresh::Good(token, life)) => axum::Json(json!({
            "ok": true, "access_token": token, "expires_in": life, "refresh_token": format!("refresh-{token}"),
            "token_type": "bot", "scope": "chat:write", "bot_user_id": "U0BOT", "app_id": "A0PLATFORM",
            "team": { "id": "T0ONE", "name": "A team" }, "enterprise": null, "is_enterprise_install": false,
        }))
        .into_response(),
        Some(Refresh::Lost) => page(502),
        Some(Refresh::Error(code)) => error(code),
    }
}

fn known(shared: &Shared, token: &str, method: &str, form: &Bytes) -> Response {
    let text = format!("http://form/?{}", String::from_utf8_lossy(form));
    let form = reqwest::Url::parse(&text).expect("a form");
    let argument = |name: &str| {
        let found = form.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let found = match method {
        "auth.test" => {
            let team = shared.installs.get(token).map_or("T0", |install| &install.team);
            let answer = json!({ "ok": true, "team": "A team", "team_id": team, "user_id": "U0BOT", "bot_id": "B0" });
            Some(answer)
        }
        "bots.info" => {
            let app = shared.installs.get(token).map(|install| &install.app);
            app.map(|app| json!({ "ok": true, "bot": { "id": argument("bot"), "app_id": app } }))
        }
        "conversations.info" => {
            shared.conversations.get(&argument("channel")).map(|channel| json!({ "ok": true, "channel": channel }))
        }
        "users.info" => shared.users.get(&argument("user")).map(|user| json!({ "ok": true, "user": user })),
        _ => None,
    };
    axum::Json(found.unwrap_or_else(|| json!({ "ok": false, "error": "channel_not_found" }))).into_response()
}
