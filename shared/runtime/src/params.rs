//! Parameters of the path and the query.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::ApiError;

/// Reads a segment of the path as a checked name.
///
/// # Errors
/// 400 that names the malformed parameter.
pub async fn path<T>(parts: &mut Parts, name: &'static str) -> Result<T, ApiError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let params = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| ApiError::invalid_field(name, "must be percent-encoded UTF-8"))?;
    let value = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let value = value.ok_or_else(|| ApiError::internal(format!("the route has no parameter {name}")))?;
    value.parse().map_err(|error: T::Err| ApiError::invalid_field(name, error.to_string()))
}

/// Reads a parameter of the query as a checked name; `None` if it is absent.
///
/// # Errors
/// 400 that names the parameter if it is malformed or repeated.
pub fn query<T>(parts: &Parts, name: &'static str) -> Result<Option<T>, ApiError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let query = parts.uri.query().unwrap_or_default();
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::invalid_field(name, "must be there once"));
    }
    value.parse().map(Some).map_err(|error: T::Err| ApiError::invalid_field(name, error.to_string()))
}
