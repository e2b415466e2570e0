//! `check-slack-tokens`: finds channels whose bot token is invalid, and looks up the titles of conversations.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_store::{ChannelStatus, PoolReach, Store};
use portcullis_tests::{
    Answer, StandInSlack, System,
    seed::{self, Connected},
    slack,
    slack_api::Saying,
    system::{Settings, eventually, send},
};
use reqwest::Method;
use serde_json::json;

const CHECK: &str = "/api/internal/pools/pool-1/check-slack-tokens";

async fn started() -> (System, StandInSlack) {
    let slack = StandInSlack::start().await;
    let system = System::start_with(Settings::random().with("SLACK_API_URL", &slack.url())).await;
    (system, slack)
}

async fn check(system: &System) -> Answer {
    send(system.internal(Method::POST, CHECK)).await
}

async fn status(store: &Store, connected: &Connected) -> ChannelStatus {
    store.get_channel(&connected.channel).await.unwrap().unwrap().status
}

/// Creates `count` channels of one bot in `pool-1`, each with a valid token.
async fn channels(system: &System, slack: &StandInSlack, count: usize) -> Vec<Connected> {
    let pool = seed::pool(system, "pool-1", None).await;
    let mut all = Vec::new();
    for number in 0..count {
        let bot = if number % 20 == 0 {
            seed::bot(system, &format!("bot-{}", number / 20), &pool).await
        } else {
            format!("bot-{}", number / 20).parse().unwrap()
        };
        let team = format!("T{number:08}");
        let connected = seed::channel(system, &format!("channel-{number}"), &bot, &pool, &team, "A0APP").await;
        slack.say(&connected.bot_token, Saying::Good);
        all.push(connected);
    }
    all
}

#[tokio::test]
async fn a_revoked_token_disables_its_own_channel_and_nothing_else() {
    let (system, slack) = started().await;
    let all = channels(&system, &slack, 3).await;
    let version = async || {
        let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await.json();
        (latest["version"].clone(), latest["config"]["channels"]["slack"]["accounts"].as_object().unwrap().len())
    };
    assert_eq!(check(&system).await.json()["invalidated"], 0);
    assert_eq!(version().await, (json!(1), 3));

    slack.say(&all[1].bot_token, Saying::Error("token_revoked"));
    let answer = check(&system).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = |connected: &Connected, ok: bool| {
        json!({
            "botChannelId": connected.channel, "ok": ok,
            "accountId": format!("slack-{}-{}", connected.app, connected.team),
        })
    };
    let mut revoked = result(&all[1], false);
    revoked["error"] = json!("token_revoked");
    let expected =
        json!({ "checked": 3, "invalidated": 1, "results": [result(&all[0], true), revoked, result(&all[2], true)] });
    assert_eq!(answer.json(), expected);
    assert_eq!(status(&system.store(), &all[1]).await, ChannelStatus::Error);
    assert_eq!(version().await, (json!(2), 2), "the very next answer leaves it out");
    // The channel has left the configuration and is not checked again.
    let again = check(&system).await.json();
    assert_eq!((&again["checked"], &again["invalidated"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn a_transient_failure_of_slack_changes_nothing() {
    let (system, slack) = started().await;
    let all = channels(&system, &slack, 6).await;
    let sayings = [
        (Saying::Error("ratelimited"), "ratelimited"),
        (Saying::Error("missing_scope"), "missing_scope"),
        (Saying::Status(500), "service_unavailable"),
        (Saying::Status(401), "service_unavailable"),
        (Saying::Status(200), "answer_not_understood"),
        (Saying::Nothing, "request_timeout"),
    ];
    for (connected, (saying, _)) in all.iter().zip(&sayings) {
        slack.say(&connected.bot_token, saying.clone());
    }
    let answer = check(&system).await.json();
    assert_eq!((&answer["checked"], &answer["invalidated"]), (&json!(6), &json!(0)));
    for (number, (_, code)) in sayings.iter().enumerate() {
        let result = &answer["results"][number];
        assert_eq!((&result["ok"], &result["error"]), (&json!(false), &json!(code)));
        assert_eq!(status(&system.store(), &all[number]).await, ChannelStatus::Connected);
    }
}

#[tokio::test]
async fn tokens_are_checked_ten_at_a_time() {
    let (system, slack) = started().await;
    channels(&system, &slack, 45).await;
    assert_eq!(check(&system).await.json()["checked"], 45);
    assert_eq!((slack.calls("auth.test"), slack.most_at_once()), (45, 10));
}

#[tokio::test]
async fn a_token_that_was_replaced_while_the_old_one_was_checked_stays() {
    let (system, slack) = started().await;
    let all = channels(&system, &slack, 1).await;
    let store = system.store();
    let pool = store.pool_configuration(&all[0].pool, PoolReach::Any).await.unwrap().pool;
    let records = store.pool_records(&pool).await.unwrap();
    let revision = records[0].channels[0].credentials[0].1.revision;
    let replaced = seed::channel(&system, "channel-0", &all[0].bot, &all[0].pool, &all[0].team, &all[0].app).await;
    assert_eq!(store.invalidate_channel(&replaced.channel, revision).await, Ok(false));
    assert_eq!(status(&store, &replaced).await, ChannelStatus::Connected);
    assert_eq!(store.invalidate_channel(&replaced.channel, revision + 1).await, Ok(true));
    assert_eq!(store.invalidate_channel(&replaced.channel, revision + 1).await, Ok(false), "it is already");
}

/// Sends a message in a Slack channel and waits until its session exists.
async fn converse(system: &System, connected: &Connected, channel: &str, number: u32) {
    let body = slack::message(&connected.team, &connected.app, channel, number).to_string();
    let event = slack::signed(system, "/api/slack/events", &connected.signing_secret, body, system.clock.now());
    assert_eq!(send(event).await.status, 200);
}

async fn titles(system: &System, connected: &Connected) -> Vec<String> {
    let sessions = system.store().untitled_sessions(std::slice::from_ref(&connected.bot), 100).await.unwrap();
    sessions.into_iter().map(|session| session.title).collect()
}

#[tokio::test]
async fn conversations_get_the_names_that_slack_has_for_them() {
    let (system, slack) = started().await;
    let (connected, pool) = seed::connected(&system).await;
    slack.say(&connected.bot_token, Saying::Good);
    slack.converse("C0GENERAL", json!({ "name": "general" }));
    slack.converse("D0DIRECT", json!({ "is_im": true, "user": "U0ADA" }));
    slack.know("U0ADA", json!({ "name": "ada", "profile": { "display_name": "Ada" } }));
    for (number, channel) in ["C0GENERAL", "D0DIRECT", "C0UNKNOWN"].into_iter().enumerate() {
        converse(&system, &connected, channel, u32::try_from(number).unwrap()).await;
    }
    pool.wait_for(3).await;
    eventually("all sessions are there", async || titles(&system, &connected).await.len() == 3).await;
    // The index that lists the sessions lags and does not contain them yet.
    assert_eq!(check(&system).await.status, 200);
    assert_eq!((slack.calls("conversations.info"), titles(&system, &connected).await.len()), (0, 3));
    system.clock.advance(Duration::from_secs(3));
    assert_eq!(check(&system).await.status, 200);
    assert_eq!(titles(&system, &connected).await, ["Slack #C0UNKNOWN"], "what Slack does not know keeps its own");
    let calls = slack.calls("conversations.info");
    assert_eq!(check(&system).await.status, 200);
    assert_eq!(slack.calls("conversations.info"), calls + 1, "only the untitled one is asked for again");
    assert_eq!(slack.calls("users.info"), 1);
}

#[tokio::test]
async fn a_title_that_people_gave_is_kept() {
    let (system, slack) = started().await;
    let (connected, pool) = seed::connected(&system).await;
    slack.say(&connected.bot_token, Saying::Good);
    slack.converse("C0GENERAL", json!({ "name": "general" }));
    converse(&system, &connected, "C0GENERAL", 1).await;
    pool.wait_for(1).await;
    eventually("the session is there", async || titles(&system, &connected).await.len() == 1).await;
    let bots = [connected.bot.clone()];
    let session = system.store().untitled_sessions(&bots, 1).await.unwrap().remove(0);
    let path = format!("/api/internal/sessions/{}", session.id);
    let own = send(system.internal(Method::PATCH, &path).json(&json!({ "title": "Our own" }))).await;
    assert_eq!(own.status, 200);
    assert_eq!(system.store().fill_title(&session.id, &"late".parse().unwrap()).await, Ok(false));
    system.clock.advance(Duration::from_secs(3));
    assert_eq!(check(&system).await.status, 200);
    let kept = send(system.internal(Method::PATCH, &path).json(&json!({}))).await.json();
    assert_eq!(kept["title"], "Our own");
}

#[tokio::test]
async fn a_pool_without_channels_or_unknown_is_answered_clearly() {
    let (system, _slack) = started().await;
    assert_eq!(check(&system).await.status, 404);
    seed::pool(&system, "pool-1", None).await;
    assert_eq!(check(&system).await.json(), json!({ "checked": 0, "invalidated": 0, "results": [] }));
}
