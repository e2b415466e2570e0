//! Discord and Feishu channels: connecting, reconnecting and disconnecting.

use portcullis_tests::{
    Answer,
    system::{INDEX_LAG, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{DISCORD_TOKEN, FEISHU_SECRET, assert_refused, connect_discord, connect_feishu, scripted};

fn discord(app: &str) -> Value {
    json!({ "botToken": DISCORD_TOKEN, "appId": app, "guildId": "", "guildName": null })
}

fn feishu(app: &str) -> Value {
    json!({ "appId": app, "appSecret": FEISHU_SECRET })
}

fn shows(answer: &Answer, secret: &str) -> bool {
    String::from_utf8_lossy(&answer.body).contains(secret)
}

#[tokio::test]
async fn a_discord_application_is_connected_by_its_bot_token() {
    let scripted = scripted().await;
    let (ada, bot) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    let connected = connect_discord(&ada, discord("1234567890")).await;
    assert_eq!(connected.status, 200, "{connected:?}");
    let channel = connected.json();
    assert_eq!((&channel["botId"], &channel["channelType"]), (&json!(bot), &json!("discord")));
    assert_eq!((&channel["accountId"], &channel["status"]), (&json!("discord-1234567890"), &json!("connected")));
    assert_eq!((&channel["appId"], &channel["botUserId"]), (&json!("1234567890"), &json!("900")));
    assert_eq!(channel["connectionMode"], "websocket");
    assert!(!shows(&connected, DISCORD_TOKEN), "{connected:?}");
    for call in scripted.discord.calls("") {
        assert_eq!(call.headers["authorization"], format!("Bot {DISCORD_TOKEN}"), "{call:?}");
    }
    // Connecting again, now with a guild, updates the same channel.
    let mut named = discord("1234567890");
    (named["guildId"], named["guildName"]) = (json!("555"), json!("A guild"));
    let again = connect_discord(&ada, named).await.json();
    assert_eq!((&again["id"], &again["teamName"]), (&channel["id"], &json!("A guild")));
    scripted.system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(ada.v1(Method::GET, "/channels", Value::Null).await.json(), json!({ "channels": [again] }));
    let path = format!("/channels/{}", channel["id"].as_str().unwrap());
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.status, 200);
    assert_ne!(connect_discord(&ada, discord("1234567890")).await.json()["id"], channel["id"]);
}

#[tokio::test]
async fn a_feishu_app_is_connected_by_its_secret() {
    let scripted = scripted().await;
    let (ada, bot) = scripted.person_with_bot("ada@example.com").await;
    scripted.feishu_knows();
    let connected = connect_feishu(&ada, feishu("cli_one")).await;
    assert_eq!(connected.status, 200, "{connected:?}");
    let channel = connected.json();
    assert_eq!((&channel["botId"], &channel["channelType"]), (&json!(bot), &json!("feishu")));
    assert_eq!((&channel["accountId"], &channel["teamName"]), (&json!("feishu-cli_one"), &json!("An app")));
    assert_eq!((&channel["botUserId"], &channel["connectionMode"]), (&json!("ou_bot"), &json!("websocket")));
    assert!(!shows(&connected, FEISHU_SECRET), "{connected:?}");
    let asked = scripted.feishu.calls("auth/");
    assert_eq!(asked[0].json(), json!({ "app_id": "cli_one", "app_secret": FEISHU_SECRET }));
    assert_eq!(scripted.feishu.calls("bot/")[0].headers["authorization"], "Bearer t-1");
    // Connecting by webhook updates the same channel.
    let mut webhook = feishu("cli_one");
    webhook["connectionMode"] = json!("webhook");
    assert_eq!(
        connect_feishu(&ada, webhook.clone()).await.json()["fields"]["verificationToken"],
        "is required for events by webhook"
    );
    webhook["verificationToken"] = json!("not-a-verification-token");
    webhook["encryptKey"] = json!("an encrypt key");
    let again = connect_feishu(&ada, webhook).await;
    assert_eq!(again.json()["id"], channel["id"]);
    assert_eq!(again.json()["connectionMode"], "webhook");
    assert!(!shows(&again, "verification-token") && !shows(&again, "encrypt key"), "{again:?}");
}

#[tokio::test]
async fn credentials_that_a_platform_does_not_accept_connect_nothing() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    for status in [401, 403] {
        scripted.discord.say("users/@me", status, json!({ "message": "401: Unauthorized", "code": 0 }));
        let refused = connect_discord(&ada, discord("1234567890")).await;
        assert_refused(&refused, 409, "Discord does not accept this bot token");
    }
    for (status, body) in [(500, "<html>"), (429, "{}"), (200, "<html>"), (200, "{}"), (302, "{}")] {
        scripted.discord.say_with("users/@me", status, &[("retry-after", "1"), ("location", "/x")], body);
        let refused = connect_discord(&ada, discord("1234567890")).await;
        assert_refused(&refused, 502, "Discord did not answer; try again");
    }
    scripted.discord_knows("9876543210");
    let other = connect_discord(&ada, discord("1234567890")).await;
    assert_eq!(other.json()["fields"]["appId"], "is not the bot token's", "{other:?}");

    for code in [10003, 10014, 10015] {
        let body = json!({ "code": code, "msg": format!("wrong {FEISHU_SECRET}") });
        scripted.feishu.say("auth/v3/tenant_access_token/internal", 200, body);
        let refused = connect_feishu(&ada, feishu("cli_one")).await;
        assert_refused(&refused, 409, "Feishu does not accept this app id and secret");
    }
    for (status, body) in [(500, "{}"), (200, "<html>"), (200, "{}"), (429, "{}"), (400, r#"{"code":99991400}"#)] {
        scripted.feishu.say("auth/v3/tenant_access_token/internal", status, body);
        let refused = connect_feishu(&ada, feishu("cli_one")).await;
        assert_refused(&refused, 502, "Feishu did not answer; try again");
    }
    scripted.feishu_knows();
    scripted.feishu.say("bot/v3/info", 400, json!({ "code": 11205, "msg": "app do not have bot" }));
    let refused = connect_feishu(&ada, feishu("cli_one")).await;
    assert!(refused.status == 409 && refused.message().starts_with("The app has no bot"), "{refused:?}");
    scripted.system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(ada.v1(Method::GET, "/channels", Value::Null).await.json(), json!({ "channels": [] }));
}

#[tokio::test]
async fn bad_fields_are_refused_before_a_platform_is_asked() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    for (field, value) in [
        ("botToken", json!("short")),
        ("botToken", json!("with a blank in it")),
        ("botToken", json!(7)),
        ("appId", json!("1234:5678")),
        ("appId", json!("x".repeat(65))),
        ("guildId", json!("a b")),
        ("guildName", json!("a\nb")),
    ] {
        let mut body = discord("1234567890");
        body[field] = value;
        let refused = connect_discord(&ada, body).await;
        assert!(refused.status == 400 && refused.json()["fields"][field].is_string(), "{field}: {refused:?}");
    }
    for (field, value) in [
        ("appSecret", json!("")),
        ("appSecret", json!("x".repeat(257))),
        ("appId", json!("cli one")),
        ("connectionMode", json!("carrier-pigeon")),
        ("verificationToken", json!("a b c d e f g")),
        ("encryptKey", json!("a\u{0}b")),
    ] {
        let mut body = feishu("cli_one");
        body[field] = value;
        let refused = connect_feishu(&ada, body).await;
        assert!(refused.status == 400 && refused.json()["fields"][field].is_string(), "{field}: {refused:?}");
    }
    assert!(scripted.discord.calls("").is_empty() && scripted.feishu.calls("").is_empty());
}

#[tokio::test]
async fn an_app_has_one_channel_and_nobody_takes_anothers() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    let (bob, _) = scripted.person_with_bot("bob@example.com").await;
    scripted.discord_knows("1234567890");
    scripted.feishu_knows();
    assert_eq!(connect_discord(&ada, discord("1234567890")).await.status, 200);
    assert_eq!(
        connect_feishu(&ada, feishu("1234567890")).await.status,
        200,
        "an id of another platform is another app"
    );
    let refused = connect_discord(&bob, discord("1234567890")).await;
    assert_refused(&refused, 409, "This application is connected to another bot");
    assert_refused(&connect_feishu(&bob, feishu("1234567890")).await, 409, "This app is connected to another bot");
    // One of several concurrent requests connects the app; the others find its channel.
    let tries: Vec<_> = (0..8).map(|_| connect_feishu(&bob, feishu("cli_two"))).collect();
    let answers = futures_util::future::join_all(tries).await;
    let ids: std::collections::BTreeSet<_> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 409)), "{answers:?}");
}

#[tokio::test]
async fn a_pools_configuration_has_the_channels_and_no_secret_that_verifies_them() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    scripted.feishu_knows();
    assert_eq!(connect_discord(&ada, discord("1234567890")).await.status, 200);
    let mut webhook = feishu("cli_one");
    webhook["connectionMode"] = json!("webhook");
    webhook["verificationToken"] = json!("not-a-verification-token");
    webhook["encryptKey"] = json!("not-a-real-encrypt-key");
    assert_eq!(connect_feishu(&ada, webhook).await.status, 200);
    assert_eq!(connect_feishu(&ada, feishu("cli_two")).await.status, 200);

    let config = send(scripted.system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await;
    let channels = &config.json()["channels"];
    let discord = &channels["discord"]["accounts"]["discord-1234567890"];
    assert_eq!(discord["token"], DISCORD_TOKEN, "{channels}");
    let accounts = &channels["feishu"]["accounts"];
    let (one, two) = (&accounts["feishu-cli_one"], &accounts["feishu-cli_two"]);
    assert_eq!((&one["appSecret"], &two["appSecret"]), (&json!(FEISHU_SECRET), &json!(FEISHU_SECRET)));
    assert_eq!((&one["connectionMode"], &two["connectionMode"]), (&json!("webhook"), &json!("websocket")));
    assert_eq!(one["webhookPath"], "/feishu/events/feishu-cli_one");
    assert_eq!(one["encryptKey"], one["verificationToken"]);
    assert_eq!(one["encryptKey"].as_str().map(str::len), Some(64), "a secret of our own");
    assert!(!shows(&config, "not-a-verification-token") && !shows(&config, "not-a-real-encrypt-key"), "{config:?}");

    // Disconnecting removes the credentials.
    scripted.system.clock.advance(INDEX_LAG.unsigned_abs());
    let listed = ada.v1(Method::GET, "/channels", Value::Null).await.json()["channels"].as_array().unwrap().clone();
    for channel in listed {
        let path = format!("/channels/{}", channel["id"].as_str().unwrap());
        assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.status, 200);
    }
    let config = send(scripted.system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await;
    assert!(!shows(&config, DISCORD_TOKEN) && !shows(&config, FEISHU_SECRET), "{config:?}");
}
