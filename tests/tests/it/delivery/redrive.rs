//! Redrive of dead letters: events that were given up after a day and are sent again.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_crypto::Digest;
use portcullis_runtime::metrics::Metric;
use portcullis_store::Lease;
use portcullis_tests::{
    Behaviour, System, TestClock, seed,
    system::{Settings, eventually},
};

use super::{accept, message, texts};

#[tokio::test]
async fn redriven_events_have_another_day_and_keep_their_order() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let queue = system.stack.queue();
    pool.behave(Behaviour::Answer(503));
    for number in 1..=3 {
        accept(&system, &connected, &message(&connected, "C0GENERAL", number)).await;
    }
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    system.clock.advance(Duration::from_hours(24));
    eventually("all three are given up", async || system.counted(Metric::EventDeadLettered) == 3).await;
    let letters = queue.dead_letters().expect("they are listed");
    assert_eq!(letters.len(), 3);
    assert!(
        letters
            .iter()
            .all(|letter| letter.bytes > 0 && system.clock.now().duration_since(letter.sent_at).as_hours() == 24)
    );

    assert_eq!(queue.redrive().await.expect("they are queued again"), 3);
    eventually("the first is tried", async || system.counted(Metric::DeliveryFailed) == 2).await;
    assert!(queue.dead_letters().expect("they are listed").is_empty());
    system.clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
    eventually("it is tried for the whole day", async || system.counted(Metric::DeliveryFailed) == 3).await;
    assert_eq!(system.counted(Metric::EventDeadLettered), 3, "none is given up before its time");
    pool.behave(Behaviour::Answer(200));
    let before = pool.seen().len();
    // The second and third reach the end of their day before the first is due again, so they become dead letters again.
    system.clock.advance(Duration::from_millis(1));
    eventually("the others are given up", async || {
        system.clock.advance(Duration::from_secs(1));
        system.counted(Metric::EventDeadLettered) == 6
    })
    .await;
    assert_eq!(queue.redrive().await.expect("they are queued again"), 3);
    // The first one was tried a moment ago, so its lease must expire.
    eventually("they are delivered", async || {
        system.clock.advance(Duration::from_secs(1));
        system.counted(Metric::EventDelivered) == 3
    })
    .await;
    assert_eq!(texts(&pool.seen())[before..], ["message 1", "message 2", "message 3"]);
    assert_eq!(queue.redrive().await.expect("there is nothing"), 0);
    system.shutdown().await;
}

#[tokio::test]
async fn dead_letters_and_redriven_events_survive_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let settings = Settings { data: Some(data.path().to_owned()), ..Settings::random() };
    let clock = std::sync::Arc::new(TestClock::new());
    let start = async || System::try_start(settings.clone(), clock.clone()).await.expect("it starts");
    let system = start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    clock.advance(Duration::from_hours(24));
    eventually("given up", async || system.counted(Metric::EventDeadLettered) == 1).await;
    system.shutdown().await;

    let system = start().await;
    assert_eq!(system.stack.queue().dead_letters().expect("they are listed").len(), 1);
    assert_eq!(system.stack.queue().redrive().await.expect("it is queued again"), 1);
    eventually("it is tried", async || system.counted(Metric::DeliveryFailed) == 1).await;
    system.shutdown().await;

    let before = pool.seen().len();
    pool.behave(Behaviour::Answer(200));
    let system = start().await;
    eventually("it is delivered", async || system.counted(Metric::EventDelivered) == 1).await;
    assert_eq!(texts(&pool.seen())[before..], ["message 1"]);
    assert!(system.stack.queue().dead_letters().expect("they are listed").is_empty());
    system.shutdown().await;
}

#[tokio::test]
async fn an_event_delivered_meanwhile_is_not_delivered_again_by_a_redrive() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    let body = message(&connected, "C0GENERAL", 1);
    accept(&system, &connected, &body).await;
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    system.clock.advance(Duration::from_hours(24));
    eventually("given up", async || system.counted(Metric::EventDeadLettered) == 1).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_mins(6));
    accept(&system, &connected, &body).await;
    eventually("Slack's own repetition", async || system.counted(Metric::EventDelivered) == 1).await;
    assert_eq!(system.stack.queue().redrive().await.expect("it is queued again"), 1);
    // Either the queue's deduplication window or the event log detects the duplicate.
    let settled = async || {
        system.clock.advance(Duration::from_mins(6));
        accept(&system, &connected, &body).await;
        system.counted(Metric::EventDuplicate) >= 1
    };
    eventually("the duplicate is told", settled).await;
    system.shutdown().await;
    assert_eq!(pool.seen().len(), 2, "the try that failed, and the delivery");
}

#[tokio::test]
async fn a_lease_that_a_dead_delivery_left_behind_is_taken_when_it_ends() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = message(&connected, "C0GENERAL", 1);
    let ours = connected.channel.as_str();
    let at = body["event"]["event_ts"].as_str().expect("an event has a time");
    let digest = |parts: &[&str]| Digest::of_parts(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
    let identity = digest(&["occurrence", ours, "C0GENERAL", "U0PERSON", at, "message", "", ""]);
    let lease = system.store().lease(&identity, "a dead delivery", Duration::from_secs(40)).await;
    assert_eq!(lease.expect("the lease is asked for"), Lease::Taken { refusals: 0 });
    accept(&system, &connected, &body).await;
    let mut failures = 1;
    for wait in [1, 2, 4, 8, 16] {
        eventually("it is held", async || system.counted(Metric::DeliveryFailed) == failures).await;
        system.clock.advance(Duration::from_secs(wait));
        failures += 1;
    }
    eventually("it is still held after 31 s", async || system.counted(Metric::DeliveryFailed) == failures).await;
    assert!(pool.seen().is_empty());
    system.clock.advance(Duration::from_secs(32));
    eventually("it is delivered", async || system.counted(Metric::EventDelivered) == 1).await;
    assert_eq!(pool.seen().len(), 1);
    system.shutdown().await;
}
