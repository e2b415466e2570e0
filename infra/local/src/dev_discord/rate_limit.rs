//! The global rate limit: 50 requests a second for the bot, and as many for all callers without its token together.
//!
//! Source: Discord, "Rate Limits". The windows are fixed ones: the first request starts a second.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Requests of one caller in one window.
const LIMIT: u32 = 50;
/// Length of a window.
const WINDOW: SignedDuration = SignedDuration::from_secs(1);

/// Caller that a request is counted for. Discord counts requests without a valid token by IP address, and all callers
/// here share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Bot,
    Unknown,
}

/// The current window of each caller.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    bot: Option<(Timestamp, u32)>,
    unknown: Option<(Timestamp, u32)>,
}

/// A caller's window after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) remaining: u32,
    reset: Timestamp,
    pub(super) reset_after: SignedDuration,
}

/// A request beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    pub(super) window: Window,
}

impl RateLimit {
    /// Counts a request.
    pub(super) fn take(&mut self, caller: Caller, now: Timestamp) -> Result<Window, Exceeded> {
        let slot = match caller {
            Caller::Bot => &mut self.bot,
            Caller::Unknown => &mut self.unknown,
        };
        // A clock that went back starts a new window; otherwise the caller would be locked out until it catches up.
        let current = slot.filter(|(start, _)| (SignedDuration::ZERO..WINDOW).contains(&now.duration_since(*start)));
        let (start, used) = current.unwrap_or((now, 0));
        let reset = start + WINDOW;
        let window = |used| Window { remaining: LIMIT - used, reset, reset_after: reset.duration_since(now) };
        if used == LIMIT {
            return Err(Exceeded { window: window(used) });
        }
        *slot = Some((start, used + 1));
        Ok(window(used + 1))
    }
}

impl Window {
    /// Headers of "Header Format". Times are in seconds, with milliseconds.
    pub(super) fn headers(self, bucket: &'static str) -> HeaderMap {
        let text = |value: String| HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
        let name = HeaderName::from_static;
        HeaderMap::from_iter([
            (name("x-ratelimit-limit"), HeaderValue::from(LIMIT)),
            (name("x-ratelimit-remaining"), HeaderValue::from(self.remaining)),
            (name("x-ratelimit-reset"), text(seconds(self.reset.duration_since(Timestamp::UNIX_EPOCH)))),
            (name("x-ratelimit-reset-after"), text(seconds(self.reset_after))),
            (name("x-ratelimit-bucket"), HeaderValue::from_static(bucket)),
        ])
    }
}

impl Exceeded {
    /// Answer of "Exceeding A Rate Limit". The header counts whole seconds, rounded up.
    pub(super) fn response(self) -> Response {
        let wait = self.window.reset_after;
        let whole = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
        let headers = [
            (RETRY_AFTER, HeaderValue::from(whole)),
            (HeaderName::from_static("x-ratelimit-global"), HeaderValue::from_static("true")),
            (HeaderName::from_static("x-ratelimit-scope"), HeaderValue::from_static("global")),
        ];
        let body =
            json!({ "message": "You are being rate limited.", "retry_after": wait.as_secs_f64(), "global": true });
        (StatusCode::TOO_MANY_REQUESTS, headers, axum::Json(body)).into_response()
    }
}

fn seconds(duration: SignedDuration) -> String {
    format!("{}.{:03}", duration.as_secs(), duration.subsec_millis())
}
