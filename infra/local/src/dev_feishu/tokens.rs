//! Tenant access tokens.
//!
//! Source: Feishu, "Get custom app's `tenant_access_token`": a token lasts two hours. A request in its last half hour
//! gets a new one, and both are valid; an earlier request gets the same one.

use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::{
    APP, DevFeishu,
    answers::{self, Failure},
};

/// Lifetime of a token.
const LIFETIME: SignedDuration = SignedDuration::from_secs(7200);
/// Remaining lifetime from which on a request gets a new token.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_mins(30);
/// Characters of an app id after its prefix.
const ID_LENGTH: usize = 16;

/// Valid tokens, the oldest first.
#[derive(Default)]
pub(super) struct Tokens(Vec<(String, Timestamp)>);

impl Tokens {
    /// Returns whether a token is valid, which it is strictly before its end.
    pub(super) fn is_valid(&self, token: &str, now: Timestamp) -> bool {
        self.0.iter().any(|(known, end)| known == token && now < *end)
    }

    /// Returns the newest token and its remaining lifetime; `new` makes one.
    fn current(&mut self, now: Timestamp, new: impl FnOnce() -> String) -> (String, SignedDuration) {
        self.0.retain(|(_, end)| now < *end);
        if let Some((token, end)) = self.0.last()
            && end.duration_since(now) >= RENEWED_WITHIN
        {
            return (token.clone(), end.duration_since(now));
        }
        let token = new();
        self.0.push((token.clone(), now + LIFETIME));
        (token, LIFETIME)
    }
}

/// `POST auth/v3/tenant_access_token/internal`
pub(super) fn issue(feishu: &DevFeishu, body: Option<&Map<String, Value>>) -> Result<Response, Failure> {
    let body = body.ok_or(answers::INVALID_PARAM)?;
    let text = |name: &str| {
        let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or(answers::INVALID_PARAM)
    };
    let (app, secret) = (text("app_id")?, text("app_secret")?);
    let is_well_formed = app.strip_prefix("cli_").is_some_and(|rest| {
        rest.len() == ID_LENGTH && rest.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
    });
    if !is_well_formed {
        return Err(answers::INVALID_PARAM);
    }
    if app != APP {
        return Err(answers::NO_SUCH_APP);
    }
    if secret != feishu.app_secret.expose_secret() {
        return Err(answers::INVALID_SECRET);
    }
    let (token, left) = feishu.known().tokens.current(feishu.clock.now(), || feishu.new_id("t-demo"));
    let answer = json!({ "code": 0, "msg": "ok", "tenant_access_token": token, "expire": left.as_secs() });
    Ok(axum::Json(answer).into_response())
}
