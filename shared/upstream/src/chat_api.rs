//! Errors and answers of Discord's and Feishu's APIs.

use std::time::Duration;

use reqwest::{Client, Response, header::RETRY_AFTER, redirect::Policy};

use crate::{ANSWER_LIMIT, TIMEOUT};

/// Why a call to Discord or Feishu failed. No variant holds anything of a token or of an answer's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatApiError {
    /// The token, or the app's id and secret, are invalid.
    #[error("unauthorized")]
    Unauthorized,
    /// The platform rejects this call, with an HTTP status or a code of its own.
    #[error("refused with {0}")]
    Refused(i64),
    /// Too many calls: retry after this time, if the platform names one.
    #[error("rate limited")]
    RateLimited(Option<Duration>),
    /// The platform could not be reached, timed out, failed, or gave an answer that could not be parsed.
    #[error("{0}")]
    Unanswered(&'static str),
}

pub(crate) const NOT_UNDERSTOOD: ChatApiError = ChatApiError::Unanswered("answer_not_understood");
pub(crate) const UNAVAILABLE: ChatApiError = ChatApiError::Unanswered("service_unavailable");

/// Builds a client with a connection pool that follows no redirect.
pub(crate) fn client() -> Client {
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).user_agent("portcullis").build();
    client.unwrap_or_else(|error| unreachable!("rustls needs nothing that could be missing: {error}"))
}

/// Reads an answer's body of at most [`ANSWER_LIMIT`] bytes.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, ChatApiError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
        if answer.len() + chunk.len() > ANSWER_LIMIT {
            return Err(ChatApiError::Unanswered("answer_too_large"));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// Parses the `retry-after` header: seconds, from Discord also with a fraction.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: f64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

pub(crate) fn unreached(error: &reqwest::Error) -> ChatApiError {
    ChatApiError::Unanswered(if error.is_timeout() { "request_timeout" } else { "unreachable" })
}
