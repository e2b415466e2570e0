//! Reading what stands in a path or a query.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::ApiError;

/// One segment of the path as a checked name.
///
/// # Errors
/// 400 that names the parameter where it does not parse.
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

/// One parameter of the query as a checked name; `None` where it is not there.
///
/// # Errors
/// 400 that names the parameter where it does not parse or is there twice.
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
