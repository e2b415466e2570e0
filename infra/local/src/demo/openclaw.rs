//! What stands where `OpenClaw` would be: a process that the sidecar starts. It reads the configuration that it was given,
//! takes deliveries, verifies their signatures with the account's secret, and prints each as a line of JSON.

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

/// What the stand-in prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// It answers.
    Listening,
    /// Something was delivered.
    Delivered(Delivery),
}

/// What reached the pool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// The path that it was posted to.
    pub path: String,
    /// Whether its signature is the account's.
    pub verified: bool,
    /// How long its body is, in bytes.
    pub bytes: usize,
}

/// Answers on this port of loopback, by the configuration at this path, until the process ends.
///
/// # Errors
/// Where the port is taken.
pub async fn run(port: u16, config: PathBuf) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    #[expect(clippy::disallowed_methods, reason = "this is no function of ours: it stands for a pool")]
    let router = Router::new().fallback(take).with_state(Arc::new(config));
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

async fn take(
    State(config): State<Arc<PathBuf>>,
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
    let secret = secret_of(&config, uri.path());
    let verified = signed.ok().zip(secret).is_some_and(|(signed, secret)| signed.verify(&secret, &body).is_ok());
    tell(&Told::Delivered(Delivery { path: uri.path().to_owned(), verified, bytes: body.len() }));
    if verified { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

/// The signing secret of the account whose webhooks come to this path, by the configuration as it is now.
fn secret_of(config: &Path, path: &str) -> Option<SigningSecret> {
    let config: Value = serde_json::from_slice(&std::fs::read(config).ok()?).ok()?;
    let accounts = config["channels"]["slack"]["accounts"].as_object()?;
    let account = accounts.values().find(|account| account["webhookPath"] == path)?;
    Some(SigningSecret::new(account["signingSecret"].as_str()?.into()))
}

fn tell(told: &Told) {
    // Where nobody reads any more, the demonstration has ended.
    let _ = serde_json::to_string(told).map(|line| writeln!(io::stdout().lock(), "{line}"));
}
