//! Tests of `LiteLLM`'s client against a stand-in with valid and invalid answers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use portcullis_upstream::{LiteLlm, LiteLlmAdmin, LiteLlmError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const MASTER_KEY: &str = "not-a-real-master-key";

/// Starts a `LiteLLM` that checks each call's form and answers it with this.
async fn lite_llm(status: u16, body: &'static str) -> LiteLlmAdmin {
    lite_llm_at("", "", status, body).await
}

/// Starts such a `LiteLLM` below the path `root`, called through a URL with this `end`.
async fn lite_llm_at(root: &'static str, end: &str, status: u16, body: &'static str) -> LiteLlmAdmin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let models = format!("http://{}{root}{end}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().fallback(async move |request: Request| answer(request, root, status, body).await);
    tokio::spawn(async { axum::serve(listener, router).await });
    LiteLlmAdmin::new(&models, MASTER_KEY.into()).unwrap()
}

async fn answer(request: Request, root: &str, status: u16, body: &'static str) -> Response {
    let (parts, sent) = request.into_parts();
    let sent = axum::body::to_bytes(sent, 10_000).await.unwrap();
    let expected = match parts.uri.path().strip_prefix(root) {
        Some("/key/generate") => {
            json!({ "key_alias": "alias-1", "key_type": "llm_api", "metadata": { "portcullis_pool": "pool 1" } })
        }
        Some("/key/delete") => json!({ "key_aliases": ["alias-1", "alias-2"] }),
        _ => return (StatusCode::NOT_FOUND, r#"{"detail":"Not Found"}"#).into_response(),
    };
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(parts.method, "POST");
    assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), expected);
    assert_eq!(header(header::AUTHORIZATION), format!("Bearer {MASTER_KEY}"));
    assert_eq!(header(header::CONTENT_TYPE), "application/json");
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, "/key/generate")], body).into_response()
}

async fn generated(admin: &LiteLlmAdmin) -> Result<String, LiteLlmError> {
    let key = LiteLlm::default().generate_key(admin, "alias-1", "pool 1").await?;
    Ok(key.expose_secret().to_owned())
}

async fn deleted(admin: &LiteLlmAdmin) -> Result<(), LiteLlmError> {
    LiteLlm::default().delete_keys(admin, &["alias-1".to_owned(), "alias-2".to_owned()]).await
}

const NOT_UNDERSTOOD: LiteLlmError = LiteLlmError::Unanswered("answer_not_understood");
const NO_KEYS: &str = r#"{"error":{"message":"{'error': 'No keys found'}","type":"x","param":"None","code":"404"}}"#;

#[tokio::test]
async fn a_key_is_made_and_ended_beside_the_models_whatever_their_url_ends_with() {
    for (root, end) in [("", ""), ("", "/"), ("", "/v1"), ("", "/v1/"), ("/models", "/v1"), ("/models/v1", "/v1")] {
        let admin = lite_llm_at(root, end, 200, r#"{"key":"sk-1","key_name":"sk-...1","expires":null}"#).await;
        assert_eq!(generated(&admin).await.as_deref(), Ok("sk-1"), "{root}{end}");
        let admin = lite_llm_at(root, end, 200, r#"{"deleted_keys":["alias-1","alias-2"]}"#).await;
        assert_eq!(deleted(&admin).await, Ok(()), "{root}{end}");
    }
    // Without aliases no request is made.
    let away = LiteLlmAdmin::new("http://127.0.0.1:9", MASTER_KEY.into()).unwrap();
    assert_eq!(LiteLlm::default().delete_keys(&away, &[]).await, Ok(()));
}

#[tokio::test]
async fn an_answer_that_holds_no_key_is_no_key() {
    let long: &'static str = Box::leak(format!(r#"{{"key":"{}"}}"#, "k".repeat(513)).into_boxed_str());
    let huge: &'static str = Box::leak(format!(r#"{{"key":"k","x":"{}"}}"#, "x".repeat(256 * 1024)).into_boxed_str());
    for body in
        ["", "<html>", "{}", r#"{"key":null}"#, r#"{"key":""}"#, r#"{"key":"a b"}"#, r#"{"key":"k\n"}"#, long, huge]
    {
        assert_eq!(generated(&lite_llm(200, body).await).await, Err(NOT_UNDERSTOOD), "{body:.40}");
    }
    let key = r#"{"key":"sk-1"}"#;
    for (status, error) in [
        (400, LiteLlmError::Refused(400)),
        (401, LiteLlmError::Unauthorized(401)),
        (403, LiteLlmError::Unauthorized(403)),
        (404, LiteLlmError::Refused(404)),
        (429, LiteLlmError::Refused(429)),
        (302, LiteLlmError::Unanswered("service_unavailable")),
        (307, LiteLlmError::Unanswered("service_unavailable")),
        (500, LiteLlmError::Unanswered("service_unavailable")),
    ] {
        assert_eq!(generated(&lite_llm(status, key).await).await, Err(error), "{status}");
    }
}

#[tokio::test]
async fn a_key_counts_as_ended_only_where_lite_llm_itself_says_that_it_is_gone() {
    assert_eq!(deleted(&lite_llm(404, NO_KEYS).await).await, Ok(()));
    for (status, body, error) in [
        (404, r#"{"detail":"Not Found"}"#, LiteLlmError::Refused(404)),
        (404, "<html>", LiteLlmError::Refused(404)),
        (404, "", LiteLlmError::Refused(404)),
        (200, "<html>", NOT_UNDERSTOOD),
        (200, "{}", NOT_UNDERSTOOD),
        (200, r#"{"deleted_keys":null}"#, NOT_UNDERSTOOD),
        (400, NO_KEYS, LiteLlmError::Refused(400)),
        (401, NO_KEYS, LiteLlmError::Unauthorized(401)),
        (500, NO_KEYS, LiteLlmError::Unanswered("service_unavailable")),
        (302, "", LiteLlmError::Unanswered("service_unavailable")),
    ] {
        assert_eq!(deleted(&lite_llm(status, body).await).await, Err(error), "{status} {body}");
    }
}

#[tokio::test]
async fn a_lite_llm_that_is_away_or_hangs_is_told_from_one_that_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = LiteLlmAdmin::new(&format!("http://{}", free.local_addr().unwrap()), MASTER_KEY.into()).unwrap();
    // A listener that never answers.
    assert_eq!(generated(&admin).await, Err(LiteLlmError::Unanswered("request_timeout")));
    drop(free);
    assert_eq!(generated(&admin).await, Err(LiteLlmError::Unanswered("unreachable")));
    assert_eq!(deleted(&admin).await, Err(LiteLlmError::Unanswered("unreachable")));
}

#[test]
fn a_master_key_is_sent_in_the_clear_to_this_machine_alone_and_shown_nowhere() {
    let admin = |models: &str| LiteLlmAdmin::new(models, SecretString::from(MASTER_KEY));
    for good in
        ["https://models.example.com", "https://models.example.com/v1/", "http://127.0.0.1:4000", "http://[::1]/v1"]
    {
        let admin = admin(good).unwrap();
        assert!(!format!("{admin:?}").contains(MASTER_KEY));
    }
    for bad in
        ["http://models.example.com", "https://u:p@models.example.com", "https://models.example.com/?a=b", "x", ""]
    {
        assert!(admin(bad).is_err(), "{bad}");
    }
}
