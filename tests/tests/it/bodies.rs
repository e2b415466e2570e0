//! Invalid bodies: refused with a clear message that repeats none of the body, and without effect.

mod fields;
mod pools;

use portcullis_tests::{
    Answer, System,
    routes::{Body, Call, Prepared, calls},
    system::send,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Canary value that is sent in bodies and must not appear in any refusal.
const CANARY: &str = "c4n4ry-in-a-body";

async fn prepared() -> Prepared {
    Prepared::new(System::start().await).await
}

/// Calls that take JSON, each with a valid body.
fn json_calls() -> impl Iterator<Item = (&'static Call, &'static str)> {
    calls().filter_map(|(_, call)| match call.body {
        Body::Json(text) => Some((call, text)),
        Body::None | Body::Event | Body::Interaction | Body::Command | Body::FeishuMessage | Body::FeishuClick => None,
    })
}

fn raw(prepared: &Prepared, call: &Call, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let method: Method = call.method.parse().unwrap();
    let request = prepared.system.internal(method, call.path).header("content-type", "application/json");
    // Calls of a person need the cookie; routes with tokens ignore it.
    request.header("origin", prepared.system.stack.base_url()).header("cookie", &prepared.cookie).body(body)
}

/// Asserts a refusal of the body that repeats none of it.
fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap().to_lowercase().as_str()),
        (status, code),
        "{what}: {:?}",
        answer.json()
    );
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains(CANARY) && !text.contains("c4n4ry"), "{what}: {text}");
}

/// The call's valid body with one more field in front.
fn with_field(text: &str, field: &str) -> String {
    text.replacen('{', &format!("{{{field},"), 1)
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let prepared = prepared().await;
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("white space", b" \n\t ".to_vec()),
        ("text", CANARY.into()),
        ("half", br#"{"poolId":"c4n4ry"#.to_vec()),
        ("two", br#"{}{"c4n4ry":1}"#.to_vec()),
        ("a trailing comma", br#"{"c4n4ry":1,}"#.to_vec()),
        ("a comment", br"{/*c4n4ry*/}".to_vec()),
        ("single quotes", b"{'c4n4ry':1}".to_vec()),
        ("NaN", br#"{"c4n4ry":NaN}"#.to_vec()),
        ("not UTF-8", b"{\"poolId\":\"c4n4ry\xff\"}".to_vec()),
        ("not UTF-8 in a key", b"{\"c4n4ry\xff\":1}".to_vec()),
        ("UTF-16", "{\"poolId\":\"x\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a byte-order mark", "\u{feff}{\"poolId\":\"c4n4ry\"}".into()),
        ("a raw NUL", b"{\"poolId\":\"c4n4ry\0\"}".to_vec()),
        ("a NUL behind it", b"{\"poolId\":\"c4n4ry\"}\0".to_vec()),
        ("a raw line break", b"{\"poolId\":\"c4n4ry\n\"}".to_vec()),
        ("depth 10,000 that ends there", "[".repeat(10_000).into()),
    ];
    for (call, _) in json_calls() {
        for (what, body) in &bodies {
            let answer = send(raw(&prepared, call, body.clone())).await;
            assert_refused(&answer, 400, "malformed_json", &format!("{what} to {}", call.path));
        }
    }
}

#[tokio::test]
async fn json_that_is_no_object_is_refused() {
    let prepared = prepared().await;
    for (call, _) in json_calls() {
        for body in ["null", "true", "7", "\"c4n4ry\"", "[\"c4n4ry\"]"] {
            let answer = send(raw(&prepared, call, body)).await;
            assert_refused(&answer, 400, "validation_failed", &format!("{body} to {}", call.path));
        }
    }
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_at_any_depth() {
    let prepared = prepared().await;
    for (call, text) in json_calls() {
        let first = text.trim_start_matches('{').split(':').next().unwrap();
        for body in [
            with_field(text, &format!("{first}:\"{CANARY}\"")),
            with_field(text, r#""c4n4ry":1,"c4n4ry":2"#),
            with_field(text, r#""c4n4ry":1,"\u00634n4ry":2"#),
            with_field(text, r#""x":{"c4n4ry":1,"c4n4ry":1}"#),
            with_field(text, r#""x":[[{"y":[{"c4n4ry":1,"z":2,"c4n4ry":1}]}]]"#),
            with_field(text, r#""x":{"":1,"":1}"#),
        ] {
            let answer = send(raw(&prepared, call, body.clone())).await;
            assert_refused(&answer, 400, "malformed_json", &body);
        }
        // The same key in two different objects is not a duplicate.
        let body = with_field(text, r#""x":{"a":1},"y":{"a":1},"z":[{"a":1},{"a":1}]"#);
        assert_eq!(send(raw(&prepared, call, body)).await.status, call.status);
    }
}

#[tokio::test]
async fn a_body_at_its_routes_limit_is_read_and_one_byte_more_is_not() {
    let prepared = prepared().await;
    for (route, call) in calls() {
        let Body::Json(text) = call.body else { continue };
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        let limit = route.body_limit;
        assert_eq!(send(raw(&prepared, call, padded(limit))).await.status, call.status, "{call:?}");
        for length in [limit + 1, 2 * limit] {
            let answer = send(raw(&prepared, call, padded(length))).await;
            assert_refused(&answer, 413, "body_too_large", call.path);
            assert!(answer.message().contains(&format!("{} KiB", limit / 1024)), "{}", answer.message());
        }
    }
}

#[tokio::test]
async fn only_json_is_taken() {
    let prepared = prepared().await;
    for (call, text) in json_calls() {
        let method = || call.method.parse::<Method>().unwrap();
        let bare = || {
            let request = prepared.system.internal(method(), call.path).header("cookie", &prepared.cookie);
            request.header("origin", prepared.system.stack.base_url()).body(text)
        };
        for taken in
            ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/vnd.api+json"]
        {
            assert_eq!(send(bare().header("content-type", taken)).await.status, call.status, "{taken}");
        }
        assert_refused(&send(bare()).await, 415, "unsupported_media_type", "no content type");
        for refused in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "json",
            "+json",
            "application/jsonx",
            "text/json c4n4ry",
        ] {
            let answer = send(bare().header("content-type", refused)).await;
            assert_refused(&answer, 415, "unsupported_media_type", refused);
        }
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_whatever_they_hold() {
    let prepared = prepared().await;
    for (call, text) in json_calls() {
        for field in [
            r#""unknown":"x""#,
            r#""unknown":null"#,
            r#""unknown":99999999999999999999999999"#,
            r#""unknown":-1e300"#,
            r#""unknown":"\u0000""#,
            r#""pool_id":"other""#,
            r#""POOLID":"other""#,
            r#""__proto__":{"admin":true}"#,
            r#""":{}"#,
        ] {
            let answer = send(raw(&prepared, call, with_field(text, field))).await;
            assert_eq!(answer.status, call.status, "{field} to {}: {answer:?}", call.path);
        }
    }
}

/// Asserts that one invalid field is refused and named.
async fn assert_field(prepared: &Prepared, path: &str, body: Value, field: &str) {
    let method = if path.ends_with("/secrets") { Method::PUT } else { Method::POST };
    let answer = send(prepared.system.internal(method, path).json(&body)).await;
    assert_refused(&answer, 400, "validation_failed", &body.to_string());
    let fields = answer.json()["fields"].clone();
    let why = fields.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("{field} in {fields} for {body}"));
    assert!(!why.is_empty());
    assert_eq!(fields.as_object().unwrap().len(), 1, "{fields}");
}

#[tokio::test]
async fn a_refused_body_changes_nothing() {
    let prepared = prepared().await;
    let path = "/api/internal/pools/pool-1/secrets";
    for body in [
        json!({ "secrets": { "GOOD": "x", "bad/name": "y" } }).to_string(),
        json!({ "secrets": { "GOOD": "x", "OTHER": 7 } }).to_string(),
        r#"{"secrets":{"GOOD":"x","GOOD":"y"}}"#.to_owned(),
        r#"{"secrets":{"GOOD":"x"}}}"#.to_owned(),
    ] {
        let request = prepared.system.internal(Method::PUT, path).header("content-type", "application/json");
        assert_eq!(send(request.body(body)).await.status, 400);
    }
    let read = prepared.system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
    assert_eq!(send(read).await.json(), json!({}));
}
