//! Fault injection: DynamoDB slow, throttled, failing half way and recovering; the queue refusing; the relay killed.
//! Accepted events are not lost, no write is partial, and a 503 has `retry-after`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod endpoints;
mod front_door;
mod killed;
mod relay;

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_tests::{Answer, System, seed::Connected, slack, system::eventually};
use reqwest::RequestBuilder;

/// A signed message in this conversation.
fn event_in(system: &System, connected: &Connected, conversation: &str, number: u32) -> RequestBuilder {
    let body = slack::message(&connected.team, &connected.app, conversation, number).to_string();
    slack::signed(system, "/api/slack/events", &connected.signing_secret, body, system.clock.now())
}

fn event(system: &System, connected: &Connected, number: u32) -> RequestBuilder {
    event_in(system, connected, "C0GENERAL", number)
}

/// Asserts the contract's 503.
fn must_be_unavailable(answer: &Answer) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), body["code"].as_str()), (503, Some("unavailable")), "{answer:?}");
    assert_eq!(body["requestId"], answer.header("x-request-id"));
    let wait: u32 = answer.header("retry-after").parse().expect("retry-after is a number of seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let told = answer.message().to_lowercase();
    for secret in ["dynamo", "table", "queue", "throughput", "throttl", "pool"] {
        assert!(!told.contains(secret), "a caller learns nothing of what is behind: {told}");
    }
}

/// Advances the clock second by second until `condition` holds, for operations that are retried later.
async fn in_time(system: &System, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, async || {
        system.clock.advance(Duration::from_secs(1));
        condition().await
    })
    .await;
}
