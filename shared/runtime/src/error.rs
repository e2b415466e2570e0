//! The single form of an error response, and the single mapping from failures to it.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use portcullis_store::StoreError;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ErrorCode;

/// `Retry-After` of a 503, in seconds: longer than the store's own retries take.
pub const RETRY_AFTER_SECONDS: u16 = 5;

/// Longest path of a field in an error, in characters.
const MAXIMUM_PATH_LENGTH: usize = 200;

/// An error response, with a detail for the log alone.
///
/// `message` is for a person and contains no secret, no table's name and no other tenant's id; `code` is stable.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    message: Cow<'static, str>,
    fields: BTreeMap<String, String>,
    extra: Map<String, Value>,
    detail: Option<Box<str>>,
    kind: Kind,
    retry_after: Option<u64>,
}

/// Category under which the front counts and logs an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller's fault.
    Refused,
    /// No credential, or a wrong one.
    Unauthenticated,
    /// A dependency did not answer.
    Unavailable,
    /// A sealed value could not be opened.
    Unopened,
    /// A defect of this server.
    Broken,
}

/// Content of an error, passed from a handler to the front, which writes the body.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    pub fields: BTreeMap<String, String>,
    pub extra: Map<String, Value>,
    pub detail: Option<Box<str>>,
    pub kind: Kind,
}

/// Body of an error response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody<'a> {
    pub message: &'a str,
    pub code: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
    pub request_id: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, kind: Kind, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let (fields, extra) = (BTreeMap::new(), Map::new());
        Self { status, code, message: message.into(), fields, extra, detail: None, kind, retry_after: None }
    }

    /// 400: the request cannot be carried out as it is.
    pub fn bad_request(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Kind::Refused, code, message)
    }

    /// 400: a field is invalid. `path` is its place in the request, `why` the rule that it breaks.
    pub fn invalid_field(path: impl Into<String>, why: impl Into<String>) -> Self {
        let mut error = Self::bad_request(ErrorCode::ValidationFailed, "The request does not validate");
        // A path contains names that the caller sent, which can be as long as the whole body.
        let path = path.into().chars().take(MAXIMUM_PATH_LENGTH).collect();
        error.fields.insert(path, why.into());
        error
    }

    /// 400: several fields are invalid.
    pub fn invalid_fields(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut error = Self::bad_request(ErrorCode::ValidationFailed, "The request does not validate");
        let cut = |path: String| path.chars().take(MAXIMUM_PATH_LENGTH).collect();
        error.fields = fields.into_iter().map(|(path, why)| (cut(path), why)).collect();
        error
    }

    /// 401 with a message of the tier.
    #[must_use]
    pub fn unauthenticated(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Kind::Unauthenticated, ErrorCode::Unauthorized, message)
    }

    /// 403: authenticated, but not allowed.
    #[must_use]
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Kind::Refused, ErrorCode::Forbidden, message)
    }

    /// 403 with a specific code.
    #[must_use]
    pub fn forbidden_as(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Kind::Refused, code, message)
    }

    /// 401 with a specific code.
    #[must_use]
    pub fn unauthenticated_as(code: ErrorCode, message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Kind::Unauthenticated, code, message)
    }

    /// 429: the caller may try again after `wait`.
    #[must_use]
    pub fn too_many_requests(wait: Duration) -> Self {
        let message = "Too many requests. Please try again later.";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, Kind::Refused, ErrorCode::TooManyRequests, message);
        // Rounded up, so that a caller who waits as long as requested is not early.
        error.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        error
    }

    /// 404: the resource does not exist, or is not the caller's.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Kind::Refused, ErrorCode::NotFound, message)
    }

    /// 409: the resource is another's, or has changed.
    #[must_use]
    pub fn conflict(message: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, Kind::Refused, ErrorCode::Conflict, message)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Kind::Refused, ErrorCode::MethodNotAllowed, "Method not allowed")
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        let message = format!("The body is larger than {} KiB", limit / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Kind::Refused, ErrorCode::BodyTooLarge, message)
    }

    /// 415: the content type is not `application/json`.
    #[must_use]
    pub fn not_json() -> Self {
        let message = "The content type must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Kind::Refused, ErrorCode::UnsupportedMediaType, message)
    }

    /// 503: this installation does not offer the feature. No dependency failed.
    #[must_use]
    pub fn not_available(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Kind::Refused, ErrorCode::NotAvailable, message)
    }

    /// 502: an upstream service failed. `detail` is for the log alone.
    pub fn bad_gateway(message: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Kind::Unavailable, ErrorCode::UpstreamFailed, message).with_detail(detail)
    }

    /// 503: a dependency did not answer in time. `detail` is for the log alone.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let message = "Temporarily unavailable; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Kind::Unavailable, ErrorCode::Unavailable, message)
            .with_detail(detail)
    }

    /// 500: a defect of this server. `detail` is for the log alone; the caller gets a constant text.
    pub fn internal(detail: impl Into<String>) -> Self {
        let message = "Internal error";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Kind::Broken, ErrorCode::InternalError, message)
            .with_detail(detail)
    }

    /// Adds a field to the body, for the endpoint's own clients.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.extra.insert(field.to_owned(), value.into());
        self
    }

    fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into_boxed_str());
        self
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Unavailable { .. } => Self::unavailable(detail),
            StoreError::Unopened { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Kind::Unopened,
                ErrorCode::SealedValueUnopened,
                "A stored secret could not be opened",
            )
            .with_detail(detail),
            StoreError::NoKeys { .. } | StoreError::Malformed { .. } | StoreError::Refused { .. } => {
                Self::internal(detail)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            // better-auth's own name of `Retry-After`.
            response.headers_mut().insert("x-retry-after", HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Refusal {
            code: self.code,
            message: self.message,
            fields: self.fields,
            extra: self.extra,
            detail: self.detail,
            kind: self.kind,
        });
        response
    }
}
