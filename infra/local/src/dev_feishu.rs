//! Stand-in for Feishu on this machine, at `/dev/feishu`: one tenant with one app, whose bot is in three chats.
//! Messages are recorded, and nobody receives them. It does not exist on AWS.
//!
//! Source: Feishu, open platform: "Get custom app's `tenant_access_token`", "Obtain bot info", "Obtain groups where the
//! user or bot is in", "Send message", "Reply message", "Generic error codes".

mod answers;
mod chats;
mod messages;
mod tokens;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::gateway::is_of_this_machine;
use answers::Failure;
use messages::Messages;
use tokens::Tokens;

/// Path of the API.
const API: &str = "/dev/feishu/open-apis/";
/// Largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// Id of the app. Real ones have 16 hexadecimal digits, so no app has this one.
pub const APP: &str = "cli_demo000000000001";
/// Key of the tenant.
const TENANT: &str = "demotenant";
/// Open id of the bot.
pub const BOT: &str = "ou_demobot";

/// The stand-in.
pub struct DevFeishu {
    base_url: String,
    app_secret: SecretString,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    known: Mutex<Known>,
}

/// State of the tenant.
#[derive(Default)]
struct Known {
    tokens: Tokens,
    messages: Messages,
}

/// A request to the API.
struct Call {
    query: BTreeMap<String, String>,
    /// `None` where it is not a JSON object, or not declared as JSON.
    body: Option<serde_json::Map<String, Value>>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    /// `POST auth/v3/tenant_access_token/internal`
    Token,
    /// `GET bot/v3/info`
    Bot,
    /// `GET im/v1/chats`
    Chats,
    /// `POST im/v1/messages`
    Send,
    /// `POST im/v1/messages/{message_id}/reply`
    Reply(String),
}

impl Endpoint {
    /// Endpoint of a method and of a path below `open-apis/`.
    fn at(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        match (method, segments.as_slice()) {
            (&Method::POST, ["auth", "v3", "tenant_access_token", "internal"]) => Some(Self::Token),
            (&Method::GET, ["bot", "v3", "info"]) => Some(Self::Bot),
            (&Method::GET, ["im", "v1", "chats"]) => Some(Self::Chats),
            (&Method::POST, ["im", "v1", "messages"]) => Some(Self::Send),
            (&Method::POST, ["im", "v1", "messages", message, "reply"]) => Some(Self::Reply((*message).to_owned())),
            _ => None,
        }
    }
}

impl DevFeishu {
    /// Starts a tenant without messages, at `base_url`, whose app has this secret.
    #[must_use]
    pub fn new(
        base_url: &str,
        app_secret: SecretString,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self { base_url: base_url.to_owned(), app_secret, clock, randomness, known: Mutex::default() }
    }

    /// Base URL of its API, as `FEISHU_API_URL` names it.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{API}", self.base_url)
    }

    /// Sent messages, the newest last; only the last 100 are kept.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.known().messages.all()
    }

    /// Returns whether a path is the stand-in's.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path.starts_with("/dev/feishu/")
    }

    /// Answers a request to one of its paths.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        if !is_of_this_machine(&request) {
            return (StatusCode::FORBIDDEN, "the stand-in answers requests to this machine's own names alone\n")
                .into_response();
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
        if let Some(path) = parts.uri.path().strip_prefix(API) {
            let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
            let call = Call { query, body: object(&parts.headers, &body) };
            let called = self.called(&parts.method, path, &parts.headers, &call);
            return called.unwrap_or_else(|failure| failure.response(&self.new_id("")));
        }
        match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/dev/feishu/messages.json") => axum::Json(self.messages()).into_response(),
            _ => answers::NOT_FOUND.response(""),
        }
    }

    /// Handles a call in the order of Feishu's gateway, which checks the path first, then the token, then the
    /// parameters.
    fn called(&self, method: &Method, path: &str, headers: &HeaderMap, call: &Call) -> Result<Response, Failure> {
        let endpoint = Endpoint::at(method, path).ok_or(answers::NOT_FOUND)?;
        if endpoint == Endpoint::Token {
            return tokens::issue(self, call.body.as_ref());
        }
        self.check_token(headers)?;
        match endpoint {
            Endpoint::Token | Endpoint::Bot => Ok(axum::Json(bot_info()).into_response()),
            Endpoint::Chats => chats::list(call),
            Endpoint::Send => messages::send(self, call),
            Endpoint::Reply(message) => messages::reply(self, &message, call),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // A token without the `Bearer` prefix counts as missing.
        let token = given.strip_prefix("Bearer ").filter(|token| !token.is_empty()).ok_or(answers::MISSING_TOKEN)?;
        if self.known().tokens.is_valid(token, self.clock.now()) {
            return Ok(());
        }
        let is_a_persons = token.starts_with("u-") || token.starts_with("eyJ");
        Err(if is_a_persons { answers::INVALID_USER_TOKEN } else { answers::INVALID_TENANT_TOKEN })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_id(&self, prefix: &str) -> String {
        let mut bytes = [0; 16];
        self.randomness.fill(&mut bytes);
        format!("{prefix}{}", hex::encode(bytes))
    }
}

/// "Obtain bot info".
fn bot_info() -> Value {
    json!({
        "code": 0, "msg": "ok",
        "bot": {
            "activate_status": 2, "app_name": "Portcullis demo", "avatar_url": "https://avatar.example.com/bot.png",
            "ip_white_list": [], "open_id": BOT,
        },
    })
}

fn object(headers: &HeaderMap, body: &[u8]) -> Option<serde_json::Map<String, Value>> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
    if is_json { serde_json::from_slice(body).ok() } else { None }
}

#[cfg(test)]
mod tests;
