//! Reading a JSON body, strictly.

use std::{collections::HashSet, fmt};

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};

use serde_path_to_error::{Path, Segment};

use crate::ApiError;

/// The largest body that is read, in bytes, where an endpoint does not say otherwise; Slack's are smaller
/// ([`crate::tier::SLACK_BODY_LIMIT`]).
pub const BODY_LIMIT: usize = 1024 * 1024;

/// A JSON body of at most `LIMIT` bytes that parsed, with no key twice in any object. Unknown fields are ignored.
#[derive(Debug)]
pub struct Json<T, const LIMIT: usize = BODY_LIMIT>(pub T);

impl<S: Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Json<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::not_json());
        }
        let body = read_body(request, LIMIT).await?;
        parse(&body).map(Self)
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// 413 where it is longer, 400 where it breaks off.
pub(crate) async fn read_body(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Err(_) => Err(ApiError::bad_request("incomplete_body", "The body could not be read to its end")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > "+json".len() && essence.to_ascii_lowercase().ends_with("+json"))
}

/// Parses a body: well-formed first, with no key twice, then as what it should be.
///
/// # Errors
/// 400 `malformed_json`, or `validation_failed` that names the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice::<NoDuplicates>(body).map_err(|error| malformed(&error))?;
    // serde's derive would take an array for a struct, by the order of its fields.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::bad_request("validation_failed", "The body must be a JSON object"));
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = path(error.path());
        invalid(&path, &error.into_inner())
    })
}

/// Where a field stands; a dot for the root. It ends before a key that could not be one of ours: such a key is the
/// caller's, and may be a secret in the wrong place.
fn path(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.extend(["[", &index.to_string(), "]"]),
            Segment::Map { key } if is_name(key) => text.extend([if text.is_empty() { "" } else { "." }, key.as_str()]),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// Whether a key looks like a field's or a secret's name.
fn is_name(key: &str) -> bool {
    (1..=128).contains(&key.len())
        && !key.starts_with(|first: char| first.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A field that does not validate, without the position that `serde_json` appends and without repeating what was sent.
fn invalid(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        // serde names the object that lacks the field; the root's path is a dot.
        let path = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
        return ApiError::invalid_field(path, "is required");
    }
    // serde_json says "expected value" of a number, an object or an array in an enum's place.
    if !error.is_data() {
        return ApiError::invalid_field(path, "must be of another type");
    }
    match text.split_once(", expected ") {
        Some((_, expected)) => ApiError::invalid_field(path, format!("must be {expected}")),
        None => ApiError::invalid_field(path, text),
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        return ApiError::bad_request("malformed_json", "The body has an object with the same key twice");
    }
    let message = format!("The body is not valid JSON (line {}, column {})", error.line(), error.column());
    ApiError::bad_request("malformed_json", message)
}

/// Well-formed JSON in which no object has a key twice: which one counts differs from parser to parser, and what we check
/// must be what others read.
pub struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoDuplicatesVisitor)
    }
}

struct NoDuplicatesVisitor;

impl<'de> de::Visitor<'de> for NoDuplicatesVisitor {
    type Value = NoDuplicates;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_str<E>(self, _: &str) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_unit<E>(self) -> Result<NoDuplicates, E> {
        Ok(NoDuplicates)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<NoDuplicates, A::Error> {
        while seq.next_element::<NoDuplicates>()?.is_some() {}
        Ok(NoDuplicates)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NoDuplicates, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key) {
                return Err(de::Error::custom("duplicate key"));
            }
            map.next_value::<NoDuplicates>()?;
        }
        Ok(NoDuplicates)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde_json::Value;

    use super::*;
    use crate::error::Refusal;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its reading is tested")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading is tested")]
        count: u8,
    }

    /// The code, and each field with what is wrong with it.
    fn refusal(body: &str) -> (&'static str, Vec<(String, String)>) {
        let response = parse::<Outer>(body.as_bytes()).expect_err(body).into_response();
        let refusal = response.extensions().get::<Refusal>().expect("an error is a refusal");
        (refusal.code, refusal.fields.clone().into_iter().collect())
    }

    #[test]
    fn a_field_that_does_not_validate_is_named_and_not_repeated() {
        let only = |path: &str, why: &str| ("validation_failed", vec![(path.to_owned(), why.to_owned())]);
        assert_eq!(refusal("{}"), only("inner", "is required"));
        assert_eq!(refusal(r#"{"inner":{}}"#), only("inner.count", "is required"));
        assert_eq!(refusal(r#"{"inner":{"count":"secret"}}"#), only("inner.count", "must be u8"));
        assert_eq!(refusal(r#"{"inner":{"count":918273}}"#), only("inner.count", "must be u8"));
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_wherever_it_stands() {
        for body in [
            r#"{"inner":{"count":1},"inner":{"count":1}}"#,
            r#"{"inner":{"count":1,"unknown":[{"a":1,"a":2}]}}"#,
            r#"{"inner":{"count":1,"\u0063ount":1}}"#,
        ] {
            assert_eq!(refusal(body), ("malformed_json", Vec::new()), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_at_any_depth() {
        let deep = "[".repeat(10_000);
        for body in ["", "{", "nul", "{\"a\":1e999}", "\"\u{0}\"", deep.as_str()] {
            assert_eq!(refusal(body).0, "malformed_json", "{body:.20}");
        }
        assert!(parse::<Value>(b"\xff").is_err());
    }
}
