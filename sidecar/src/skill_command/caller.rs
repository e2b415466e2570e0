//! Calls of the control plane on behalf of a skill.

use std::time::Duration;

use portcullis_upstream::BaseUrl;
use reqwest::{Client, Method, header::CONTENT_TYPE, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    Failure,
    machine::{Context, token},
};
use crate::{
    api::{ApiError, read_bytes, send},
    keeper::CONTEXT_FILE,
};

/// Time-out of a call: the control plane's own deadline is 28 s, because of third-party actions.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Client of the control plane for skills.
pub(super) struct Caller {
    client: Client,
    base: BaseUrl,
    token: SecretString,
}

impl Caller {
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let base = format!("{}/", context.api_url.trim_end_matches('/')).parse();
        let base: BaseUrl = base.map_err(|error| Failure::Usage(format!("{CONTEXT_FILE}: apiUrl {error}")))?;
        // Loopback is never called through a proxy, as in the sidecar.
        let client = if base.is_loopback() { Client::builder().no_proxy() } else { Client::builder() };
        let client = client.redirect(Policy::none()).timeout(TIMEOUT).user_agent("portcullis-skill").build();
        let client =
            client.map_err(|_| Failure::Unavailable("the system's root certificates cannot be read".to_owned()))?;
        Ok(Self { client, base, token: token()? })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        pool: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.below(path);
        if let Some(pool) = pool {
            url.query_pairs_mut().append_pair("poolId", pool);
        }
        let mut request = self.client.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = send(request).await?;
        let status = response.status().as_u16();
        let body = read_bytes(response).await?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// Returns the body of a success, or a failure with the control plane's message, which holds no secret.
    pub(super) fn ok(self) -> Result<Value, Failure> {
        let message = || {
            let reason = self.message().unwrap_or("no reason was given");
            let mut message = format!("the control plane answered {}: {reason}", self.status);
            for (field, why) in self.body.get("fields").and_then(Value::as_object).into_iter().flatten() {
                message.extend(["; ", field, " ", why.as_str().unwrap_or_default()]);
            }
            message
        };
        match self.status {
            200..=299 if !self.body.is_null() => Ok(self.body),
            200..=299 => Err(ApiError::NotUnderstood.into()),
            401 | 403 => Err(Failure::Refused(message())),
            404 => Err(Failure::NotFound(message())),
            400..=499 => Err(Failure::Usage(message())),
            _ => Err(Failure::Unavailable(message())),
        }
    }

    /// Does the same as [`Answer::ok`] for an optional feature: a control plane without it answers with a general 404.
    pub(super) fn ok_if_available(self, what: &'static str) -> Result<Value, Failure> {
        let is_general = self.message().is_none_or(|message| message.eq_ignore_ascii_case("not found"));
        let is_unknown_path = self.status == 404 && is_general;
        if is_unknown_path { Err(Failure::NotAvailable(what)) } else { self.ok() }
    }

    /// The control plane's message.
    fn message(&self) -> Option<&str> {
        self.body.get("message")?.as_str()
    }

    /// Whether the refusal has a URL at which the person connects the account.
    pub(super) fn has_connect_url(&self) -> bool {
        self.status == 403 && self.body.get("connectUrl").is_some_and(Value::is_string)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_why_and_has_its_own_code() {
        for (status, body, code) in [
            (200, json!({}), None),
            (200, Value::Null, Some(5)),
            (400, json!({ "message": "No", "fields": { "title": "is missing" } }), Some(2)),
            (401, json!({ "message": "No" }), Some(4)),
            (403, Value::Null, Some(4)),
            (404, json!({ "message": "Bot not found" }), Some(3)),
            (409, json!({ "message": "Taken" }), Some(2)),
            (500, Value::Null, Some(5)),
            (503, json!({}), Some(5)),
        ] {
            let outcome = Answer { status, body }.ok();
            assert_eq!(outcome.err().map(|failure| failure.exit_code()), code, "{status}");
        }
        let of_composio = |body| Answer { status: 404, body }.ok_if_available("Composio").unwrap_err();
        assert_eq!(of_composio(json!({ "message": "Not found" })).exit_code(), 6);
        assert_eq!(of_composio(json!({ "message": "Bot not found" })).exit_code(), 3);
    }
}
