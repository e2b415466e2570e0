//! Stand-in for `OpenClaw`: a process that the sidecar starts. It reads its configuration, takes deliveries, verifies
//! their signatures with the account's secret, and prints each as a line of JSON.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use std::{
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State};
use http::{HeaderMap, Method, StatusCode, Uri};
use portcullis_auth::{
    Clock, SignedHeaders, SigningSecret,
    slack_signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use portcullis_runtime::SystemClock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{net::TcpListener, time::timeout};

/// Interval of the check for the parent.
const LOOK: Duration = Duration::from_millis(500);
/// Time-out of an answer in Slack: well below the relay's own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A printed line of the stand-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// The stand-in listens.
    Listening,
    /// A delivery has arrived.
    Delivered(Delivery),
}

/// A delivery to the pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Path of the request.
    pub path: String,
    /// Whether its signature is valid for the account.
    pub verified: bool,
    /// Length of its body, in bytes.
    pub bytes: usize,
}

/// Serves this loopback port, by the configuration at this path, until the process ends.
///
/// # Errors
/// Where the port is taken.
pub async fn run(port: u16, config: PathBuf, slack_api: Option<String>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    #[expect(clippy::disallowed_methods, reason = "this is no function of ours: it stands for a pool")]
    let router = Router::new().fallback(take).with_state(Arc::new(Account { config, slack_api }));
    tell(&Told::Listening);
    tokio::select! {
        outcome = axum::serve(listener, router) => outcome,
        () = orphaned() => Ok(()),
    }
}

/// Completes when the parent process has ended, however it did.
async fn orphaned() {
    let parent = nix::unistd::getppid();
    while nix::unistd::getppid() == parent {
        let _ = timeout(LOOK, std::future::pending::<()>()).await;
    }
}

/// Path of the configuration with the accounts, and the Slack API that they answer at.
struct Account {
    config: PathBuf,
    slack_api: Option<String>,
}

async fn take(
    State(account): State<Arc<Account>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    // The probes of the sidecar: liveness, readiness, and the end of startup.
    if method == Method::GET && matches!(uri.path(), "/health" | "/readyz" | "/startupz") {
        return StatusCode::OK;
    }
    let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let signed = SignedHeaders::parse(header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER), SystemClock.now());
    let known = known_at(&account.config, uri.path());
    let secret = known.as_ref().and_then(|known| Some(SigningSecret::new(known["signingSecret"].as_str()?.into())));
    let verified = signed.ok().zip(secret).is_some_and(|(signed, secret)| signed.verify(&secret, &body).is_ok());
    tell(&Told::Delivered(Delivery { path: uri.path().to_owned(), verified, bytes: body.len() }));
    if !verified {
        return StatusCode::UNAUTHORIZED;
    }
    if let (Some(slack_api), Some(known)) = (&account.slack_api, &known) {
        answer(slack_api, known, &body).await;
    }
    StatusCode::OK
}

/// Account with this webhook path, by the present configuration.
fn known_at(config: &Path, path: &str) -> Option<Value> {
    let config: Value = serde_json::from_slice(&std::fs::read(config).ok()?).ok()?;
    let accounts = config["channels"]["slack"]["accounts"].as_object()?;
    accounts.values().find(|account| account["webhookPath"] == path).cloned()
}

/// Answers a person's message in its conversation. Slack may not know the account, such as the demonstration's own
/// channel: then the answer is lost.
async fn answer(slack_api: &str, account: &Value, body: &Bytes) {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = &event["event"];
    let (Some(text), Some(channel)) = (message["text"].as_str(), message["channel"].as_str()) else { return };
    if message["type"] != "message" || !message["bot_id"].is_null() {
        return;
    }
    let answer = format!("You wrote: {text} (The stand-in for OpenClaw repeats what it hears.)");
    let form = [("channel", channel), ("text", &answer)];
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build() else { return };
    let token = account["botToken"].as_str().unwrap_or_default();
    // Best effort: nothing depends on the answer.
    let _ = client.post(format!("{slack_api}chat.postMessage")).bearer_auth(token).form(&form).send().await;
}

fn tell(told: &Told) {
    // A closed output means that the demonstration has ended.
    let _ = serde_json::to_string(told).map(|line| writeln!(io::stdout().lock(), "{line}"));
}
