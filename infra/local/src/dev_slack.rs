//! Stand-in for Slack on this machine, at `/dev/slack`: one workspace in which the platform's own app can be installed,
//! and one person who writes to it. It does not exist on AWS.
//!
//! Source: Slack, "Installing with OAuth", "Using the Slack Web API", and each method's own page.

mod page;
mod tokens;
mod web_api;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    body::{Body, Bytes, to_bytes},
    response::{Html, IntoResponse, Redirect, Response},
};
use http::{Method, Request, StatusCode, header::CONTENT_SECURITY_POLICY, header::ORIGIN};
use jiff::Timestamp;
use portcullis_auth::{Clock, SigningSecret};
use portcullis_crypto::Randomness;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::{gateway::is_of_this_machine, sign};
use tokens::Tokens;

/// Id of the workspace.
pub const TEAM: &str = "T0DEV";
/// Id of the app.
pub const APP: &str = "A0DEV";
/// Client id of the app.
pub const CLIENT_ID: &str = "1.2";
/// Conversation of the person with the app.
const CONVERSATION: &str = "D0DEV";
/// Id of the person.
const PERSON: &str = "U0DEV";

/// Path below which the stand-in answers.
const ROOT: &str = "/dev/slack";
/// Largest form that is read, in bytes.
const FORM_LIMIT: usize = 64 * 1024;
/// Most messages that are kept; the oldest goes first.
const MESSAGES_KEPT: usize = 100;
/// Time for which the page waits for an answer to a message.
const ANSWER_IS_WAITED_FOR: std::time::Duration = std::time::Duration::from_secs(3);

/// The stand-in.
pub struct DevSlack {
    base_url: String,
    client_secret: SecretString,
    signing_secret: SecretString,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    client: reqwest::Client,
    known: Mutex<Known>,
    changed: Notify,
}

/// State of the workspace.
#[derive(Default)]
struct Known {
    tokens: Tokens,
    messages: Vec<Message>,
}

/// A message in the conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Name of the author.
    pub from: &'static str,
    /// Text of the message.
    pub text: String,
    /// Slack's own id of the message.
    pub ts: String,
}

impl DevSlack {
    /// Starts a workspace without installed apps, at `base_url`, with the secrets of the platform's own app.
    #[must_use]
    pub fn new(
        base_url: &str,
        signing_secret: SecretString,
        client_secret: SecretString,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            base_url: base_url.to_owned(),
            client_secret,
            signing_secret,
            clock,
            randomness,
            client: reqwest::Client::builder()
                .no_proxy()
                .user_agent("portcullis-dev-slack")
                .build()
                .unwrap_or_default(),
            known: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Base URL of its Web API, as `SLACK_API_URL` names it.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{ROOT}/api/", self.base_url)
    }

    /// Client secret of the app.
    #[must_use]
    pub fn client_secret(&self) -> &SecretString {
        &self.client_secret
    }

    /// Returns whether a path is the stand-in's.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path == ROOT || path.starts_with("/dev/slack/") || path == "/dev/slack.json"
    }

    /// Answers a request to one of its paths.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        if !is_of_this_machine(&request) || !self.is_own_page(&request) {
            return (StatusCode::FORBIDDEN, "the stand-in answers to this machine's own pages alone\n").into_response();
        }
        let (parts, body) = request.into_parts();
        let Ok(form) = to_bytes(body, FORM_LIMIT).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
        let query = parts.uri.query().unwrap_or_default();
        let path = parts.uri.path();
        match (&parts.method, path) {
            (&Method::GET, ROOT) => shown(page::conversation(&self.known())),
            (&Method::GET, "/dev/slack.json") => axum::Json(self.known().messages.clone()).into_response(),
            (&Method::POST, "/dev/slack/messages") => self.take_message(&form).await,
            (&Method::GET, "/dev/slack/oauth/v2/authorize") => self.ask_for_consent(query),
            (&Method::POST, _) => match path.strip_prefix("/dev/slack/api/") {
                Some(method) => web_api::answer(self, method, &parts.headers, &form),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    /// Returns whether a request comes from this machine's own page, or from no page: otherwise another site could
    /// write messages.
    fn is_own_page(&self, request: &Request<Body>) -> bool {
        request.headers().get(ORIGIN).is_none_or(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            // A form of a page without a referrer sends `null`, even within this origin.
            let is_same_origin = request.headers().get("sec-fetch-site").is_some_and(|site| site == "same-origin");
            origin == self.base_url || is_same_origin
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random_text(&self) -> String {
        random_text(&*self.randomness)
    }

    /// Serves the consent page, which gives a code or an error to the app.
    fn ask_for_consent(&self, query: &str) -> Response {
        let pairs: Vec<_> = form_pairs(query);
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let Ok(redirect) = reqwest::Url::parse(get("redirect_uri")) else {
            return (StatusCode::BAD_REQUEST, "bad_redirect_uri\n").into_response();
        };
        if get("client_id") != CLIENT_ID || !matches!(redirect.host_str(), Some("127.0.0.1" | "localhost")) {
            return (StatusCode::BAD_REQUEST, "invalid_client_id\n").into_response();
        }
        let [code, rotating] = [false, true].map(|rotates| {
            let code = self.random_text();
            self.known().tokens.give_code(&code, rotates);
            code
        });
        let with = |pair: (&str, &str)| {
            let mut url = redirect.clone();
            url.query_pairs_mut().append_pair(pair.0, pair.1).append_pair("state", get("state"));
            url.to_string()
        };
        let outcomes = [
            ("Allow", with(("code", &code))),
            ("Allow, with a token that ends in twelve hours", with(("code", &rotating))),
            ("Cancel", with(("error", "access_denied"))),
        ];
        shown(page::consent(get("scope"), &outcomes))
    }

    fn keep(&self, from: &'static str, text: &str) -> Message {
        let mut known = self.known();
        let message = Message { from, text: text.to_owned(), ts: ts(self.clock.now(), known.messages.len()) };
        known.messages.push(message.clone());
        if known.messages.len() > MESSAGES_KEPT {
            known.messages.remove(0);
        }
        self.changed.notify_waiters();
        message
    }

    /// Records a message of the person, sends it to the app as Slack does, and waits a moment for the answer.
    async fn take_message(&self, form: &Bytes) -> Response {
        let text = form_pairs(&String::from_utf8_lossy(form)).into_iter().find(|(key, _)| key == "text");
        let text = text.map(|(_, text)| text).filter(|text| !text.trim().is_empty());
        let Some(text) = text else { return Redirect::to(ROOT).into_response() };
        let message = self.keep("You", &text);
        // Listen before sending, so that an immediate answer is not missed.
        let answer_comes = self.changed.notified();
        if let Err(problem) = self.send_event(&message).await {
            self.keep("Slack", &format!("The event was not taken: {problem}"));
            return Redirect::to(ROOT).into_response();
        }
        // The page shows the messages up to then.
        let _ = tokio::time::timeout(ANSWER_IS_WAITED_FOR, answer_comes).await;
        Redirect::to(ROOT).into_response()
    }

    async fn send_event(&self, message: &Message) -> Result<(), String> {
        let now = self.clock.now();
        let event = json!({
            "team_id": TEAM, "api_app_id": APP, "type": "event_callback",
            "event_id": format!("Ev{}", self.random_text()), "event_time": now.as_second(),
            "authorizations": [{ "enterprise_id": null, "team_id": TEAM, "user_id": web_api::BOT_USER, "is_bot": true }],
            "event": {
                "type": "message", "channel": CONVERSATION, "channel_type": "im", "user": PERSON,
                "text": message.text, "ts": message.ts, "event_ts": message.ts,
            },
        });
        let body = event.to_string();
        let mut request = self.client.post(format!("{}{}", self.base_url, sign::EVENTS_PATH));
        for (name, value) in sign::headers(body.as_bytes(), &SigningSecret::new(self.signing_secret.clone()), now) {
            request = request.header(name, value);
        }
        let answer = request.header("content-type", "application/json").body(body).send().await;
        let status = answer.map_err(|_| "the front door is closed".to_owned())?.status();
        if status.is_success() { Ok(()) } else { Err(status.to_string()) }
    }
}

fn shown(page: String) -> Response {
    ([(CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self'")], Html(page)).into_response()
}

/// Id of a message: the time, and a number that distinguishes messages of one second.
fn ts(now: Timestamp, number: usize) -> String {
    format!("{}.{:06}", now.as_second(), number % 1_000_000)
}

fn random_text(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; 16];
    randomness.fill(&mut bytes);
    hex::encode(bytes)
}

/// Parses the pairs of a form or a query.
fn form_pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
