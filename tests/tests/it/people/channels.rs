//! The channels of a person's own bots.

use portcullis_store::Table;
use portcullis_tests::{
    Answer, Person, StandInSlack, System, seed,
    slack_api::Saying,
    system::{INDEX_LAG, Settings, random_hex, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{active_pool, assert_refused, bot, get, person};

async fn started() -> (System, StandInSlack) {
    let slack = StandInSlack::start().await;
    let system = System::start_with(Settings::random().with("SLACK_API_URL", &slack.url())).await;
    active_pool(&system, "pool-1").await;
    (system, slack)
}

async fn connect(person: &Person<'_>, body: &Value) -> Answer {
    person.v1(Method::POST, "/channels/slack/connect", body.clone()).await
}

fn app(token: &str) -> Value {
    json!({ "botToken": token, "signingSecret": "not-a-real-signing-secret" })
}

#[tokio::test]
async fn a_customers_own_app_is_connected_by_its_bot_token() {
    let (system, slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    slack.install("xoxb-good-token", "T0ONE", "A0ONE");
    assert_refused(&connect(&ada, &app("xoxb-good-token")).await, 409, "Make a bot first; the channel is for it");
    let id = bot(&ada, "One").await;
    let connected = connect(&ada, &app("xoxb-good-token")).await;
    assert_eq!(connected.status, 200, "{connected:?}");
    let channel = connected.json();
    assert_eq!(channel["botId"], id.as_str());
    assert_eq!(channel["accountId"], "slack-A0ONE-T0ONE");
    assert_eq!((&channel["status"], &channel["teamName"]), (&json!("connected"), &json!("A team")));
    assert_eq!((&channel["appId"], &channel["botUserId"]), (&json!("A0ONE"), &json!("U0BOT")));
    assert!(!String::from_utf8_lossy(&connected.body).contains("xoxb"), "{connected:?}");
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/channels").await.json(), json!({ "channels": [channel] }));
    let path = format!("/channels/{}", channel["id"].as_str().unwrap());
    assert_eq!(get(&ada, &format!("{path}/status")).await.json(), channel);
    // Connecting again with another token updates the same channel.
    slack.install("xoxb-newer-token", "T0ONE", "A0ONE");
    assert_eq!(connect(&ada, &app("xoxb-newer-token")).await.json()["id"], channel["id"]);
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.json(), json!({ "success": true }));
    assert_refused(&get(&ada, &format!("{path}/status")).await, 404, "Channel not found");
    assert_refused(&ada.v1(Method::DELETE, &path, Value::Null).await, 404, "Channel not found");
}

#[tokio::test]
async fn a_token_that_slack_does_not_accept_connects_nothing() {
    let (system, slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    for code in ["invalid_auth", "account_inactive", "token_revoked", "not_authed"] {
        slack.say("xoxb-bad-token", Saying::Error(code));
        assert_refused(&connect(&ada, &app("xoxb-bad-token")).await, 409, "Slack does not accept this bot token");
    }
    for saying in [Saying::Status(500), Saying::Status(429), Saying::Error("fatal_error")] {
        slack.say("xoxb-bad-token", saying);
        assert_refused(&connect(&ada, &app("xoxb-bad-token")).await, 502, "Slack did not answer; try again");
    }
    slack.install("xoxe.xoxb-ends", "T0ONE", "A0ONE");
    let answer = connect(&ada, &app("xoxe.xoxb-ends")).await;
    assert!(
        answer.status == 409 && answer.json()["message"].as_str().unwrap().contains("token rotation"),
        "{answer:?}"
    );
    slack.install("xoxb-good-token", "T0ONE", "A0ONE");
    for (field, other) in [("teamId", "T0OTHER"), ("appId", "A0OTHER"), ("teamId", "T:0"), ("signingSecret", "short")] {
        let mut body = app("xoxb-good-token");
        body[field] = json!(other);
        let answer = connect(&ada, &body).await;
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
        assert!(answer.json()["fields"][field].is_string(), "{answer:?}");
    }
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/channels").await.json(), json!({ "channels": [] }));
}

#[tokio::test]
async fn a_workspace_and_app_of_another_bot_are_not_taken_over() {
    let (system, slack) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let first = bot(&ada, "One").await;
    bot(&eve, "One").await;
    slack.install("xoxb-good-token", "T0ONE", "A0ONE");
    let channel = connect(&ada, &app("xoxb-good-token")).await.json();
    let taken = "This workspace and app are connected to another bot";
    assert_refused(&connect(&eve, &app("xoxb-good-token")).await, 409, taken);
    let second = bot(&ada, "Two").await;
    let mut body = app("xoxb-good-token");
    let unnamed = connect(&ada, &body).await;
    assert!(unnamed.json()["fields"]["botId"].is_string(), "{unnamed:?}");
    body["botId"] = json!(second);
    assert_refused(&connect(&ada, &body).await, 409, taken);
    body["botId"] = json!(first);
    assert_eq!(connect(&eve, &body).await.status, 404, "another person's bot is not there");
    let path = format!("/channels/{}", channel["id"].as_str().unwrap());
    for (method, path) in [
        (Method::GET, format!("{path}/status")),
        (Method::GET, format!("{path}/readiness")),
        (Method::DELETE, path.clone()),
    ] {
        assert_refused(&eve.v1(method, &path, Value::Null).await, 404, "Channel not found");
    }
    assert_eq!(get(&ada, &format!("{path}/status")).await.status, 200);
}

#[tokio::test]
async fn readiness_names_what_is_missing_first() {
    let (system, slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada, "One").await;
    slack.install("xoxb-good-token", "T0ONE", "A0ONE");
    let channel = connect(&ada, &app("xoxb-good-token")).await.json()["id"].as_str().unwrap().to_owned();
    let readiness = async || get(&ada, &format!("/channels/{channel}/readiness")).await.json();
    let found = readiness().await;
    assert_eq!((&found["ready"], &found["connected"], &found["running"]), (&json!(false), &json!(true), &json!(true)));
    assert_eq!(found["lastError"], "The bot's pool has not fetched the newest configuration yet");

    let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await.json();
    let beat = json!({ "poolId": "pool-1", "status": "active", "lastSeenVersion": latest["version"] });
    assert_eq!(send(system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&beat)).await.status, 200);
    let ready = json!({
        "ready": true, "connected": true, "running": true, "configured": true, "lastError": null,
        "gatewayConnected": true,
    });
    assert_eq!(readiness().await, ready);

    ada.v1(Method::POST, &format!("/bots/{id}/pause"), Value::Null).await;
    let found = readiness().await;
    assert_eq!((&found["ready"], &found["lastError"]), (&json!(false), &json!("The bot is paused")));
    ada.v1(Method::POST, &format!("/bots/{id}/resume"), Value::Null).await;

    seed::set(&system, Table::Pools, "pool-1", "status", "unhealthy").await;
    assert_eq!(readiness().await["lastError"], "The bot's pool is unhealthy");
    system.clock.advance(std::time::Duration::from_secs(61));
    let found = readiness().await;
    assert_eq!(found["gatewayConnected"], false);
    assert_eq!(found["lastError"], "The bot's pool has not been heard from for more than a minute");
    seed::set(&system, Table::Channels, &channel, "status", "error").await;
    let found = readiness().await;
    assert_eq!(found["connected"], false);
    assert_eq!(found["lastError"], "Slack does not accept the bot token any more; connect the channel again");
}

#[tokio::test]
async fn a_notice_of_a_rate_limit_is_told_for_an_hour() {
    let (system, slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    slack.install("xoxb-good-token", "T0ONE", "A0ONE");
    let channel = connect(&ada, &app("xoxb-good-token")).await.json()["id"].as_str().unwrap().to_owned();
    system.store().record_rate_limit(&channel.parse().unwrap()).await.unwrap();
    let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await.json();
    let told = async || {
        let beat = json!({ "poolId": "pool-1", "status": "active", "lastSeenVersion": latest["version"] });
        assert_eq!(send(system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&beat)).await.status, 200);
        get(&ada, &format!("/channels/{channel}/readiness")).await.json()["lastError"].clone()
    };
    assert_eq!(told().await, "Slack holds back events of this app, since there were too many");
    system.clock.advance(std::time::Duration::from_mins(61));
    assert_eq!(told().await, Value::Null);
}

#[tokio::test]
async fn the_redirect_uri_is_the_apis_own() {
    let (system, _slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let expected = format!("{}/api/oauth/slack/callback", system.stack.base_url());
    assert_eq!(get(&ada, "/channels/slack/redirect-uri").await.json(), json!({ "redirectUri": expected }));
}

#[tokio::test]
async fn a_channel_that_is_deleted_while_its_pool_polls_is_in_no_configuration() {
    let (system, slack) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada, "One").await;
    let token = format!("xoxb-{}", random_hex(12));
    slack.install(&token, "T0ONE", "A0ONE");
    assert_eq!(connect(&ada, &app(&token)).await.status, 200);
    let poll = || send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest"));
    let before = poll().await;
    assert!(String::from_utf8_lossy(&before.body).contains(&token), "{before:?}");
    let path = format!("/bots/{id}");
    let (deleted, polled) = tokio::join!(ada.v1(Method::DELETE, &path, Value::Null), poll());
    assert_eq!((deleted.status.as_u16(), polled.status.as_u16()), (200, 200));
    let after = poll().await;
    assert!(!String::from_utf8_lossy(&after.body).contains(&token), "{after:?}");
    let version = before.json()["version"].as_u64().unwrap();
    let old =
        send(system.internal(Method::GET, &format!("/api/internal/pools/pool-1/config/versions/{version}"))).await;
    assert_eq!(old.status, 404, "{old:?}");
}
