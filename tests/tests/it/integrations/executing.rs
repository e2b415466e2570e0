//! Execution of actions by skills, with the account of their bot's owner.

use std::time::Duration;

use portcullis_tests::{composio::Says, seed, send};
use reqwest::Method;
use serde_json::{Value, json};

use super::{bot, connect, execute, person, started};

/// Composio's answer if it finds no connected account.
fn not_connected() -> Says {
    Says::Status(400, json!({ "error": { "code": 1810 } }).to_string(), None)
}

#[tokio::test]
async fn an_action_is_executed_with_the_owners_account_until_it_is_disconnected() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    connect(&ada, "gmail").await;
    let done = execute(&system, &id, "GMAIL_SEND_EMAIL").await;
    assert_eq!(done.status, 200, "{done:?}");
    let wanted = json!({ "executed": "GMAIL_SEND_EMAIL", "arguments": { "to": "eve@example.com" } });
    assert_eq!(done.json(), json!({ "data": wanted, "successful": true }));
    let failed = execute(&system, &id, "GMAIL_FAIL").await.json();
    assert_eq!((&failed["successful"], &failed["error"]), (&json!(false), &json!("the toolkit refused")));
    // The action's version is looked up once and cached.
    execute(&system, &id, "GMAIL_SEND_EMAIL").await;
    assert_eq!(composio.calls(&Method::GET, "tools/GMAIL_SEND_EMAIL"), 1);

    let body = json!({ "botId": id, "toolkitSlug": "gmail" });
    let disconnect = async || send(system.skill(Method::POST, "/api/internal/composio/disconnect").json(&body)).await;
    assert_eq!(
        disconnect().await.json(),
        json!({ "successful": true, "data": { "message": "Gmail is disconnected" } })
    );
    let gone = disconnect().await;
    assert_eq!((gone.status.as_u16(), gone.message()), (404, "No integration found for gmail".to_owned()));
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.code(), "not_connected");
}

#[tokio::test]
async fn a_bot_uses_its_own_owners_account_and_no_other() {
    let (system, _composio) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    connect(&ada, "gmail").await;
    let of_eve = bot(&eve).await;
    let refused = execute(&system, &of_eve, "GMAIL_SEND_EMAIL").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "not_connected".to_owned()));
    assert_eq!(execute(&system, "no-bot", "GMAIL_SEND_EMAIL").await.message(), "Bot not found");
    // A token of another pool does not reach the bot.
    seed::pool(&system, "pool-2", None).await;
    let path = "/api/internal/pools/pool-2/skill-tokens";
    let token = send(system.internal(Method::POST, path).json(&json!({ "ttlSeconds": 600 }))).await.json();
    for (path, body) in [
        ("/api/internal/composio/execute", json!({ "botId": of_eve, "action": "GMAIL_SEND_EMAIL" })),
        ("/api/internal/composio/disconnect", json!({ "botId": of_eve, "toolkitSlug": "gmail" })),
    ] {
        let request = system.request(Method::POST, path).header("x-internal-token", token["token"].as_str().unwrap());
        let refused = send(request.json(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.message()), (403, "Token is not valid for this bot".to_owned()));
    }
}

#[tokio::test]
async fn keys_of_ones_own_go_with_the_action_and_to_nobody_else() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    let refused = execute(&system, &id, "SENDGRID_SEND_EMAIL").await;
    assert_eq!(refused.code(), "not_connected");
    assert!(refused.json()["connectUrl"].as_str().unwrap().ends_with("/#/integrations"), "{refused:?}");
    let keys = json!({ "toolkitSlug": "sendgrid", "credentials": { "generic_api_key": "SG.not-a-real-key" } });
    assert_eq!(ada.v1(Method::POST, "/integrations/connect", keys).await.status, 200);
    let done = execute(&system, &id, "SENDGRID_SEND_EMAIL").await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(!String::from_utf8_lossy(&done.body).contains("SG."));
    assert_eq!(composio.calls(&Method::POST, "tools/execute/SENDGRID_SEND_EMAIL"), 1);
    composio.say(Method::POST, "tools/execute/", not_connected());
    let refused = execute(&system, &id, "SENDGRID_SEND_EMAIL").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "not_connected".to_owned()), "{refused:?}");
    assert!(refused.json()["connectUrl"].as_str().unwrap().ends_with("/#/integrations"), "{refused:?}");
    assert_eq!(super::integration(&ada, "sendgrid").await["status"], "active", "the keys are still kept");
}

#[tokio::test]
async fn an_account_that_ended_at_composio_is_noticed_and_gets_a_fresh_link() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    connect(&ada, "gmail").await;
    let accounts = composio.call(Method::GET, "connected_accounts").await;
    let account = accounts["items"][0]["id"].as_str().unwrap().to_owned();
    composio.call(Method::POST, &format!("connected_accounts/{account}/expire")).await;
    let refused = execute(&system, &id, "GMAIL_SEND_EMAIL").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "not_connected".to_owned()), "{refused:?}");
    assert!(refused.json()["connectUrl"].is_string());
    assert_eq!(super::integration(&ada, "gmail").await["status"], "expired");
    connect(&ada, "gmail").await;
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
}

#[tokio::test]
async fn a_malformed_action_is_refused_before_composio_is_called() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    let call = async |body: Value| send(system.skill(Method::POST, "/api/internal/composio/execute").json(&body)).await;
    for action in ["gmail_send_email", "", "G", &"A".repeat(300), "GMAIL SEND", "GMÄIL_SEND"] {
        let refused = call(json!({ "botId": id, "action": action })).await;
        assert_eq!(refused.status, 400, "{action}: {refused:?}");
        assert!(refused.json()["fields"]["action"].is_string(), "{refused:?}");
    }
    let unknown = call(json!({ "botId": id, "action": "TELEX_SEND" })).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.message()),
        (400, "Unknown toolkit for action: TELEX_SEND".to_owned())
    );
    for params in [json!([]), json!("x"), json!(1)] {
        assert_eq!(call(json!({ "botId": id, "action": "GMAIL_SEND_EMAIL", "params": params })).await.status, 400);
    }
    let nested = format!(
        r#"{{"botId":"{id}","action":"GMAIL_SEND_EMAIL","params":{{"a":{}{}}}}}"#,
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    let request =
        system.skill(Method::POST, "/api/internal/composio/execute").header("content-type", "application/json");
    let answer = send(request.body(nested)).await;
    assert!([400, 403].contains(&answer.status.as_u16()), "{answer:?}");
    let huge =
        call(json!({ "botId": id, "action": "GMAIL_SEND_EMAIL", "params": { "a": "x".repeat(1024 * 1024) } })).await;
    assert_eq!(huge.status, 413);
    assert_eq!(composio.calls(&Method::POST, "tools/"), 0);
}

#[tokio::test]
async fn a_pools_own_project_at_composio_wins_for_its_bots() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    connect(&ada, "gmail").await;
    let put = async |key: Value| {
        let body = json!({ "secrets": { "COMPOSIO_API_KEY": key } });
        let put = system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets").json(&body);
        assert_eq!(send(put).await.status, 200);
    };
    put(json!("ak_of-another-project")).await;
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 502, "Composio does not know that key here");
    put(json!(composio.key())).await;
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
    // The operator must connect an account that is missing there: a link would connect it in another project.
    composio.say(Method::POST, "tools/execute/", not_connected());
    let eve = person(&system, "eve@example.com").await;
    for bot in [&id, &bot(&eve).await] {
        let refused = execute(&system, bot, "GMAIL_SEND_EMAIL").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "not_connected".to_owned()), "{refused:?}");
        assert_eq!(refused.json()["connectUrl"], Value::Null);
    }
    assert_eq!(super::integration(&ada, "gmail").await["status"], "active", "the person's own is another");
    composio.be_well();
    put(Value::Null).await;
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
}

#[tokio::test]
async fn an_account_that_is_disconnected_between_the_check_and_the_call_executes_nothing() {
    let (system, composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    let connected = connect(&ada, "gmail").await;
    // The slow version lookup leaves time for the deletion between the check and the execution.
    composio.say(Method::GET, "tools/", Says::Late(Duration::from_secs(1)));
    let path = format!("/integrations/{connected}");
    let both = tokio::join!(execute(&system, &id, "GMAIL_SEND_EMAIL"), async {
        while composio.calls(&Method::GET, "tools/") == 0 {
            tokio::task::yield_now().await;
        }
        ada.v1(Method::DELETE, &path, Value::Null).await
    });
    assert_eq!(both.1.json()["status"], "disconnected", "{both:?}");
    assert_eq!((both.0.status.as_u16(), both.0.code()), (403, "not_connected".to_owned()), "{both:?}");
    assert!(both.0.json()["connectUrl"].is_string(), "{both:?}");
    assert_eq!(composio.executed(), 0);
    assert_eq!(super::integration(&ada, "gmail").await["status"], "disconnected");
}
