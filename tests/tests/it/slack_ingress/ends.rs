//! Uninstalled apps and revoked bot tokens: the notice ends the channel once, and only the installation that it is
//! about.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::{
    BotReach, ChannelStatus, CredentialId, CredentialKind, ENDED_SECRET_RETENTION, NewSlackChannel, PlatformId,
    SigningSource, Table,
};
use portcullis_tests::{
    Fault, Faulty, System,
    seed::{self, Connected},
    slack,
    system::{eventually, random_hex, send},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{accepted, event, message, refused, rows_of};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// A notice about the installation, which happened at `at`.
fn notice(of: &Connected, inner: &Value, at: Timestamp) -> Value {
    json!({
        "token": "deprecated", "team_id": of.team, "api_app_id": of.app, "type": "event_callback",
        "event_id": format!("Ev{}", random_hex(4)), "event_time": at.as_second(), "event": inner,
    })
}

fn uninstalled() -> Value {
    json!({ "type": "app_uninstalled" })
}

fn revoked() -> Value {
    json!({ "type": "tokens_revoked", "tokens": { "oauth": ["U0PERSON"], "bot": ["U0BOT"] } })
}

async fn status(system: &System, of: &Connected) -> ChannelStatus {
    system.store().get_channel(&of.channel).await.expect("it is read").expect("it is there").status
}

async fn has_bot_token(system: &System, of: &Connected) -> bool {
    let id = CredentialId { channel: of.channel.clone(), kind: CredentialKind::BotToken };
    system.store().credentials(&[id]).await.expect("they are read").remove(0).is_some()
}

async fn tell(system: &System, of: &Connected, inner: &Value) {
    accepted(
        &send(event(system, &of.signing_secret, &notice(of, inner, system.clock.now()))).await,
        &inner.to_string(),
    );
}

async fn connect_again(system: &System, of: &Connected) {
    let secret = |text: &str| SecretString::from(text);
    let channel = NewSlackChannel {
        id: of.channel.clone(),
        bot: of.bot.clone(),
        team_id: of.team.parse::<PlatformId>().expect("an id"),
        app_id: of.app.parse::<PlatformId>().expect("an id"),
        team_name: None,
        bot_user_id: None,
        bot_token: Some(secret("another-token").into()),
        signing: SigningSource::Own(secret(&of.signing_secret)),
        delivery_secret: Some(secret(&of.delivery_secret)),
    };
    system.store().connect_channel(BotReach::Any, channel).await.expect("it is connected");
}

#[tokio::test]
async fn an_uninstalled_app_outweighs_a_revoked_token_in_either_order() {
    use ChannelStatus::{Disconnected, Error};
    for (first, second, between) in [(revoked(), uninstalled(), Error), (uninstalled(), revoked(), Disconnected)] {
        let system = System::start().await;
        let (connected, pool) = seed::connected(&system).await;
        assert!(has_bot_token(&system, &connected).await);
        tell(&system, &connected, &first).await;
        assert_eq!((status(&system, &connected).await, has_bot_token(&system, &connected).await), (between, false));
        tell(&system, &connected, &second).await;
        assert_eq!(status(&system, &connected).await, Disconnected, "{first} and then {second}");
        tell(&system, &connected, &first).await;
        assert_eq!(status(&system, &connected).await, Disconnected, "{first} once more");
        assert_eq!(system.counted(Metric::EventAccepted), 0, "they are for us and not for the pool");
        system.shutdown().await;
        assert!(pool.seen().is_empty());
    }
}

#[tokio::test]
async fn a_channel_that_has_ended_leaves_its_pools_configuration_and_its_token_every_row() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let other = seed::channel(&system, "channel-2", &connected.bot, &connected.pool, "T0TWO", "A0TWO").await;
    let config = async || {
        let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await;
        assert_eq!(latest.status, 200, "{latest:?}");
        let text = String::from_utf8_lossy(&latest.body).into_owned();
        (latest.json()["version"].clone(), [&connected, &other].map(|of| text.contains(&of.bot_token)))
    };
    assert_eq!(config().await, (json!(1), [true, true]));
    tell(&system, &connected, &revoked()).await;
    assert_eq!(config().await, (json!(2), [false, true]), "the other channel's stays");
    connect_again(&system, &connected).await;
    let first = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/versions/1")).await;
    let first = String::from_utf8_lossy(&first.body).into_owned();
    assert!(!first.contains("another-token"), "no old version is filled with a token that it did not name");
    tell(&system, &connected, &revoked()).await;
    let rows = super::items_of(&system, Table::ChannelCredentials).await;
    let sealed: Vec<_> =
        rows.iter().filter(|row| row.contains_key("value")).map(|row| row["kind"].as_s().expect("a text")).collect();
    assert!(sealed.iter().filter(|kind| **kind == "bot_token").count() == 1 && sealed.len() == 2 + 3, "{sealed:?}");
}

#[tokio::test]
async fn tokens_of_users_change_nothing() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    for tokens in
        [json!({ "oauth": ["U0PERSON"] }), json!({ "oauth": ["U0PERSON"], "bot": [] }), json!({ "bot": {} }), json!([])]
    {
        tell(&system, &connected, &json!({ "type": "tokens_revoked", "tokens": tokens })).await;
        assert_eq!(status(&system, &connected).await, ChannelStatus::Connected, "{tokens}");
        assert!(has_bot_token(&system, &connected).await, "{tokens}");
    }
    system.shutdown().await;
    assert!(pool.seen().is_empty(), "a pool has no use for them");
}

#[tokio::test]
async fn a_channel_that_was_connected_anew_since_is_not_ended_by_an_old_event() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let before = system.clock.now();
    system.clock.advance(Duration::from_mins(5));
    connect_again(&system, &connected).await;
    for inner in [uninstalled(), revoked()] {
        let old = notice(&connected, &inner, before);
        accepted(&send(event(&system, &connected.signing_secret, &old)).await, "an old one");
        assert_eq!(status(&system, &connected).await, ChannelStatus::Connected, "{inner}");
        assert!(has_bot_token(&system, &connected).await, "{inner}");
    }
    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 1))).await, "it works on");
    pool.wait_for(1).await;
    // A notice of the same second may be later than the connection, so it ends the channel.
    let now = notice(&connected, &uninstalled(), system.clock.now());
    accepted(&send(event(&system, &connected.signing_secret, &now)).await, "a new one");
    assert_eq!(status(&system, &connected).await, ChannelStatus::Disconnected);
    let mut timeless = notice(&connected, &uninstalled(), before);
    timeless["event_time"] = Value::Null;
    let answer = send(event(&system, &connected.signing_secret, &timeless)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!("malformed_json")));
    system.shutdown().await;
}

#[tokio::test]
async fn a_channel_that_the_operator_gives_a_new_token_keeps_its_secret_and_one_that_gets_none_loses_it() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let secret = &connected.signing_secret;
    let put = async |fields: Value| {
        let mut body =
            json!({ "botId": connected.bot, "channelType": "slack", "teamId": connected.team, "appId": connected.app });
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let request = system.internal(Method::PUT, &format!("/api/internal/channels/{}", connected.channel));
        send(request.json(&body)).await
    };
    tell(&system, &connected, &uninstalled()).await;
    // Renaming does not reconnect the channel.
    let renamed = put(json!({ "teamName": "Another name" })).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["status"]), (200, &json!("disconnected")));
    system.clock.advance(WEEK.saturating_sub(Duration::from_mins(2)));
    let again = put(json!({ "botToken": "another-token" })).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (200, &json!("connected")), "{again:?}");
    system.clock.advance(2 * WEEK);
    accepted(&send(event(&system, secret, &message(&connected, 1))).await, "the secret has no end any more");

    tell(&system, &connected, &uninstalled()).await;
    assert_eq!(put(json!({ "teamName": "A third name" })).await.status, 200);
    system.clock.advance(WEEK + Duration::from_mins(2));
    refused(&send(event(&system, secret, &message(&connected, 2))).await, "its secret has ended");
    let without = put(json!({ "botToken": "a-third-token" })).await;
    assert_eq!(without.status, 400, "{without:?}");
    assert_eq!(put(json!({ "botToken": "a-third-token", "signingSecret": secret })).await.status, 200);
    system.clock.advance(Duration::from_mins(2));
    accepted(&send(event(&system, secret, &message(&connected, 3))).await, "connected anew");
}

#[tokio::test]
async fn a_secret_verifies_for_a_week_after_its_channels_end_and_then_no_more() {
    assert_eq!(ENDED_SECRET_RETENTION.unsigned_abs(), WEEK);
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    tell(&system, &connected, &uninstalled()).await;
    let secret = &connected.signing_secret;
    refused(&send(event(&system, &random_hex(16), &message(&connected, 1))).await, "a forgery");
    system.clock.advance(WEEK.saturating_sub(Duration::from_secs(1)));
    accepted(&send(event(&system, secret, &message(&connected, 2))).await, "Slack's own");
    eventually("what is queued for it is dropped", async || system.counted(Metric::EventsDropped) == 1).await;
    // A channel's cached data expire after a minute.
    system.clock.advance(Duration::from_mins(1));
    refused(&send(event(&system, secret, &message(&connected, 3))).await, "a week after its end");
    let rows = super::items_of(&system, Table::ChannelCredentials).await;
    let row = rows.iter().find(|row| row["kind"].as_s().is_ok_and(|kind| kind == "signing_secret"));
    assert!(row.is_none_or(|row| row.contains_key("expiresAt")), "it goes by its TTL");

    connect_again(&system, &connected).await;
    system.clock.advance(Duration::from_secs(10));
    accepted(&send(event(&system, secret, &message(&connected, 4))).await, "connected anew");
    system.clock.advance(2 * WEEK);
    accepted(&send(event(&system, secret, &message(&connected, 5))).await, "and it has no end any more");
    system.shutdown().await;
    assert!(pool.seen().len() <= 2);
}

#[tokio::test]
async fn an_end_that_the_store_did_not_take_is_a_503_and_takes_place_when_slack_repeats_it() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let body = notice(&connected, &uninstalled(), system.clock.now());
    for code in ["InternalServerError", "ThrottlingException"] {
        proxy.rule(move |call| if call.action == "TransactWriteItems" { Fault::Code(code) } else { Fault::None });
        let answer = send(event(&system, &connected.signing_secret, &body)).await;
        assert_eq!(answer.status, 503, "{code}: {answer:?}");
        proxy.heal();
        assert_eq!(status(&system, &connected).await, ChannelStatus::Connected);
    }
    accepted(&send(event(&system, &connected.signing_secret, &body)).await, "again");
    assert_eq!(status(&system, &connected).await, ChannelStatus::Disconnected);
    system.shutdown().await;
}

#[tokio::test]
async fn an_end_costs_two_rounds_and_its_transaction_and_a_repeated_one_a_single_round() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    accepted(
        &send(event(&system, &connected.signing_secret, &message(&connected, 1))).await,
        "to remember the channel",
    );
    let rounds = async || {
        let id = format!("end-{}", random_hex(4));
        let body = notice(&connected, &uninstalled(), system.clock.now());
        let request = event(&system, &connected.signing_secret, &body).header("x-request-id", &id);
        accepted(&send(request).await, "an end");
        let lines = system.logs.of_request(&id);
        let line = lines.iter().find(|line| line["message"] == "request").expect("a request is logged");
        line["storeRounds"].as_u64().expect("rounds are counted")
    };
    assert_eq!((rounds().await, rounds().await), (3, 1));
    assert_eq!(rows_of(&system, Table::Channels).await, 1);
    system.shutdown().await;
}

#[tokio::test]
async fn the_platforms_app_ends_in_one_workspace_alone() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let one = seed::platform_channel(&system, "channel-2", &connected.bot, &connected.pool, "T0OURS").await;
    let other = seed::platform_channel(&system, "channel-3", &connected.bot, &connected.pool, "T0THEIRS").await;
    tell(&system, &one, &uninstalled()).await;
    assert_eq!(status(&system, &one).await, ChannelStatus::Disconnected);
    for still in [&connected, &other] {
        assert_eq!(status(&system, still).await, ChannelStatus::Connected);
        assert!(has_bot_token(&system, still).await);
    }
    // A notice signed with another customer's secret ends no channel.
    let body = notice(&other, &uninstalled(), system.clock.now()).to_string();
    let forged = slack::signed(&system, super::EVENTS, &connected.signing_secret, body, system.clock.now());
    refused(&send(forged).await, "a forgery");
    assert_eq!(status(&system, &other).await, ChannelStatus::Connected);
    system.shutdown().await;
}
