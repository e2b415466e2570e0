//! Composio: connects people's accounts, and executes actions with them.
//!
//! Source: Composio, API reference v3.1 ("Tool Router", "Connected accounts", "Tools", "Errors", "Rate limits"), and
//! its `OpenAPI` document, which names the statuses of each call.

mod accounts;
mod tools;

use std::{fmt, sync::OnceLock, time::Duration};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header::RETRY_AFTER, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::BaseUrl;
pub use accounts::{AccountStatus, ConnectLink, ConnectedAccount, Revocation};
pub use tools::{ActionOutcome, CustomConnection, Execution};

/// Time-out of opening a connection to Composio.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of executing an action, which waits for a third party.
pub const EXECUTE_TIMEOUT: Duration = Duration::from_secs(25);
/// Time-out of each other call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
pub const COMPOSIO_ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// Number of tries of a read-only call.
const READ_TRIES: u32 = 2;
/// Longest wait that a read-only call is retried after.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Wait between two tries if Composio names none.
const USUAL_WAIT: Duration = Duration::from_millis(200);

/// Client of Composio with one connection pool. Opens nothing before the first call.
#[derive(Debug)]
pub struct Composio {
    base: BaseUrl,
    client: OnceLock<Client>,
}

/// User id of a person at Composio. Source: existing clients of such a control plane, which connected accounts under
/// these ids.
/// so.
#[must_use]
pub fn composio_user(user: &str) -> String {
    format!("nexu_{user}")
}

/// API key of a Composio project.
#[derive(Clone)]
pub struct ComposioKey(pub SecretString);

impl fmt::Debug for ComposioKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ComposioKey(..)")
    }
}

/// Why a call to Composio failed. No variant holds anything of an answer, a key or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposioError {
    /// The person has no working account of the toolkit.
    #[error("the account is not connected")]
    NotConnected,
    /// The named resource does not exist.
    #[error("Composio does not know it")]
    NotFound,
    /// Composio does not accept the API key.
    #[error("Composio does not accept COMPOSIO_API_KEY ({0})")]
    Unauthorized(u16),
    /// Composio accepts no further call before this time has passed.
    #[error("Composio limits calls")]
    RateLimited(Option<Duration>),
    /// Composio rejected the call and did nothing.
    #[error("Composio refused with {0}")]
    Refused(u16),
    /// Composio could not be reached, timed out, failed, or gave an answer that could not be parsed. The call may have
    /// been executed.
    #[error("Composio did not answer: {0}")]
    Unanswered(&'static str),
}

const NOT_UNDERSTOOD: ComposioError = ComposioError::Unanswered("answer_not_understood");

/// Codes of Composio for a missing or ended account. Their HTTP status has changed over time, so only the code is
/// checked.
///
/// Source: Composio, "Errors" (1800s: executing; 4300s: tool router), and its SDK, which maps 1803.
const NOT_CONNECTED: [i64; 4] = [1803, 1810, 1820, 4302];

impl Composio {
    /// Creates a client of Composio at this origin, without `api/v3.1`.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        Self { base, client: OnceLock::new() }
    }

    /// Makes a read-only call, and retries transient errors.
    async fn read<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, ComposioError> {
        let mut tries = 1;
        loop {
            let error = match self.answer(request()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = match error {
                ComposioError::RateLimited(wait) => wait.unwrap_or(USUAL_WAIT),
                ComposioError::Unanswered(reason) if reason != "answer_not_understood" => USUAL_WAIT,
                _ => return Err(error),
            };
            if tries == READ_TRIES || wait > LONGEST_WAIT {
                return Err(error);
            }
            tries += 1;
            pause(wait).await;
        }
    }

    /// Makes a call once and parses its answer.
    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ComposioError> {
        let response = request.send().await.map_err(|error| unreached(&error))?;
        let (status, wait) = (response.status(), retry_after(&response));
        let answer = body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(|_| NOT_UNDERSTOOD);
        }
        Err(failure(status, wait, &answer))
    }

    fn get(&self, key: &ComposioKey, path: &[&str]) -> RequestBuilder {
        Self::with_key(self.client().get(self.url(path)), key)
    }

    fn post(&self, key: &ComposioKey, path: &[&str]) -> RequestBuilder {
        Self::with_key(self.client().post(self.url(path)), key)
    }

    fn delete(&self, key: &ComposioKey, path: &[&str]) -> RequestBuilder {
        Self::with_key(self.client().delete(self.url(path)), key)
    }

    fn with_key(request: RequestBuilder, key: &ComposioKey) -> RequestBuilder {
        request.header("x-api-key", key.0.expose_secret()).timeout(CALL_TIMEOUT)
    }

    fn url(&self, path: &[&str]) -> reqwest::Url {
        self.base.below(&[&["api", "v3.1"], path].concat())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT);
            let client = client.user_agent("portcullis").build();
            client.unwrap_or_else(|error| unreachable!("rustls needs nothing that could be missing: {error}"))
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "a server is left alone for a while before the next try")]
async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

async fn body(mut response: Response) -> Result<Vec<u8>, ComposioError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if answer.len() + chunk.len() > COMPOSIO_ANSWER_LIMIT {
            return Err(ComposioError::Unanswered("answer_too_large"));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// Parses the `retry-after` header in seconds. Source: Composio, "Rate limits".
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn failure(status: StatusCode, wait: Option<Duration>, answer: &[u8]) -> ComposioError {
    #[derive(Deserialize)]
    struct Failure {
        error: Code,
    }
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    let code = serde_json::from_slice::<Failure>(answer).map(|failure| failure.error.code).ok();
    match status {
        StatusCode::TOO_MANY_REQUESTS => ComposioError::RateLimited(wait),
        status if status.is_client_error() && code.is_some_and(|code| NOT_CONNECTED.contains(&code)) => {
            ComposioError::NotConnected
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ComposioError::Unauthorized(status.as_u16()),
        StatusCode::REQUEST_TIMEOUT => ComposioError::Unanswered("request_timeout"),
        // An expired account, also where the body does not say so. Source: Composio, "Errors" (1820).
        StatusCode::GONE => ComposioError::NotConnected,
        // A 404 without a code is another server's page, and does not mean that the resource is gone.
        StatusCode::NOT_FOUND if code.is_some() => ComposioError::NotFound,
        StatusCode::NOT_FOUND => NOT_UNDERSTOOD,
        status if status.is_client_error() => ComposioError::Refused(status.as_u16()),
        _ => ComposioError::Unanswered("service_unavailable"),
    }
}

fn unreached(error: &reqwest::Error) -> ComposioError {
    ComposioError::Unanswered(if error.is_timeout() { "request_timeout" } else { "unreachable" })
}
