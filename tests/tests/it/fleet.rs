//! Operation without people: an operator creates, changes, reads and deletes pools, bots and channels with only the
//! internal token.

mod hostile;
mod lists;

use portcullis_auth::Clock;
use portcullis_store::{CredentialId, CredentialKind};
use portcullis_tests::{
    Answer, StandInPool, System, seed, slack,
    system::{random_hex, send},
};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const BOT: &str = "/api/internal/bots/bot-1";
const CHANNEL: &str = "/api/internal/channels/channel-1";

async fn call(system: &System, method: Method, path: &str, body: Value) -> Answer {
    send(system.internal(method, path).json(&body)).await
}

async fn put(system: &System, path: &str, body: Value) -> Answer {
    call(system, Method::PUT, path, body).await
}

async fn get(system: &System, path: &str) -> Answer {
    send(system.internal(Method::GET, path)).await
}

async fn delete(system: &System, path: &str) -> Answer {
    send(system.internal(Method::DELETE, path)).await
}

fn bot(pool: &str) -> Value {
    json!({ "name": "Support Bot", "poolId": pool, "modelId": "a-model" })
}

fn channel(secret: &str, token: &str) -> Value {
    json!({
        "botId": "bot-1", "channelType": "slack", "teamId": "T0ONE", "appId": "A0ONE",
        "signingSecret": secret, "botToken": token,
    })
}

fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{answer:?}");
}

fn assert_field(answer: &Answer, field: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.json()["fields"][field].is_string(), "{field}: {answer:?}");
}

/// A system with two pools; the first has a bot with a connected channel.
async fn fleet() -> (System, String, String) {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    seed::pool(&system, "pool-2", None).await;
    let (secret, token) = (random_hex(16), format!("not-a-real-token-{}", random_hex(8)));
    assert_eq!(put(&system, BOT, bot("pool-1")).await.status, 200);
    assert_eq!(put(&system, CHANNEL, channel(&secret, &token)).await.status, 200);
    (system, secret, token)
}

async fn delivery_secret(system: &System) -> Option<(u64, String)> {
    let id = CredentialId { channel: "channel-1".parse().unwrap(), kind: CredentialKind::DeliverySecret };
    let credential = system.store().credentials(&[id]).await.unwrap().remove(0)?;
    Some((credential.revision, credential.value.expose_secret().to_owned()))
}

#[tokio::test]
async fn a_fleet_is_set_up_from_nothing_and_takes_an_event() {
    let system = System::start().await;
    let stand_in = StandInPool::start().await;
    seed::pool(&system, "pool-1", Some(&stand_in.address().to_string())).await;
    let made = put(&system, BOT, bot("pool-1")).await;
    assert_eq!(made.status, 200, "{made:?}");
    let value = made.json();
    for (field, expected) in [
        ("id", json!("bot-1")),
        ("ownerId", Value::Null),
        ("name", json!("Support Bot")),
        ("slug", json!("support-bot")),
        ("poolId", json!("pool-1")),
        ("status", json!("active")),
        ("modelId", json!("a-model")),
        ("systemPrompt", Value::Null),
    ] {
        assert_eq!(value[field], expected, "{field}");
    }
    assert_eq!(get(&system, BOT).await.json(), value);
    let secret = random_hex(16);
    let connected = put(&system, CHANNEL, channel(&secret, "not-a-real-token")).await.json();
    assert_eq!((&connected["status"], &connected["accountId"]), (&json!("connected"), &json!("slack-A0ONE-T0ONE")));
    assert_eq!(get(&system, CHANNEL).await.json(), connected);

    let body = slack::message("T0ONE", "A0ONE", "C0GENERAL", 1).to_string();
    let event = slack::signed(&system, "/api/slack/events", &secret, body.clone(), system.clock.now());
    assert_eq!(send(event).await.status, 200);
    stand_in.wait_for(1).await;
    let config = get(&system, "/api/internal/pools/pool-1/config").await.json();
    let account = &config["channels"]["slack"]["accounts"]["slack-A0ONE-T0ONE"];
    let (_, delivery) = delivery_secret(&system).await.unwrap();
    assert_eq!((&account["botToken"], &account["signingSecret"]), (&json!("not-a-real-token"), &json!(delivery)));
    assert_eq!(delivery.len(), 64);
    system.shutdown().await;
}

#[tokio::test]
async fn a_bot_that_is_put_again_keeps_what_is_left_out() {
    let (system, ..) = fleet().await;
    let all = json!({
        "name": "A", "poolId": "pool-1", "modelId": "m", "systemPrompt": "Be brief.", "status": "paused",
        "slug": "own", "ownerId": "user-1",
    });
    let first = put(&system, BOT, all).await.json();
    assert_eq!(
        (&first["status"], &first["ownerId"], &first["slug"]),
        (&json!("paused"), &json!("user-1"), &json!("own"))
    );
    let mut again = put(&system, BOT, json!({ "name": "B", "poolId": "pool-1", "systemPrompt": "" })).await.json();
    assert_eq!(again["name"], "B");
    for same in ["name", "updatedAt"] {
        again[same] = first[same].clone();
    }
    assert_eq!(again, first);
    let freed = json!({ "name": "B", "poolId": "pool-1", "systemPrompt": null, "ownerId": null, "status": "active" });
    let freed = put(&system, BOT, freed).await.json();
    assert_eq!(
        (&freed["systemPrompt"], &freed["ownerId"], &freed["status"]),
        (&Value::Null, &Value::Null, &json!("active"))
    );
}

#[tokio::test]
async fn an_old_pool_gets_nothing_of_a_bot_that_moved() {
    let (system, _, token) = fleet().await;
    let old = "/api/internal/pools/pool-1/config";
    let before = get(&system, &format!("{old}/latest")).await.json();
    assert!(before.to_string().contains(&token));
    let moved = put(&system, BOT, json!({ "name": "Support Bot", "poolId": "pool-2" })).await.json();
    assert_eq!(moved["poolId"], "pool-2");
    let version = get(&system, &format!("{old}/versions/1")).await;
    assert_refused(&version, 404, "Pool pool-1 config version 1 not found");
    let delivery = delivery_secret(&system).await.unwrap().1;
    for path in [format!("{old}/latest"), old.to_owned()] {
        let text = get(&system, &path).await.json().to_string();
        assert!(!text.contains(&token) && !text.contains(&delivery) && !text.contains("bot-1"), "{path}: {text}");
    }
    let new = get(&system, "/api/internal/pools/pool-2/config/latest").await.json().to_string();
    assert!(new.contains(&token) && new.contains(&delivery));
    let pools = [get(&system, "/api/internal/pools/pool-1").await, get(&system, "/api/internal/pools/pool-2").await];
    assert_eq!(pools.map(|pool| pool.json()["botIds"].clone()), [json!([]), json!(["bot-1"])]);
}

#[tokio::test]
async fn a_deleted_bot_takes_its_channels_with_it_and_its_id_stays_taken() {
    let (system, secret, token) = fleet().await;
    assert!(get(&system, "/api/internal/pools/pool-1/config/latest").await.json().to_string().contains(&token));
    assert_eq!(delete(&system, BOT).await.json(), json!({ "ok": true }));
    assert_refused(&delete(&system, BOT).await, 404, "Bot not found");
    assert_refused(&get(&system, BOT).await, 404, "Bot not found");
    assert_refused(&get(&system, CHANNEL).await, 404, "Channel not found");
    assert_refused(&delete(&system, CHANNEL).await, 404, "Channel not found");
    let again = put(&system, BOT, bot("pool-1")).await;
    assert_refused(&again, 409, "The bot is deleted, which is for good; its id is not free");
    assert_refused(&put(&system, CHANNEL, channel(&secret, &token)).await, 400, "Bot not found");
    assert_eq!(delivery_secret(&system).await, None);
    let version = get(&system, "/api/internal/pools/pool-1/config/versions/1").await;
    assert_refused(&version, 404, "Pool pool-1 config version 1 not found");
    let body = slack::message("T0ONE", "A0ONE", "C0GENERAL", 1).to_string();
    let event = slack::signed(&system, "/api/slack/events", &secret, body, system.clock.now());
    assert_eq!(send(event).await.status, 401);
}

#[tokio::test]
async fn a_channels_credentials_are_kept_where_they_are_left_out_and_never_told() {
    let (system, secret, token) = fleet().await;
    let first = delivery_secret(&system).await.unwrap();
    let bare = json!({ "botId": "bot-1", "channelType": "slack", "teamId": "T0ONE", "appId": "A0ONE" });
    let again = put(&system, CHANNEL, bare).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(delivery_secret(&system).await.unwrap(), first);
    let body = slack::message("T0ONE", "A0ONE", "C0GENERAL", 1).to_string();
    let event = slack::signed(&system, "/api/slack/events", &secret, body, system.clock.now());
    assert_eq!(send(event).await.status, 200, "the signing secret is kept");
    assert!(get(&system, "/api/internal/pools/pool-1/config").await.json().to_string().contains(&token));
    let told = [
        String::from_utf8(again.body).unwrap(),
        get(&system, CHANNEL).await.json().to_string(),
        get(&system, "/api/internal/channels").await.json().to_string(),
        system.logs.all().join("\n"),
    ];
    for text in told {
        assert!(![&secret, &token, &first.1].iter().any(|secret| text.contains(secret.as_str())), "{text}");
    }
    assert_eq!(delete(&system, CHANNEL).await.status, 200);
    assert_refused(&delete(&system, CHANNEL).await, 404, "Channel not found");
    assert_eq!(delivery_secret(&system).await, None);
}

#[tokio::test]
async fn a_deleted_skill_or_template_is_gone_from_all_pools() {
    let system = System::start().await;
    for (folder, name, body) in [
        ("skills", "maps", json!({ "content": "# Maps" })),
        ("workspace-templates", "AGENTS.md", json!({ "content": "# Agents" })),
    ] {
        let path = format!("/api/internal/{folder}/{name}");
        assert_eq!(put(&system, &path, body).await.json()["version"], 1);
        let deleted = delete(&system, &path).await;
        assert_eq!((deleted.status.as_u16(), &deleted.json()["version"]), (200, &json!(2)));
        assert_eq!(delete(&system, &path).await.status, 404);
        let latest = get(&system, &format!("/api/internal/{folder}/latest")).await.json();
        assert!(!latest.to_string().contains(name), "{latest}");
    }
}
