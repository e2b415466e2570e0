//! Composio faults: each has an answer of its own, and no answer claims an effect that did not happen.

use std::time::Duration;

use portcullis_tests::{composio::Says, send};
use reqwest::Method;
use serde_json::{Value, json};

use super::{begin, bot, connect, execute, integration, person, started};

fn failure(status: u16, code: u32) -> Says {
    let body = json!({ "error": { "message": "secret of Composio's", "code": code, "slug": "X", "status": status } });
    Says::Status(status, body.to_string(), None)
}

#[tokio::test]
async fn each_failure_of_composio_has_an_answer_that_holds_nothing_of_it() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    connect(&ada, "gmail").await;
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
    let html = || Says::Status(200, "<html>secret of Composio's</html>".to_owned(), None);
    for (says, status, code) in [
        (failure(401, 801), 502, "upstream_failed"),
        (failure(403, 812), 502, "upstream_failed"),
        (failure(422, 10422), 400, "validation_failed"),
        (failure(400, 10400), 400, "validation_failed"),
        (failure(404, 2401), 400, "validation_failed"),
        (failure(500, 10500), 502, "upstream_failed"),
        (html(), 502, "upstream_failed"),
        (Says::Status(404, "<html>".to_owned(), None), 502, "upstream_failed"),
        (Says::Status(200, r#"{"data":1}"#.to_owned(), None), 502, "upstream_failed"),
        (Says::Endless, 502, "upstream_failed"),
    ] {
        let said = format!("{says:?}");
        composio.say(Method::POST, "tools/execute/", says);
        let calls = composio.calls(&Method::POST, "tools/execute/");
        let answer = execute(&system, &id, "GMAIL_SEND_EMAIL").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code.to_owned()), "{said}: {answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{answer:?}");
        assert_eq!(composio.calls(&Method::POST, "tools/execute/"), calls + 1, "{said}: an action is tried once");
    }
    composio.say(Method::POST, "tools/execute/", Says::Status(429, "{}".to_owned(), Some(7)));
    let limited = execute(&system, &id, "GMAIL_SEND_EMAIL").await;
    assert_eq!((limited.status.as_u16(), limited.header("retry-after")), (429, "7"));
    // An expired account is not connected any more.
    composio.say(Method::POST, "tools/execute/", failure(410, 1820));
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.code(), "not_connected");
}

#[tokio::test]
async fn a_composio_that_is_down_connects_and_disconnects_nothing() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    for (method, path) in [(Method::POST, "tool_router/session"), (Method::POST, "tool_router/session/")] {
        composio.say(method, path, failure(500, 10500));
        let refused = ada.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "gmail" })).await;
        assert_eq!(refused.status, 502, "{path}: {refused:?}");
        assert_eq!(integration(&ada, "gmail").await["status"], "pending");
        composio.be_well();
    }
    let id = connect(&ada, "gmail").await;
    let path = format!("/integrations/{id}");
    for (method, at) in [(Method::POST, "connected_accounts/"), (Method::DELETE, "connected_accounts/")] {
        composio.say(method, at, failure(500, 10500));
        assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.status, 502);
        assert_eq!(integration(&ada, "gmail").await["status"], "active", "it is not claimed to be disconnected");
        let user = ada.id().await.parse().unwrap();
        let known = system.store().integration(&user, &"gmail".parse().unwrap()).await.unwrap().unwrap();
        assert!(known.revoke_failed_at.is_some(), "the row says so");
        composio.be_well();
    }
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.json()["status"], "disconnected", "it is tried again");

    // Reads are tried twice, and a short rate limit is waited for.
    let begun = begin(&ada, "gmail").await;
    composio.say(Method::GET, "connected_accounts/", Says::Status(429, "{}".to_owned(), Some(1)));
    let calls = composio.calls(&Method::GET, "connected_accounts/");
    let limited = ada.v1(Method::POST, &format!("/integrations/{}/refresh", begun.id), json!({})).await;
    assert_eq!((limited.status.as_u16(), limited.header("retry-after")), (429, "1"));
    assert_eq!(composio.calls(&Method::GET, "connected_accounts/"), calls + 2);
}

#[tokio::test]
async fn a_composio_that_says_nothing_is_waited_for_no_longer_than_its_limit() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    composio.say(Method::POST, "tool_router/session", Says::Nothing(Duration::from_mins(1)));
    let refused = ada.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "gmail" })).await;
    assert_eq!(refused.status, 502, "{refused:?}");
}

#[tokio::test]
async fn an_account_of_another_user_or_toolkit_is_not_taken_for_ones_own() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let begun = begin(&ada, "gmail").await;
    let account = |user: &str, toolkit: &str| {
        json!({ "id": "ca_1", "status": "ACTIVE", "user_id": user, "toolkit": { "slug": toolkit } }).to_string()
    };
    let own = format!("nexu_{}", ada.id().await);
    for (user, toolkit) in [("nexu_somebody-else", "gmail"), (own.as_str(), "notion")] {
        composio.say(Method::GET, "connected_accounts/", Says::Status(200, account(user, toolkit), None));
        let answer = super::refresh(&ada, &begun.id, &begun.cookie, json!({})).await;
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    assert_eq!(integration(&ada, "gmail").await["status"], "initiated");
}

#[tokio::test]
async fn without_a_project_at_composio_the_answers_say_so() {
    let system = portcullis_tests::System::start().await;
    portcullis_tests::seed::pool(&system, "pool-1", None).await;
    let ada = person(&system, "ada@example.com").await;
    assert_eq!(integration(&ada, "gmail").await["status"], "pending");
    let refused = ada.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "gmail" })).await;
    assert_eq!((refused.status.as_u16(), refused.message()), (503, "This server cannot connect accounts".to_owned()));
    let bot = portcullis_tests::seed::bot(&system, "bot-1", &"pool-1".parse().unwrap()).await;
    let body = json!({ "botId": bot, "action": "GMAIL_SEND_EMAIL" });
    let refused = send(system.skill(Method::POST, "/api/internal/composio/execute").json(&body)).await;
    assert_eq!(refused.status, 503);
}
