//! Strict reader of JSON bodies.

pub mod text;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::{ApiError, ErrorCode};

/// Default limit of a body, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// A parsed JSON body of at most `LIMIT` bytes without a repeated key in any object. Unknown fields are ignored.
#[derive(Debug)]
pub struct StrictJson<T, const LIMIT: usize = BODY_LIMIT>(pub T);

impl<S: Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for StrictJson<T, LIMIT> {
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
/// 413 if the body is longer, 400 if it is incomplete.
pub(crate) async fn read_body(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Err(_) => Err(ApiError::bad_request(ErrorCode::IncompleteBody, "The body could not be read to its end")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > "+json".len() && essence.to_ascii_lowercase().ends_with("+json"))
}

/// Parses a body: first as well-formed JSON without repeated keys, then as a `T`.
///
/// # Errors
/// 400 `malformed_json`, or `validation_failed` that names the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text = text::well_formed(body).map_err(|error| malformed(&error))?;
    if text::has_duplicate_key(&text) {
        return Err(ApiError::bad_request(ErrorCode::MalformedJson, "The body has an object with the same key twice"));
    }
    // serde's derive alone would read an array as a struct, by the order of its fields.
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::bad_request(ErrorCode::ValidationFailed, "The body must be a JSON object"));
    }
    let deserializer = &mut serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = path(error.path());
        invalid(&path, &error.into_inner())
    })
}

/// Returns a field's path; a dot for the root. The path ends before a key that cannot be a name of this API: such a
/// key is the caller's, and may be a misplaced secret.
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

/// Returns whether a key has the form of a field's or a secret's name.
fn is_name(key: &str) -> bool {
    (1..=128).contains(&key.len())
        && !key.starts_with(|first: char| first.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Converts serde's error to a 400 with the rule in the API's own words. It never contains the value or serde's own
/// text.
fn invalid(path: &str, error: &serde_json::Error) -> ApiError {
    let text = without_position(error);
    if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        // serde names the object that lacks the field; the root's path is a dot.
        let path = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
        return ApiError::invalid_field(path, "is required");
    }
    ApiError::invalid_field(path, rule(&text))
}

/// Returns an error's text without the position that `serde_json` appends.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned()
}

/// Translates serde's text of an error to the rule that the value broke.
fn rule(text: &str) -> String {
    // The API's own types write their rules in this form, some after their name.
    if text.starts_with("must ") {
        return text.to_owned();
    }
    if let Some((_, rule)) = text.split_once(" must be ") {
        return format!("must be {rule}");
    }
    // `serde_json`'s text for a number, a list or an object instead of an enum's word.
    if text == "expected value" {
        return "must be text".to_owned();
    }
    let Some((_, expected)) = text.split_once(", expected ") else { return "is not valid".to_owned() };
    let expected = match expected {
        "a string" | "a borrowed string" | "a character" | "string or map" => "text",
        "a boolean" => "true or false",
        "a sequence" | "a tuple" => "a list",
        "a map" => "an object",
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "u128" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        names if names.starts_with("one of `") || names.starts_with('`') => {
            return format!("must be {}", names.replace('`', ""));
        }
        object if object.starts_with("struct ") || object.starts_with("internally tagged") => "an object",
        list if list.starts_with("tuple ") => "a list",
        _ => "of another type",
    };
    format!("must be {expected}")
}

fn malformed(error: &text::MalformedJson) -> ApiError {
    ApiError::bad_request(ErrorCode::MalformedJson, format!("The body is not valid JSON ({error})"))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;
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

    /// Returns the code, and each field with its fault.
    fn refusal(body: &str) -> (&'static str, Vec<(String, String)>) {
        let response = parse::<Outer>(body.as_bytes()).expect_err(body).into_response();
        let refusal = response.extensions().get::<Refusal>().expect("an error is a refusal");
        (refusal.code.as_str(), refusal.fields.clone().into_iter().collect())
    }

    #[test]
    fn a_field_that_does_not_validate_is_named_and_not_repeated() {
        let only = |path: &str, why: &str| ("validation_failed", vec![(path.to_owned(), why.to_owned())]);
        assert_eq!(refusal("{}"), only("inner", "is required"));
        assert_eq!(refusal(r#"{"inner":{}}"#), only("inner.count", "is required"));
        assert_eq!(
            refusal(r#"{"inner":{"count":"secret"}}"#),
            only("inner.count", "must be a whole number that is not negative")
        );
        assert_eq!(
            refusal(r#"{"inner":{"count":918273}}"#),
            only("inner.count", "must be a whole number that is not negative")
        );
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
    fn text_that_is_not_json_is_refused() {
        for body in ["", "{", "nul", "{\"a\":01}", "\"\u{0}\"", "{\"a\":1}x", "\u{feff}{}", "{\"a\":\"\\ud83\"}"] {
            assert_eq!(refusal(body).0, "malformed_json", "{body:.20}");
        }
        assert!(parse::<Value>(b"\xff").is_err());
    }

    #[test]
    fn parts_that_are_not_read_decide_nothing() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for unread in ["1e400", "-1e999", r#""\ud83d""#, r#"{"\udc00":1}"#, &deep] {
            let body = format!(r#"{{"inner":{{"count":7}},"unknown":{unread}}}"#);
            assert!(parse::<Outer>(body.as_bytes()).is_ok(), "{unread:.20}");
        }
    }

    #[test]
    fn a_lone_surrogate_reads_as_the_replacement_character() {
        #[derive(Deserialize)]
        struct Body {
            text: String,
        }
        for (sent, read) in [
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\uDE00", "\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\\ud83d", r"\ud83d"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            let body: Body = parse(format!(r#"{{"text":"{sent}"}}"#).as_bytes()).unwrap();
            assert_eq!(body.text, read);
        }
    }

    #[test]
    fn rules_are_told_in_the_apis_words() {
        assert_eq!(rule("invalid type: string \"x\", expected u64"), "must be a whole number that is not negative");
        assert_eq!(rule("unknown variant `x`, expected one of `a`, `b`"), "must be one of a, b");
        assert_eq!(rule("unknown variant `x`, expected `a` or `b`"), "must be a or b");
        assert_eq!(rule("failed to find offset component"), "is not valid");
        assert_eq!(rule("number out of range"), "is not valid");
        assert_eq!(rule("invalid type: map, expected struct Inner"), "must be an object");
    }
}
