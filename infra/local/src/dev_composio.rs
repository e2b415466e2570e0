//! Stand-in for Composio on this machine, at `/dev/composio`: one project, in which people connect accounts on a
//! consent page. Actions are recorded and executed nowhere. It does not exist on AWS.
//!
//! Source: Composio, API reference v3.1 and its `OpenAPI` document.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

mod accounts;
mod answers;
mod page;
mod sessions;
mod tools;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, to_bytes},
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_SECURITY_POLICY};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use portcullis_toolkits::Catalogue;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::gateway::is_of_this_machine;
use accounts::Account;
use answers::Failure;

/// Path below which the stand-in answers.
const ROOT: &str = "/dev/composio";
/// Path of its API.
const API: &str = "/dev/composio/api/v3.1/";
/// Largest body that is read, in bytes.
const BODY_LIMIT: usize = 2 * 1024 * 1024;
/// Executed actions that are kept; the oldest goes first.
const EXECUTED_KEPT: usize = 100;

/// The stand-in.
pub struct DevComposio {
    base_url: String,
    key: SecretString,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    known: Mutex<Known>,
}

/// State of the project.
#[derive(Default)]
struct Known {
    /// User and toolkits of each session.
    sessions: BTreeMap<String, sessions::Session>,
    /// Account of each unused link.
    links: BTreeMap<String, accounts::Link>,
    accounts: BTreeMap<String, Account>,
    executed: Vec<Executed>,
}

/// An executed action.
#[derive(Clone, Debug, Serialize)]
pub struct Executed {
    /// Name of the action.
    pub action: String,
    /// Composio's id of the user.
    pub user: String,
    /// Account; `None` where the person's own keys were given, or none are needed.
    pub account: Option<String>,
    /// Parameters of the action.
    pub arguments: Value,
}

/// A request to the API.
struct Call<'a> {
    method: &'a Method,
    /// Segments of the path below the API's version.
    path: Vec<&'a str>,
    query: BTreeMap<String, String>,
    body: Value,
}

impl DevComposio {
    /// Starts a project without accounts, at `base_url`.
    #[must_use]
    pub fn new(base_url: &str, key: SecretString, clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self { base_url: base_url.to_owned(), key, clock, randomness, known: Mutex::default() }
    }

    /// Base URL, as `COMPOSIO_API_URL` names it.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{ROOT}/", self.base_url)
    }

    /// API key of the project.
    #[must_use]
    pub fn key(&self) -> &SecretString {
        &self.key
    }

    /// Executed actions; only the last 100 are kept.
    #[must_use]
    pub fn executed(&self) -> Vec<Executed> {
        self.known().executed.clone()
    }

    /// Returns whether a path is the stand-in's.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path.starts_with("/dev/composio/") || path == "/dev/composio.json"
    }

    /// Answers a request to one of its paths.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        if !is_of_this_machine(&request) {
            return (StatusCode::FORBIDDEN, "the stand-in answers to this machine's own pages alone\n").into_response();
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
        let path = parts.uri.path();
        if let Some(path) = path.strip_prefix(API) {
            let called = self.called(&parts.method, path, parts.uri.query(), &parts.headers, &body);
            return called.unwrap_or_else(IntoResponse::into_response);
        }
        match (&parts.method, path) {
            (&Method::GET, "/dev/composio.json") => axum::Json(self.executed()).into_response(),
            (&Method::GET | &Method::POST, path) => match path.strip_prefix("/dev/composio/link/") {
                Some(link) if parts.method == Method::GET => self.ask(link),
                Some(link) => self.decide(link, &body),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn called(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, Failure> {
        let key = headers.get("x-api-key").ok_or(answers::NO_KEY)?;
        if ["x-user-api-key", "x-org-api-key"].iter().any(|name| headers.contains_key(*name)) {
            return Err(answers::SEVERAL_KEYS);
        }
        if key.as_bytes() != self.key.expose_secret().as_bytes() {
            return Err(answers::INVALID_KEY);
        }
        let body = match body {
            b"" => Value::Null,
            body => serde_json::from_slice(body).map_err(|_| answers::bad_request("the body is not JSON"))?,
        };
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        let call = Call { method, path: path.split('/').collect(), query, body };
        match call.path.first() {
            Some(&"tool_router") => self.session_call(&call),
            Some(&"connected_accounts") => self.account_call(&call),
            Some(&"tools") => self.tool_call(&call),
            Some(&"toolkits") => Self::toolkit_call(&call),
            _ => Err(answers::NO_SUCH_PATH),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_id(&self, prefix: &str) -> String {
        let mut bytes = [0; 8];
        self.randomness.fill(&mut bytes);
        format!("{prefix}_{}", hex::encode(bytes))
    }
}

impl Call<'_> {
    /// Rejects fields that Composio does not know, as Composio does.
    fn only(&self, fields: &[&str]) -> Result<(), Failure> {
        let Value::Object(body) = &self.body else { return Err(answers::bad_request("the body is no object")) };
        match body.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => Err(answers::bad_request(&format!("unrecognized key {key}"))),
            None => Ok(()),
        }
    }

    /// Returns a required text of the body.
    fn text(&self, field: &str) -> Result<&str, Failure> {
        let text = self.body[field].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| answers::bad_request(&format!("{field} is required")))
    }
}

/// Catalogue of all toolkits that the stand-in knows: the standard ones.
fn catalogue() -> Catalogue {
    Catalogue::with([])
}

fn shown(page: String) -> Response {
    (
        [(CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self' http://127.0.0.1:* http://localhost:*")],
        Html(page),
    )
        .into_response()
}
