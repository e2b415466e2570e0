//! An error response of the control plane, in the form that is logged.

use std::{collections::BTreeMap, fmt};

use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;

/// Largest body of a refusal that is read, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Longest text of a refusal that is kept, in characters.
const TEXT_LIMIT: usize = 300;

/// Number of fields of a refusal that are kept.
const FIELDS_LIMIT: usize = 10;

/// An error response of the control plane. It never holds the token: texts that repeat the token of the request are
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path of the request.
    pub route: String,
    /// HTTP status.
    pub status: u16,
    /// Human-readable message.
    pub message: Option<String>,
    /// Stable error code.
    pub code: Option<String>,
    /// Errors by field of the request.
    pub fields: BTreeMap<String, String>,
    /// Id that the control plane logged the request with.
    pub request_id: Option<String>,
}

/// JSON body of an error response.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    message: Value,
    code: Value,
    fields: Value,
}

impl Refusal {
    /// Reads an error response; a body that cannot be parsed leaves only the status.
    pub async fn read(route: String, mut response: Response, token: &str) -> Self {
        let status = response.status().as_u16();
        let text = |text: &str| {
            let text: String = text.chars().take(TEXT_LIMIT).collect();
            (!text.is_empty() && !text.contains(token)).then_some(text)
        };
        let request_id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).and_then(text);
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BODY_LIMIT {
                bytes.clear();
                break;
            }
        }
        let body: Body = serde_json::from_slice(&bytes).unwrap_or_default();
        let fields = body.fields.as_object().into_iter().flatten();
        let fields = fields.filter_map(|(name, why)| Some((text(name)?, text(why.as_str()?)?)));
        Self {
            route,
            status,
            message: body.message.as_str().and_then(text),
            code: body.code.as_str().and_then(text),
            fields: fields.take(FIELDS_LIMIT).collect(),
            request_id,
        }
    }

    /// Advice for the operator, where there is a known cause.
    #[must_use]
    pub fn to_do(&self) -> Option<&'static str> {
        let is_register = self.route.ends_with("/pools/register");
        match self.status {
            400 if self.fields.contains_key("podIp") => {
                Some("set PORTCULLIS_POD_IP to an address where the control plane's POOL_CIDRS allow pools")
            }
            400 if self.fields.contains_key("poolId") => Some("check PORTCULLIS_POOL_ID"),
            401 => Some(
                "the token has ended, was revoked or is another control plane's, or its pool is not registered: register the \
                 pool, issue a new token with POST /api/internal/pools/{poolId}/runtime-tokens and put it where \
                 PORTCULLIS_TOKEN_FILE points",
            ),
            403 => Some("the token is bound to another pool: check PORTCULLIS_POOL_ID, or issue a token for this pool"),
            404 if is_register => Some(
                "a bound token cannot make a pool: an operator registers it first with POST /api/internal/pools/register",
            ),
            _ => None,
        }
    }

    /// Facts of a log line.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let fields = (!self.fields.is_empty()).then(|| self.fields.clone().into_iter().collect());
        let facts = [
            ("route", Some(self.route.clone().into())),
            ("status", Some(self.status.into())),
            ("reason", text(&self.message)),
            ("code", text(&self.code)),
            ("fields", fields),
            ("requestId", text(&self.request_id)),
            ("toDo", self.to_do().map(Value::from)),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the control plane answered {} to {}", self.status, self.route)?;
        if let Some(message) = &self.message {
            write!(formatter, ": {message}")?;
        }
        Ok(())
    }
}
