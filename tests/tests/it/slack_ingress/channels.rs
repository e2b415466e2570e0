//! Assignment of a request to its channel.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{
    StandInPool, System, seed, slack,
    system::{random_hex, send},
};
use serde_json::{Value, json};

use super::{EVENTS, accepted, event, message, refused, two_customers};

/// An event on the channel's own path.
fn on(system: &System, id: &str, secret: &str, body: &Value) -> reqwest::RequestBuilder {
    slack::signed(system, &format!("{EVENTS}/{id}"), secret, body.to_string(), system.clock.now())
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
        // The platform's secret authenticates no customer's path, and the answer does not reveal whether the channel
        // exists.
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
    // An enterprise id is ignored if the app was not installed org-wide.
    let mut grid = message(&one, 2);
    grid["authorizations"][0]["enterprise_id"] = json!("E0GRID");
    accepted(&send(event(&system, &one.signing_secret, &grid)).await, "a workspace of an enterprise");
    // Slack sends this event for the first authorization; the others belong to other installations.
    let mut several = message(&one, 3);
    let others = json!({ "enterprise_id": null, "team_id": two.team, "is_enterprise_install": false });
    several["authorizations"].as_array_mut().expect("a list").push(others);
    accepted(&send(event(&system, &one.signing_secret, &several)).await, "several authorizations");
    assert!(pool.wait_for(2).await.iter().all(|delivery| delivery.path == one.delivery_path()));
    assert_eq!(system.counted(Metric::EventAccepted), 2);
    system.shutdown().await;
}

#[tokio::test]
async fn a_customers_channel_never_takes_the_platforms_secret() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let platforms = system.settings.slack_signing_secret.clone();
    for number in 1..=2 {
        refused(&send(event(&system, &platforms, &message(&connected, number))).await, "the common path");
        refused(&send(on(&system, "channel-1", &platforms, &message(&connected, number))).await, "its own path");
    }
    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 3))).await, "its own secret");
    pool.wait_for(1).await;
    system.shutdown().await;
}

/// The same system after a rotation of the platform's signing secret, with the previous secret if it is still valid.
async fn rotated(before: &System, secret: &str, previous: Option<&str>) -> System {
    let mut settings = before.settings.clone();
    settings.slack_signing_secret = secret.to_owned();
    if let Some(previous) = previous {
        settings = settings.with("SLACK_SIGNING_SECRET_PREVIOUS", previous);
    }
    settings.database = Some(before.stack.environment().aws.clone());
    System::start_with(settings).await
}

#[tokio::test]
async fn a_leaked_secret_of_the_platform_ends_with_its_rotation_on_a_channel_that_was_silent_too() {
    let before = System::start().await;
    let stand_in = StandInPool::start().await;
    let pool = seed::pool(&before, "pool-1", Some(&stand_in.address().to_string())).await;
    let bot = seed::bot(&before, "bot-1", &pool).await;
    let busy = seed::platform_channel(&before, "channel-1", &bot, &pool, "T0ONE").await;
    let silent = seed::platform_channel(&before, "channel-2", &bot, &pool, "T0TWO").await;
    let old = before.settings.slack_signing_secret.clone();
    accepted(&send(event(&before, &old, &message(&busy, 1))).await, "before the rotation");

    let new = random_hex(16);
    let within_a_day = rotated(&before, &new, Some(&old)).await;
    for (number, secret) in [(2, &old), (3, &new)] {
        accepted(&send(event(&within_a_day, secret, &message(&busy, number))).await, "both count for a day");
        accepted(&send(on(&within_a_day, "channel-2", secret, &message(&silent, number))).await, "on both channels");
    }
    let later = rotated(&before, &new, None).await;
    for (channel, connected) in [("channel-1", &busy), ("channel-2", &silent)] {
        refused(&send(event(&later, &old, &message(connected, 4))).await, channel);
        refused(&send(on(&later, channel, &old, &message(connected, 4))).await, channel);
        refused(&send(event(&later, &random_hex(16), &message(connected, 4))).await, channel);
        accepted(&send(event(&later, &new, &message(connected, 5))).await, channel);
        refused(&send(event(&later, &old, &message(connected, 6))).await, "and none mends anything");
    }
    for system in [within_a_day, later, before] {
        system.shutdown().await;
    }
}

#[tokio::test]
async fn a_copy_of_the_platforms_secret_that_an_older_version_left_in_a_row_verifies_nothing() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let connected = seed::channel(&system, "channel-1", &bot, &pool, "T0ONE", "A0PLATFORM").await;
    let table = format!("portcullis-local-{}", Table::Channels.name());
    let update = Client::new(&system.stack.environment().aws).update_item().table_name(table);
    let update =
        update.key("id", AttributeValue::S("channel-1".to_owned())).update_expression("SET platformApp = :yes");
    update.expression_attribute_values(":yes", AttributeValue::Bool(true)).send().await.expect("the row is written");
    refused(&send(event(&system, &connected.signing_secret, &message(&connected, 1))).await, "the copy");
    let platforms = system.settings.slack_signing_secret.clone();
    accepted(&send(event(&system, &platforms, &message(&connected, 1))).await, "the platform's secret");
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
