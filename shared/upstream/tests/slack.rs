//! Tests of Slack's client against a stand-in with valid and invalid answers.

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
use http::{HeaderMap, StatusCode, header};
use portcullis_upstream::{Conversation, Slack, SlackError};
use secrecy::SecretString;
use tokio::net::TcpListener;

const TOKEN: &str = "not-a-real-token";

/// Starts a Slack that checks each call's form and answers it with this.
async fn slack(status: u16, body: &'static str) -> Slack {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api/", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().fallback(async move |request: Request| answer(request, status, body).await);
    tokio::spawn(async { axum::serve(listener, router).await });
    Slack::new(base.parse().unwrap())
}

async fn answer(request: Request, status: u16, body: &'static str) -> Response {
    let (parts, sent) = request.into_parts();
    let sent = axum::body::to_bytes(sent, 10_000).await.unwrap();
    let expected: &[u8] = match parts.uri.path() {
        "/api/auth.test" => b"",
        "/api/conversations.info" => b"channel=C1%262",
        "/api/users.info" => b"user=U1",
        path => return (StatusCode::NOT_FOUND, path.to_owned()).into_response(),
    };
    let header = |headers: &HeaderMap, name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(parts.method, "POST");
    assert_eq!(sent, expected);
    assert_eq!(header(&parts.headers, header::AUTHORIZATION), Some(format!("Bearer {TOKEN}")));
    let form = Some("application/x-www-form-urlencoded".to_owned());
    assert_eq!(header(&parts.headers, header::CONTENT_TYPE), form);
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, "/elsewhere")], body).into_response()
}

async fn checked(status: u16, body: &'static str) -> Result<(), SlackError> {
    slack(status, body).await.check_token(&SecretString::from(TOKEN)).await
}

fn transient(code: &'static str) -> SlackError {
    SlackError::Transient(code.into())
}

#[tokio::test]
async fn a_good_token_is_good_whatever_else_slack_says_of_it() {
    assert_eq!(checked(200, r#"{"ok":true,"team_id":"T1","user_id":"U1","new":{"field":[1]}}"#).await, Ok(()));
}

#[tokio::test]
async fn only_what_ends_a_token_for_good_is_taken_for_that() {
    for code in ["invalid_auth", "token_revoked", "account_inactive", "token_expired"] {
        let body: &'static str = Box::leak(format!(r#"{{"ok":false,"error":"{code}"}}"#).into_boxed_str());
        assert_eq!(checked(200, body).await, Err(SlackError::Revoked(code.into())));
        // The same body from a gateway in between.
        assert_eq!(checked(502, body).await, Err(transient("service_unavailable")));
    }
    for code in ["missing_scope", "ekm_access_denied", "a_new_one"] {
        let body: &'static str = Box::leak(format!(r#"{{"ok":false,"error":"{code}"}}"#).into_boxed_str());
        assert_eq!(checked(200, body).await, Err(SlackError::Refused(code.into())));
    }
}

#[tokio::test]
async fn transient_and_malformed_answers_reveal_nothing_of_the_token() {
    for (status, body, code) in [
        (200, r#"{"ok":false,"error":"internal_error"}"#, "internal_error"),
        (200, r#"{"ok":false,"error":"ratelimited"}"#, "ratelimited"),
        (429, "", "ratelimited"),
        (500, "", "service_unavailable"),
        (302, "", "service_unavailable"),
        (401, "", "service_unavailable"),
        (200, "<html>", "answer_not_understood"),
        (200, "", "answer_not_understood"),
        (200, r#"{"ok":false}"#, "answer_not_understood"),
        (200, r#"{"ok":false,"error":"<script>"}"#, "answer_not_understood"),
        (200, r#"{"ok":"true"}"#, "answer_not_understood"),
    ] {
        assert_eq!(checked(status, body).await, Err(transient(code)), "{status} {body}");
    }
    let long: &'static str = Box::leak(format!(r#"{{"ok":true,"x":"{}"}}"#, "x".repeat(256 * 1024)).into_boxed_str());
    assert_eq!(checked(200, long).await, Err(transient("answer_not_understood")));
}

#[tokio::test]
async fn a_slack_that_is_away_or_hangs_tells_nothing_of_the_token() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", free.local_addr().unwrap());
    let slack = Slack::new(base.parse().unwrap());
    let token = SecretString::from(TOKEN);
    // A listener that never answers.
    assert_eq!(slack.check_token(&token).await, Err(transient("request_timeout")));
    drop(free);
    assert_eq!(slack.check_token(&token).await, Err(transient("unreachable")));
}

#[tokio::test]
async fn a_conversation_and_a_user_have_the_names_that_people_see() {
    let token = SecretString::from(TOKEN);
    for (body, expected) in [
        (r#"{"ok":true,"channel":{"id":"C1","name":"general"}}"#, Conversation::Channel("general".to_owned())),
        (r#"{"ok":true,"channel":{"is_im":true,"user":"U1"}}"#, Conversation::DirectMessage("U1".to_owned())),
    ] {
        assert_eq!(slack(200, body).await.conversation(&token, "C1&2").await, Ok(expected));
    }
    for (body, expected) in [
        (r#"{"ok":true,"user":{"name":"ada","profile":{"display_name":"Ada","real_name":"Ada L"}}}"#, "Ada"),
        (r#"{"ok":true,"user":{"name":"ada","profile":{"display_name":"","real_name":"Ada L"}}}"#, "Ada L"),
        (r#"{"ok":true,"user":{"name":"ada"}}"#, "ada"),
    ] {
        assert_eq!(slack(200, body).await.user_name(&token, "U1").await, Ok(expected.to_owned()));
    }
    let nameless = slack(200, r#"{"ok":true,"channel":{}}"#).await.conversation(&token, "C1&2").await;
    assert_eq!(nameless, Err(transient("answer_not_understood")));
}
