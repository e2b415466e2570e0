//! Which channel a request is taken for.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    StandInPool, System,
    seed::{self, Connected},
    slack::{self, signature},
    system::{random_hex, send},
};
use serde_json::{Value, json};

use super::{EVENTS, accepted, event, message, refused, two_customers};

/// An event of this channel on a path of its own.
fn on(system: &System, id: &str, secret: &str, body: &Value) -> reqwest::RequestBuilder {
    slack::signed(system, &format!("{EVENTS}/{id}"), secret, body.to_string(), system.clock.now())
}

/// Whether the stored secret of a channel is this one.
async fn holds(system: &System, of: &Connected, secret: &str) -> bool {
    let found = system.store().slack_channel_for_verification(&of.channel).await.expect("the row is read");
    let stored = found.expect("the channel is there").1;
    stored.sign("1800014400", b"") == signature(secret, "1800014400", b"")
}

#[tokio::test]
async fn an_id_in_the_path_counts_decoded_and_none_that_is_long_or_strange_is_anybodys() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let secret = &connected.signing_secret;
    let long = "c".repeat(10_000);
    let strange = [
        &long,
        &format!("channel-1{}", "%20".repeat(3_000)),
        "channel-1%20",
        "%20channel-1",
        "CHANNEL-1",
        "channel%252D1",
        "channel-1%2F",
        "%F0%9F%A6%80",
        "%00",
        "%C0%AF",
        "'%20OR%201=1",
    ];
    for id in strange {
        refused(&send(on(&system, id, secret, &message(&connected, 1))).await, id);
        // The platform's secret opens nobody's path, and tells no more of it than of a known one.
        let platforms = &system.settings.slack_signing_secret;
        accepted(&send(on(&system, id, platforms, &message(&connected, 1))).await, "a channel that is no more");
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    accepted(&send(on(&system, "channel%2D1", secret, &message(&connected, 1))).await, "the same id, encoded");
    pool.wait_for(1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_customer_cannot_name_another_by_its_authorizations() {
    let system = System::start().await;
    let (one, two, pool) = two_customers(&system).await;
    let mut body = slack::message(&one.team, &two.app, "C0GENERAL", 1);
    body["authorizations"][0]["team_id"] = json!(two.team);
    refused(&send(event(&system, &one.signing_secret, &body)).await, "one's secret, two's authorization and app");
    refused(&send(on(&system, "channel-1", &one.signing_secret, &body)).await, "and on one's own path");
    let mut enterprise = message(&one, 1);
    enterprise["authorizations"] =
        json!([{ "enterprise_id": two.team, "team_id": one.team, "is_enterprise_install": true }]);
    enterprise["api_app_id"] = json!(two.app);
    refused(&send(event(&system, &one.signing_secret, &enterprise)).await, "two's team as an enterprise");
    // An enterprise that is named and was not installed org-wide does not count.
    let mut grid = message(&one, 2);
    grid["authorizations"][0]["enterprise_id"] = json!("E0GRID");
    accepted(&send(event(&system, &one.signing_secret, &grid)).await, "a workspace of an enterprise");
    // The first authorization is the one that Slack sends for this event; others are other installations'.
    let mut several = message(&one, 3);
    let others = json!({ "enterprise_id": null, "team_id": two.team, "is_enterprise_install": false });
    several["authorizations"].as_array_mut().expect("a list").push(others);
    accepted(&send(event(&system, &one.signing_secret, &several)).await, "several authorizations");
    assert!(pool.wait_for(2).await.iter().all(|delivery| delivery.path == one.delivery_path()));
    assert_eq!(system.counted(Metric::EventAccepted), 2);
    system.shutdown().await;
}

#[tokio::test]
async fn a_customers_channel_is_never_mended_with_the_platforms_secret() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let platforms = system.settings.slack_signing_secret.clone();
    for number in 1..=2 {
        refused(&send(event(&system, &platforms, &message(&connected, number))).await, "the common path");
        refused(&send(on(&system, "channel-1", &platforms, &message(&connected, number))).await, "its own path");
    }
    assert!(holds(&system, &connected, &connected.signing_secret).await);
    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 3))).await, "its own secret");
    pool.wait_for(1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_platforms_channel_is_mended_by_what_comes_to_its_own_path_too_and_by_no_forgery() {
    let system = System::start().await;
    let stand_in = StandInPool::start().await;
    let pool = seed::pool(&system, "pool-1", Some(&stand_in.address().to_string())).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let connected = seed::platform_channel(&system, "channel-1", &bot, &pool, "T0ONE").await;
    let old = random_hex(16);
    let seal_old = async || system.store().mend_signing_secret(&connected.channel, &old.clone().into()).await;
    seal_old().await.expect("the row is written");
    let platforms = system.settings.slack_signing_secret.clone();

    refused(&send(on(&system, "channel-1", &random_hex(16), &message(&connected, 1))).await, "a forgery");
    assert!(holds(&system, &connected, &old).await, "a forgery mends nothing");
    accepted(&send(on(&system, "channel-1", &old, &message(&connected, 2))).await, "the old one, while it is stored");
    assert!(holds(&system, &connected, &old).await, "what verifies needs no mending");
    accepted(&send(on(&system, "channel-1", &platforms, &message(&connected, 3))).await, "the current one");
    assert!(holds(&system, &connected, &platforms).await);
    // From then on the old one is worth nothing, on either path, though what was remembered is still young.
    refused(&send(on(&system, "channel-1", &old, &message(&connected, 4))).await, "the old one");
    refused(&send(event(&system, &old, &message(&connected, 4))).await, "the old one");
    stand_in.wait_for(2).await;
    system.shutdown().await;
}

#[tokio::test]
async fn another_secrets_url_verification_on_a_channels_own_path_is_refused() {
    let system = System::start().await;
    let (one, two, _pool) = two_customers(&system).await;
    let body = json!({ "type": "url_verification", "challenge": "c" });
    refused(&send(on(&system, one.channel.as_str(), &two.signing_secret, &body)).await, "two's secret, one's path");
    let answer = send(on(&system, one.channel.as_str(), &one.signing_secret, &body)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "challenge": "c" })));
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    system.shutdown().await;
}

#[tokio::test]
async fn a_refusal_costs_the_store_as_much_for_a_stranger_as_for_a_customer_once_both_are_remembered() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let secret = random_hex(16);
    let rounds = async |body: &Value| {
        let id = format!("stranger-{}", random_hex(8));
        refused(&send(event(&system, &secret, body).header("x-request-id", &id)).await, "a forgery");
        let lines = system.logs.of_request(&id);
        let line = lines.iter().find(|line| line["message"] == "request").expect("a request is logged");
        line["storeRounds"].as_u64().expect("rounds are counted")
    };
    let (known, unknown) = (message(&connected, 1), slack::message("T0NOBODY", "A0NOBODY", "C0GENERAL", 1));
    rounds(&known).await;
    rounds(&unknown).await;
    system.clock.advance(Duration::from_millis(9_999));
    assert_eq!((rounds(&known).await, rounds(&unknown).await), (0, 0));
    system.clock.advance(Duration::from_millis(1));
    assert!(rounds(&unknown).await > 0, "an unknown one is looked up again after 10 s");
    system.shutdown().await;
}
