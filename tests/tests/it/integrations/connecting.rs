//! Connecting an account at its toolkit's page or with the person's own keys, and disconnecting it.

use futures_util::future::join_all;
use portcullis_tests::{composio::Says, send, system::eventually};
use reqwest::Method;
use serde_json::{Value, json};

use super::{begin, connect, decide, integration, person, refresh, started};

#[tokio::test]
async fn an_account_is_connected_by_the_browser_that_began_it_and_disconnected() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    assert_eq!(integration(&ada, "gmail").await["status"], "pending");
    let begun = begin(&ada, "gmail").await;
    assert!(begun.cookie.starts_with("portcullis-connect="), "{}", begun.cookie);
    assert_eq!(refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json()["status"], "initiated");
    let back = decide(&begun.url, "allow").await;
    assert_eq!(back.path(), "/workspace/integrations/callback");
    let pairs: Vec<_> = back.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(
        pairs,
        ["toolkit", "status", "connected_account_id"],
        "no state and nothing else of ours is in the address"
    );

    let connected = refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json();
    assert_eq!((&connected["status"], &connected["toolkit"]["slug"]), (&json!("active"), &json!("gmail")));
    assert_eq!(integration(&ada, "gmail").await, connected);
    let again = ada.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "gmail" })).await;
    assert_eq!(again.status, 409, "{again:?}");

    let gone = ada.v1(Method::DELETE, &format!("/integrations/{}", begun.id), Value::Null).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["status"]), (200, &json!("disconnected")), "{gone:?}");
    assert_eq!(composio.calls(&Method::POST, "connected_accounts/"), 1, "it was revoked at its toolkit");
    assert_eq!(composio.call(Method::GET, "connected_accounts").await["total_items"], 0);
    let twice = ada.v1(Method::DELETE, &format!("/integrations/{}", begun.id), Value::Null).await;
    assert_eq!(twice.status, 200);
    // Connecting again works.
    connect(&ada, "gmail").await;
}

#[tokio::test]
async fn an_account_becomes_active_for_whoever_began_the_connection_alone() {
    let (system, _composio) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let begun = begin(&ada, "gmail").await;
    let of_eve = begin(&eve, "gmail").await;
    decide(&begun.url, "allow").await;
    // Neither proof is valid: the status is returned and nothing changes.
    for cookie in ["x=1", of_eve.cookie.as_str(), "portcullis-connect="] {
        let told = refresh(&ada, &begun.id, cookie, json!({})).await;
        assert_eq!((told.status.as_u16(), &told.json()["status"]), (200, &json!("initiated")), "{cookie}");
    }
    for state in [of_eve.state.as_str(), "0", &"0".repeat(64)] {
        let refused = refresh(&ada, &begun.id, "x=1", json!({ "state": state })).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "invalid_state".to_owned()), "{state}");
    }
    // Another person cannot reach the integration, with either proof.
    for (cookie, body) in [(begun.cookie.as_str(), json!({})), ("x=1", json!({ "state": begun.state }))] {
        assert_eq!(refresh(&eve, &begun.id, cookie, body).await.status, 404);
    }
    assert_eq!(eve.v1(Method::DELETE, &format!("/integrations/{}", begun.id), Value::Null).await.status, 404);
    assert_eq!(integration(&ada, "gmail").await["status"], "initiated");

    // The state can be used once.
    let shown = json!({ "state": begun.state });
    assert_eq!(refresh(&ada, &begun.id, "x=1", shown.clone()).await.json()["status"], "active");
    assert_eq!(refresh(&ada, &begun.id, "x=1", shown).await.status, 403);
    assert_eq!(integration(&ada, "gmail").await["status"], "active");
}

#[tokio::test]
async fn a_connection_that_takes_longer_than_ten_minutes_does_not_become_active() {
    let (system, _composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let begun = begin(&ada, "gmail").await;
    decide(&begun.url, "allow").await;
    system.clock.advance(std::time::Duration::from_mins(10));
    assert_eq!(refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json()["status"], "initiated");
    assert_eq!(refresh(&ada, &begun.id, "x=1", json!({ "state": begun.state })).await.status, 403);
}

#[tokio::test]
async fn the_last_of_concurrent_connections_and_one_refresh_win() {
    let (system, _composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let both = join_all([begin(&ada, "gmail"), begin(&ada, "gmail")]).await;
    assert_eq!(both[0].id, both[1].id);
    for begun in &both {
        decide(&begun.url, "allow").await;
    }
    let refreshed =
        join_all(both.iter().map(|begun| refresh(&ada, &begun.id, "x=1", json!({ "state": begun.state })))).await;
    let mut statuses: Vec<_> = refreshed.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "the later connection took the earlier one's place");
    let begun = begin(&ada, "notion").await;
    decide(&begun.url, "allow").await;
    let eight = join_all((0..8).map(|_| refresh(&ada, &begun.id, &begun.cookie, json!({})))).await;
    assert!(eight.iter().all(|answer| answer.status == 200 && answer.json()["status"] == "active"), "{eight:?}");
}

#[tokio::test]
async fn an_account_that_another_takes_the_place_of_is_ended_at_composio() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let accounts = async || composio.call(Method::GET, "connected_accounts").await["total_items"].clone();
    // Never consented to, then refused, then expired.
    begin(&ada, "gmail").await;
    let begun = begin(&ada, "gmail").await;
    assert_eq!(accounts().await, 1);
    decide(&begun.url, "refuse").await;
    assert_eq!(refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json()["status"], "failed");
    let id = connect(&ada, "gmail").await;
    assert_eq!(accounts().await, 1);
    let listed = composio.call(Method::GET, "connected_accounts?statuses=ACTIVE").await;
    composio
        .call(Method::POST, &format!("connected_accounts/{}/expire", listed["items"][0]["id"].as_str().unwrap()))
        .await;
    assert_eq!(refresh(&ada, &id, "x=1", json!({})).await.json()["status"], "expired");
    connect(&ada, "gmail").await;
    assert_eq!(accounts().await, 1);
    // The new connection is valid even if Composio fails to end the old one.
    composio.say(Method::DELETE, "connected_accounts/", Says::Status(500, "{}".to_owned(), None));
    begin(&ada, "notion").await;
    let begun = begin(&ada, "notion").await;
    composio.be_well();
    decide(&begun.url, "allow").await;
    assert_eq!(refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json()["status"], "active");
    assert!(system.logs.all().iter().any(|line| line.contains("a replaced account is still there at Composio")));
}

#[tokio::test]
async fn a_change_while_an_account_is_disconnected_does_not_leave_it_connected() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = connect(&ada, "gmail").await;
    // Composio is slow, and the account is found to have ended meanwhile.
    composio.say(Method::DELETE, "connected_accounts/", Says::Late(std::time::Duration::from_millis(300)));
    let path = format!("/integrations/{id}");
    let delete = ada.v1(Method::DELETE, &path, Value::Null);
    let refreshed = async {
        eventually("the revocation", async || composio.calls(&Method::DELETE, "connected_accounts/") == 1).await;
        refresh(&ada, &id, "x=1", json!({})).await
    };
    let (gone, _) = futures_util::future::join(delete, refreshed).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["status"]), (200, &json!("disconnected")), "{gone:?}");
    assert_eq!(integration(&ada, "gmail").await["status"], "disconnected");
}

#[tokio::test]
async fn a_refused_consent_is_told_and_an_account_that_ended_is_noticed() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let begun = begin(&ada, "gmail").await;
    decide(&begun.url, "refuse").await;
    assert_eq!(refresh(&ada, &begun.id, &begun.cookie, json!({})).await.json()["status"], "failed");
    let id = connect(&ada, "notion").await;
    let accounts = composio.call(Method::GET, "connected_accounts?statuses=ACTIVE").await;
    let account = accounts["items"][0]["id"].as_str().unwrap();
    composio.call(Method::POST, &format!("connected_accounts/{account}/expire")).await;
    assert_eq!(refresh(&ada, &id, "x=1", json!({})).await.json()["status"], "expired");
}

#[tokio::test]
async fn keys_of_ones_own_are_checked_sealed_and_shown_as_hints_alone() {
    let (system, _composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let connect = async |credentials: Value| {
        ada.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "sendgrid", "credentials": credentials }))
            .await
    };
    for (credentials, field) in [
        (json!({}), "credentials.generic_api_key"),
        (json!({ "generic_api_key": " " }), "credentials.generic_api_key"),
        (json!({ "generic_api_key": "k".repeat(9_000) }), "credentials.generic_api_key"),
        (json!({ "generic_api_key": "a-key-of-a-person", "other": "x" }), "credentials.other"),
    ] {
        let refused = connect(credentials).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.json()["fields"][field].is_string(), "{refused:?}");
    }
    let connected = connect(json!({ "generic_api_key": " SG.not-a-real-key-9876\n" })).await;
    assert_eq!(connected.status, 200, "{connected:?}");
    let connected = connected.json();
    assert!(connected["connectUrl"].is_null() && connected["state"].is_null());
    let integration = &connected["integration"];
    assert_eq!(integration["status"], "active");
    assert_eq!(integration["credentialHints"], json!({ "generic_api_key": "****9876" }));
    assert_eq!(super::integration(&ada, "sendgrid").await, *integration);
    assert_eq!(connect(json!({ "generic_api_key": "SG.another-one-1234" })).await.status, 409);

    let id = integration["id"].as_str().unwrap();
    let gone = ada.v1(Method::DELETE, &format!("/integrations/{id}"), Value::Null).await;
    assert_eq!((&gone.json()["status"], gone.json().get("credentialHints")), (&json!("disconnected"), None));
    assert_eq!(system.store().integration_credentials(id).await.unwrap().len(), 0);
    assert_eq!(
        connect(json!({ "generic_api_key": "short" })).await.json()["integration"]["credentialHints"]["generic_api_key"],
        "****"
    );
}

#[tokio::test]
async fn a_malformed_connection_is_refused_and_nothing_is_begun() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    for (body, field) in [
        (json!({ "toolkitSlug": "nope" }), "toolkitSlug"),
        (json!({ "toolkitSlug": "GMAIL" }), "toolkitSlug"),
        (json!({}), "toolkitSlug"),
        (json!({ "toolkitSlug": "gmail", "credentials": { "a": "b" } }), "credentials"),
        (json!({ "toolkitSlug": "gmail", "returnTo": "//evil.test" }), "returnTo"),
        (json!({ "toolkitSlug": "gmail", "returnTo": "https://evil.test/" }), "returnTo"),
        (json!({ "toolkitSlug": "gmail", "source": "mail" }), "source"),
    ] {
        let refused = ada.v1(Method::POST, "/integrations/connect", body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
        assert!(refused.json()["fields"][field].is_string(), "{body}: {refused:?}");
    }
    assert_eq!(composio.calls(&Method::POST, "tool_router"), 0);
    let forged = send(
        ada.request(Method::POST, "/v1/integrations/connect")
            .header("origin", "https://evil.test")
            .json(&json!({ "toolkitSlug": "gmail" })),
    )
    .await;
    assert_eq!(forged.status, 403);
}

#[tokio::test]
async fn a_deleted_account_leaves_no_integration_and_no_key() {
    let (system, _composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let user = ada.id().await.parse().unwrap();
    connect(&ada, "gmail").await;
    let keys = json!({ "toolkitSlug": "sendgrid", "credentials": { "generic_api_key": "SG.not-a-real-key" } });
    let keys = ada.v1(Method::POST, "/integrations/connect", keys).await.json();
    assert_eq!(ada.post("delete-user", &json!({})).await.status, 200);
    assert_eq!(system.store().integrations_of(&user).await.unwrap(), []);
    let id = keys["integration"]["id"].as_str().unwrap();
    assert_eq!(system.store().integration_credentials(id).await.unwrap().len(), 0);
}
