//! Rotation of bot tokens: each token is replaced once and before it expires, and no failure on the way ends a channel.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::future::join_all;
use portcullis_store::Table;
use portcullis_tests::{
    Person, StandInSlack, System,
    slack_api::{Exchange, Installed, Refresh, Saying},
    system::send,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    bot, get,
    install::{begin, come_back, outcome, started},
    person,
};

/// Lifetime of Slack's tokens, in seconds.
const LIFE: u32 = 43_200;

const HOUR: Duration = Duration::from_hours(1);

const MINUTE: Duration = Duration::from_mins(1);

/// Installs the app with a token that expires and returns the channel's id.
async fn install(system: &System, stand_in: &StandInSlack, person: &Person<'_>, token: &'static str) -> String {
    let begun = begin(person, "").await;
    let installed = Installed { expires_in: Some(LIFE), ..Installed::new(token, "T0ONE", "A0PLATFORM") };
    stand_in.exchange("code-1", Exchange::Good(installed));
    let state = begun.parameter("state");
    let answer = come_back(system, person, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await;
    let mut outcome = outcome(system, &answer);
    assert_eq!(outcome["success"], "true", "{outcome:?}");
    outcome.remove("channelId").unwrap()
}

/// A person with a bot and an installed app.
async fn installed<'a>(system: &'a System, stand_in: &StandInSlack) -> (Person<'a>, String) {
    let ada = person(system, "ada@example.com").await;
    bot(&ada, "One").await;
    let channel = install(system, stand_in, &ada, "xoxe.xoxb-1").await;
    (ada, channel)
}

/// Bot token in the pool's configuration; `None` if the channel is not in it.
async fn token(system: &System) -> Option<String> {
    let answer = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let accounts = answer.json()["channels"]["slack"]["accounts"].clone();
    accounts["slack-A0PLATFORM-T0ONE"]["botToken"].as_str().map(ToOwned::to_owned)
}

async fn status(person: &Person<'_>, channel: &str) -> Value {
    get(person, &format!("/channels/{channel}/status")).await.json()["status"].clone()
}

/// Number of calls for a token.
fn asked(stand_in: &StandInSlack) -> usize {
    stand_in.calls("oauth.v2.access")
}

#[tokio::test]
async fn one_of_any_number_of_polls_replaces_a_token_two_hours_before_its_end() {
    let (system, stand_in) = started().await;
    let (ada, channel) = installed(&system, &stand_in).await;
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Good("xoxe.xoxb-2", LIFE));
    stand_in.refresh("refresh-xoxe.xoxb-2", Refresh::Good("xoxe.xoxb-3", LIFE));
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    system.clock.advance(9 * HOUR + 59 * MINUTE);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    assert_eq!(asked(&stand_in), 1, "for the code alone");
    system.clock.advance(MINUTE);
    let found = join_all((0..16).map(|_| token(&system))).await;
    assert_eq!(asked(&stand_in), 2, "one asks");
    let is_either = |token: &Option<String>| matches!(token.as_deref(), Some("xoxe.xoxb-1" | "xoxe.xoxb-2"));
    assert!(found.iter().all(is_either), "{found:?}");
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-2"));
    system.clock.advance(10 * HOUR);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-3"), "and so on, without end");
    assert_eq!((asked(&stand_in), status(&ada, &channel).await), (3, json!("connected")));
}

#[tokio::test]
async fn a_heartbeat_tells_a_pool_to_poll_once_a_token_is_due() {
    let (system, stand_in) = started().await;
    installed(&system, &stand_in).await;
    let told = async || {
        let beat = json!({ "poolId": "pool-1", "status": "active" });
        let beat = send(system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&beat)).await;
        beat.json()["configVersion"].as_u64().unwrap()
    };
    let polled = async || {
        let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await;
        latest.json()["version"].as_u64().unwrap()
    };
    let version = polled().await;
    assert_eq!(told().await, version);
    system.clock.advance(10 * HOUR);
    // Slack refuses the refresh, so the heartbeat makes the pool poll once a minute.
    assert_eq!(told().await, version + 1);
    assert_eq!((polled().await, told().await), (version, version));
    system.clock.advance(MINUTE);
    assert_eq!(told().await, version + 1);
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Good("xoxe.xoxb-2", LIFE));
    assert_eq!((polled().await, told().await), (version + 1, version + 1));
}

#[tokio::test]
async fn a_replacement_whose_answer_was_lost_is_asked_for_again() {
    let (system, stand_in) = started().await;
    installed(&system, &stand_in).await;
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Lost);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    system.clock.advance(10 * HOUR);
    for _ in 0..3 {
        assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"), "it is good for two hours");
    }
    assert_eq!(asked(&stand_in), 2, "not at each poll");
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Good("xoxe.xoxb-2b", LIFE));
    system.clock.advance(MINUTE);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-2b"));
}

#[tokio::test]
async fn a_channel_ends_only_where_its_token_has_ended_and_slack_gives_no_other() {
    let (system, stand_in) = started().await;
    let (ada, channel) = installed(&system, &stand_in).await;
    // A wrong client secret is the operator's mistake or a failure at Slack.
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Error("bad_client_secret"));
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    system.clock.advance(13 * HOUR);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    assert_eq!(status(&ada, &channel).await, "connected");
    // Slack reports the token as expired, but the check of tokens does not end a channel whose replacement is late.
    stand_in.say("xoxe.xoxb-1", Saying::Error("token_expired"));
    let path = "/api/internal/pools/pool-1/check-slack-tokens";
    let checked = send(system.internal(Method::POST, path)).await.json();
    assert_eq!((&checked["checked"], &checked["invalidated"]), (&json!(1), &json!(0)), "{checked}");
    assert_eq!(status(&ada, &channel).await, "connected");
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Error("invalid_refresh_token"));
    system.clock.advance(MINUTE);
    assert_eq!(token(&system).await, None);
    assert_eq!(status(&ada, &channel).await, "error");
    // The person connects the channel again.
    assert_eq!(install(&system, &stand_in, &ada, "xoxe.xoxb-9").await, channel);
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-9"));
    assert_eq!(status(&ada, &channel).await, "connected");
}

#[tokio::test]
async fn a_refresh_token_that_does_not_count_leaves_the_token_its_last_hours() {
    let (system, stand_in) = started().await;
    let (ada, channel) = installed(&system, &stand_in).await;
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    for _ in 0..2 {
        // The fake Slack does not know this refresh token.
        system.clock.advance(5 * HOUR + 59 * MINUTE);
        assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
        assert_eq!(status(&ada, &channel).await, "connected");
    }
    system.clock.advance(HOUR);
    assert_eq!(token(&system).await, None);
    assert_eq!(status(&ada, &channel).await, "error");
}

#[tokio::test]
async fn a_bot_that_was_paused_past_its_tokens_end_comes_back_with_a_good_one() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada, "One").await;
    install(&system, &stand_in, &ada, "xoxe.xoxb-1").await;
    stand_in.refresh("refresh-xoxe.xoxb-1", Refresh::Good("xoxe.xoxb-2", LIFE));
    let change = async |what: &str| {
        let answer = ada.v1(Method::POST, &format!("/bots/{id}/{what}"), json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-1"));
    change("pause").await;
    system.clock.advance(100 * HOUR);
    assert_eq!((token(&system).await, asked(&stand_in)), (None, 1));
    change("resume").await;
    assert_eq!(token(&system).await.as_deref(), Some("xoxe.xoxb-2"), "at its first poll");
}

#[tokio::test]
async fn a_refresh_token_is_sealed_and_goes_with_its_token() {
    let (system, stand_in) = started().await;
    let (ada, channel) = installed(&system, &stand_in).await;
    let client = Client::new(&system.stack.environment().aws);
    let row = async || {
        let table = format!("portcullis-local-{}", Table::ChannelCredentials.name());
        let get = client.get_item().table_name(table).consistent_read(true);
        let get = get.key("channel", AttributeValue::S(channel.clone()));
        get.key("kind", AttributeValue::S("bot_token".to_owned())).send().await.unwrap().item.unwrap()
    };
    let sealed = row().await;
    assert!(matches!(sealed["refreshToken"], AttributeValue::B(_)) && sealed.contains_key("endsAt"), "{sealed:?}");
    let bytes = |value: &AttributeValue| value.as_b().map(|bytes| bytes.as_ref().to_vec()).unwrap_or_default();
    let is_clear =
        |value| String::from_utf8_lossy(&bytes(value)).contains("xoxe") || format!("{value:?}").contains("xoxe");
    assert!(!sealed.values().any(is_clear), "{sealed:?}");
    // A token without expiry replaces it, and no data of the old one remain.
    let begun = begin(&ada, "").await;
    let installed = Installed::new("xoxb-plain", "T0ONE", "A0PLATFORM");
    stand_in.exchange("code-2", Exchange::Good(installed));
    let state = begun.parameter("state");
    come_back(&system, &ada, &begun.cookie, &[("code", "code-2"), ("state", &state)]).await;
    let plain = row().await;
    assert!(["refreshToken", "endsAt", "refreshAt"].iter().all(|name| !plain.contains_key(*name)), "{plain:?}");
    system.clock.advance(100 * HOUR);
    assert_eq!((token(&system).await.as_deref(), asked(&stand_in)), (Some("xoxb-plain"), 2));
    assert_eq!(status(&ada, &channel).await, "connected");
}
