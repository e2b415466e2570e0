//! An operator's invalid requests: each is refused with a clear message, which repeats no input, and changes nothing.

use portcullis_tests::{System, seed};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOT, CHANNEL, assert_field, assert_refused, bot, call, channel, delete, fleet, get, put};

#[tokio::test]
async fn a_bot_goes_into_a_pool_that_is_there_lives_and_has_room() {
    let (system, ..) = fleet().await;
    assert_refused(&put(&system, BOT, bot("nowhere")).await, 404, "Pool nowhere not found");
    let new = "/api/internal/bots/bot-new";
    assert_refused(&put(&system, new, bot("nowhere")).await, 404, "Pool nowhere not found");
    let end = json!({ "poolId": "pool-2", "status": "terminated" });
    assert_eq!(call(&system, Method::POST, "/api/internal/pools/register", end).await.status, 200);
    for path in [BOT, new] {
        assert_refused(&put(&system, path, bot("pool-2")).await, 404, "Pool pool-2 not found");
    }
    let pool = seed::pool(&system, "pool-3", None).await;
    for number in 0..50 {
        seed::bot(&system, &format!("bot-{number}-of-3"), &pool).await;
    }
    for path in [BOT, new] {
        assert_refused(&put(&system, path, bot("pool-3")).await, 409, "The pool has its limit of 50 bots");
    }
    assert_eq!(get(&system, BOT).await.json()["poolId"], "pool-1");
    assert_eq!(get(&system, new).await.status, 404);
}

#[tokio::test]
async fn a_slug_of_another_bot_of_the_owner_is_refused() {
    let (system, ..) = fleet().await;
    let mut one = bot("pool-1");
    one["ownerId"] = json!("user-1");
    assert_eq!(put(&system, BOT, one.clone()).await.status, 200);
    let taken = put(&system, "/api/internal/bots/bot-2", one.clone()).await;
    assert_refused(&taken, 409, "The slug is another bot's of the same owner");
    one["slug"] = json!("other");
    assert_eq!(put(&system, "/api/internal/bots/bot-2", one).await.status, 200);
}

#[tokio::test]
async fn a_bots_fields_have_bounds() {
    let (system, ..) = fleet().await;
    let with = |field: &str, value: Value| {
        let mut body = bot("pool-1");
        body[field] = value;
        body
    };
    let long = |length: usize| json!("x".repeat(length));
    for (field, wrong) in [
        ("name", json!("")),
        ("name", long(256)),
        ("name", json!("a\u{0}b")),
        ("name", json!(7)),
        ("name", Value::Null),
        ("poolId", json!("")),
        ("poolId", json!("a\u{1}b")),
        ("poolId", json!(["pool-1"])),
        ("modelId", json!(" ")),
        ("modelId", json!("a model")),
        ("modelId", json!({ "c4n4ry": 1 })),
        ("modelId", long(257)),
        ("slug", json!("Support")),
        ("slug", json!("a/b")),
        ("slug", long(101)),
        ("systemPrompt", long(32 * 1024 + 1)),
        ("systemPrompt", json!(7)),
        ("status", json!("deleted")),
        ("status", json!("c4n4ry")),
        ("ownerId", json!("a\u{1}b")),
        ("ownerId", long(129)),
    ] {
        let answer = put(&system, BOT, with(field, wrong)).await;
        assert_field(&answer, field);
        assert!(!String::from_utf8_lossy(&answer.body).contains("c4n4ry"), "{answer:?}");
    }
    for (field, good) in [("name", long(255)), ("slug", long(100)), ("systemPrompt", long(32 * 1024))] {
        assert_eq!(put(&system, BOT, with(field, good)).await.status, 200, "{field}");
    }
    // An empty model would make the pool's whole configuration invalid.
    let new = "/api/internal/bots/bot-new";
    for missing in [json!(""), Value::Null] {
        assert_field(&put(&system, new, with("modelId", missing)).await, "modelId");
    }
    assert_field(&put(&system, new, json!({ "name": "A", "poolId": "pool-1" })).await, "modelId");
    assert_eq!(put(&system, BOT, with("modelId", json!(""))).await.json()["modelId"], "a-model");
}

#[tokio::test]
async fn a_channels_fields_have_bounds() {
    let (system, secret, token) = fleet().await;
    let with = |field: &str, value: Value| {
        let mut body = channel(&secret, &token);
        body[field] = value;
        body
    };
    for (field, wrong) in [
        ("botId", json!("")),
        ("botId", json!(7)),
        ("channelType", json!("c4n4ry")),
        ("channelType", Value::Null),
        ("teamId", json!("T:1")),
        ("teamId", json!("")),
        ("appId", json!("A".repeat(65))),
        ("appId", json!("A\u{0}")),
        ("signingSecret", json!("c4n4ry c4n4ry c4n4ry")),
        ("signingSecret", json!("c4n4ry")),
        ("signingSecret", json!("c4n4ry".repeat(50))),
        ("botToken", json!("c4n4ry-c4n4ry\n")),
        ("botToken", json!(["c4n4ry"])),
        ("botToken", json!("c4n4ry".repeat(200))),
        ("teamName", json!("x".repeat(256))),
    ] {
        let answer = put(&system, CHANNEL, with(field, wrong)).await;
        assert_field(&answer, field);
        assert!(!String::from_utf8_lossy(&answer.body).contains("c4n4ry"), "{answer:?}");
    }
    let new = json!({ "botId": "bot-1", "channelType": "slack", "teamId": "T0NEW", "appId": "A0NEW" });
    assert_field(&put(&system, "/api/internal/channels/channel-new", new).await, "signingSecret");
}

#[tokio::test]
async fn a_channel_is_of_one_bot_team_and_app_and_a_bot_has_twenty() {
    let (system, secret, token) = fleet().await;
    let second = put(&system, "/api/internal/channels/channel-2", channel(&secret, &token)).await;
    assert_refused(&second, 409, "This team and app are connected to another channel");
    assert_eq!(put(&system, "/api/internal/bots/bot-2", bot("pool-1")).await.status, 200);
    for (field, other) in [("botId", "bot-2"), ("teamId", "T0OTHER"), ("appId", "A0OTHER")] {
        let mut body = channel(&secret, &token);
        body[field] = json!(other);
        let answer = put(&system, CHANNEL, body).await;
        assert_refused(&answer, 409, "The channel is of another bot, team or app; delete it first");
    }
    let mut unknown = channel(&secret, &token);
    unknown["botId"] = json!("nobody");
    assert_refused(&put(&system, CHANNEL, unknown).await, 400, "Bot not found");
    let numbered = |number: usize| {
        let mut body = channel(&secret, &token);
        body["teamId"] = json!(format!("T{number}"));
        (format!("/api/internal/channels/channel-{number}"), body)
    };
    for number in 2..=20 {
        let (path, body) = numbered(number);
        assert_eq!(put(&system, &path, body).await.status, 200, "{number}");
    }
    let (path, body) = numbered(21);
    assert_refused(&put(&system, &path, body).await, 409, "The bot has its limit of 20 channels");
    assert_eq!(delete(&system, CHANNEL).await.status, 200);
    let (path, body) = numbered(21);
    assert_eq!(put(&system, &path, body).await.status, 200);
}

#[tokio::test]
async fn an_id_in_a_path_is_decoded_once_and_checked() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    for (encoded, id) in [("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb"), ("%C3%A9", "é"), ("..%2F..%2Fpools", "../../pools")]
    {
        let path = format!("/api/internal/bots/{encoded}");
        assert_eq!(put(&system, &path, bot("pool-1")).await.json()["id"], id);
        assert_eq!(get(&system, &path).await.json()["id"], id);
    }
    for wrong in ["%00", "%01slug%01user-1%01support-bot", "%FF", "a%0Ab", &"b".repeat(129)] {
        for (folder, field) in [("bots", "botId"), ("channels", "channelId"), ("pools", "poolId")] {
            assert_field(&get(&system, &format!("/api/internal/{folder}/{wrong}")).await, field);
        }
        assert_field(&put(&system, &format!("/api/internal/bots/{wrong}"), bot("pool-1")).await, "botId");
        assert_field(&delete(&system, &format!("/api/internal/channels/{wrong}")).await, "channelId");
    }
}
