//! The operator's policy: toolkits switched off, added, or restricted per pool.

use std::time::Duration;

use portcullis_tests::{Person, seed, send, system::INDEX_LAG};
use reqwest::Method;
use serde_json::{Value, json};

use super::{bot, connect, execute, integration, person, started};

#[tokio::test]
async fn a_pool_is_restricted_before_composio_is_called() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    connect(&ada, "gmail").await;
    let path = "/api/internal/pools/pool-1/tool-policy";
    let put = async |body: Value| send(system.internal(Method::PUT, path).json(&body)).await;
    let get = async || send(system.internal(Method::GET, path)).await.json();
    assert_eq!(get().await, json!({ "deny": [] }));
    let policy = json!({ "allow": ["gmail", "GITHUB_CREATE_ISSUE", "slack"], "deny": ["GMAIL_DELETE_MESSAGE"] });
    let written = json!({ "allow": ["gmail", "GITHUB_CREATE_ISSUE", "slack:*"], "deny": ["GMAIL_DELETE_MESSAGE"] });
    assert_eq!(put(written).await.json(), policy);
    assert_eq!(get().await, policy);
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
    let calls = composio.calls(&Method::GET, "tools/") + composio.calls(&Method::POST, "tools/");
    for action in ["GMAIL_DELETE_MESSAGE", "NOTION_SEARCH", "GITHUB_DELETE_REPOSITORY"] {
        let refused = execute(&system, &id, action).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "tool_not_allowed".to_owned()), "{action}");
        assert_eq!(refused.message(), format!("Your operator does not allow {action} here"));
    }
    assert_eq!(composio.calls(&Method::GET, "tools/") + composio.calls(&Method::POST, "tools/"), calls);

    for bad in [json!({ "allow": ["Gmail!"] }), json!({ "alow": [] }), json!({ "allow": "gmail" })] {
        assert_eq!(put(bad.clone()).await.status, 400, "{bad}");
    }
    let many: Vec<_> = (0..201).map(|index| format!("toolkit-{index}")).collect();
    assert_eq!(put(json!({ "deny": many })).await.status, 400);
    assert_eq!(get().await, policy, "a refused policy changes nothing");
    let unknown = system.internal(Method::PUT, "/api/internal/pools/no-pool/tool-policy").json(&json!({ "deny": [] }));
    assert_eq!(send(unknown).await.status, 404);
    assert_eq!(send(system.internal(Method::GET, "/api/internal/pools/no-pool/tool-policy")).await.status, 404);
}

#[tokio::test]
async fn a_person_sees_what_the_operator_allows() {
    let (system, _composio) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    bot(&ada).await;
    let policy = json!({ "allow": ["gmail", "GITHUB_CREATE_ISSUE", "slack"], "deny": ["GMAIL_DELETE_MESSAGE"] });
    let path = "/api/internal/pools/pool-1/tool-policy";
    assert_eq!(send(system.internal(Method::PUT, path).json(&policy)).await.status, 200);
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let allowed = async |person: &Person<'_>, slug: &str| integration(person, slug).await["operatorAllows"].clone();
    let some = json!("some");
    let expected = [("gmail", &some), ("github", &some), ("slack", &Value::Null), ("notion", &json!("nothing"))];
    for (slug, expected) in expected {
        assert_eq!(allowed(&ada, slug).await, *expected, "{slug}");
        assert_eq!(allowed(&eve, slug).await, Value::Null, "without a bot nothing is restricted");
    }
    // A bot in another pool may use every toolkit.
    seed::pool(&system, "pool-2", None).await;
    let other = json!({ "name": "Two", "slug": "two", "modelId": "a-model", "poolId": "pool-2" });
    assert_eq!(ada.v1(Method::POST, "/bots", other).await.status, 200);
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(allowed(&ada, "notion").await, some);
    // The policy is cached for a minute.
    assert_eq!(send(system.internal(Method::PUT, path).json(&json!({ "deny": [] }))).await.status, 200);
    system.clock.advance(Duration::from_mins(1));
    assert_eq!(allowed(&ada, "notion").await, Value::Null);
}

#[tokio::test]
async fn a_toolkit_is_switched_off_while_it_is_connected_and_another_is_added() {
    let (system, _composio) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let id = bot(&ada).await;
    let connected = connect(&ada, "gmail").await;
    let put = async |slug: &str, body: Value| {
        send(system.internal(Method::PUT, &format!("/api/internal/toolkits/{slug}")).json(&body)).await
    };
    assert_eq!(put("gmail", json!({ "enabled": false })).await.json()["enabled"], false);
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.code(), "tool_not_allowed");
    let refused = eve.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": "gmail" })).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "tool_not_allowed".to_owned()));
    assert_eq!(integration(&eve, "gmail").await, Value::Null, "it is not offered any more");
    assert_eq!(integration(&ada, "gmail").await["status"], "active", "and can be disconnected where it is");
    assert_eq!(ada.v1(Method::DELETE, &format!("/integrations/{connected}"), Value::Null).await.status, 200);
    let reset = send(system.internal(Method::DELETE, "/api/internal/toolkits/gmail")).await;
    assert_eq!(reset.json(), json!({ "ok": true }));
    assert_eq!(integration(&eve, "gmail").await["status"], "pending");

    let acme = json!({ "displayName": "Acme", "domain": "acme.example", "category": "Other", "authScheme": "oauth2" });
    assert_eq!(put("acme", json!({ "displayName": "Acme" })).await.status, 400);
    assert_eq!(put("acme", acme).await.status, 200);
    assert_eq!(integration(&eve, "acme").await["toolkit"]["displayName"], "Acme");
    // A toolkit that is removed while connected can still be disconnected. (The fake Composio knows only the standard
    // toolkits.)
    let keys = json!({
        "displayName": "Keys", "domain": "keys.example", "category": "Other", "authScheme": "api_key_user",
        "authFields": [{ "key": "token", "label": "Token", "type": "secret" }],
    });
    assert_eq!(put("keys", keys).await.status, 200);
    let body = json!({ "toolkitSlug": "keys", "credentials": { "token": "not-a-real-token" } });
    let kept = eve.v1(Method::POST, "/integrations/connect", body).await.json()["integration"]["id"].clone();
    assert_eq!(send(system.internal(Method::DELETE, "/api/internal/toolkits/keys")).await.status, 200);
    let removed = integration(&eve, "keys").await;
    assert_eq!((&removed["status"], &removed["toolkit"]["category"]), (&json!("active"), &json!("Removed")));
    let gone = eve.v1(Method::DELETE, &format!("/integrations/{}", kept.as_str().unwrap()), Value::Null).await;
    assert_eq!(gone.json()["status"], "disconnected", "{gone:?}");
    assert_eq!(integration(&eve, "keys").await, Value::Null);
    let list = send(system.internal(Method::GET, "/api/internal/toolkits")).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 28);
    assert_eq!(put("Acme!", json!({})).await.status, 400);
}
