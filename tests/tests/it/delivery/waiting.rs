//! Pools that must not be posted to: their events wait without occupying delivery slots of other pools.

use std::time::Duration;

use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{
    Behaviour, StandInPool, System, seed,
    system::{Settings, eventually, send},
};
use reqwest::Method;
use serde_json::json;

use super::{accept, delivered, failed, message, rows};

async fn beat(system: &System, pool: &str, status: &str) {
    let body = json!({ "poolId": pool, "status": status });
    let answer = send(system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_pool_without_a_fresh_heartbeat_is_not_posted_to() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    beat(&system, "pool-1", "active").await;
    system.clock.advance(Duration::from_mins(1));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("it is fresh for a minute", async || system.counted(Metric::EventDelivered) == 1).await;
    system.clock.advance(Duration::from_millis(1));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 2)).await;
    failed(&system, 1).await;
    assert_eq!(pool.seen().len(), 1, "its address may be another's by now");
    let events = rows::all(&system, Table::EventLog).await;
    assert_eq!(events.len(), 1, "an event that waits is not leased: {events:?}");
    beat(&system, "pool-1", "active").await;
    system.clock.advance(Duration::from_secs(1));
    eventually("it is delivered", async || system.counted(Metric::EventDelivered) == 2).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_pool_is_posted_to_in_the_statuses_in_which_it_answers() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let (mut failures, mut delivered) = (0, 0);
    for (number, status) in (1..).zip(["pending", "unhealthy", "active", "degraded", "draining"]) {
        beat(&system, "pool-1", status).await;
        accept(&system, &connected, &message(&connected, &format!("C0{number}"), number)).await;
        if number <= 2 {
            failures += 1;
            failed(&system, failures).await;
        } else {
            delivered += 1;
        }
        if number == 3 {
            delivered += 2;
            system.clock.advance(Duration::from_secs(1));
        }
        eventually(status, async || system.counted(Metric::EventDelivered) == delivered).await;
    }
    assert_eq!(pool.seen().len(), 5);
    system.shutdown().await;
}

#[tokio::test]
async fn a_pool_that_did_not_answer_in_time_is_probed_by_one_delivery_at_a_time() {
    let system = System::start_with(Settings::random().with_production_delivery_timeout()).await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Hang);
    accept(&system, &connected, &message(&connected, "C0FIRST", 1)).await;
    failed(&system, 1).await;
    // Ten more conversations, which occupy no delivery slot while the pool is paused.
    for number in 2..=11 {
        accept(&system, &connected, &message(&connected, &format!("C0{number}"), number)).await;
    }
    failed(&system, 11).await;
    assert_eq!(pool.seen().len(), 1);
    // The pause ends: one of the eleven events probes the pool and ten wait on.
    system.clock.advance(Duration::from_secs(11));
    failed(&system, 22).await;
    assert_eq!(pool.seen().len(), 2, "one probe");

    pool.behave(Behaviour::Answer(200));
    delivered(&system, 11).await;
    system.shutdown().await;
}

#[tokio::test]
async fn conversations_of_a_pool_that_hangs_leave_every_place_to_others() {
    // The hung pool's time-out is minutes away, so an event delivered now has not waited for it.
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let hung = StandInPool::start().await;
    hung.behave(Behaviour::Hang);
    let other = seed::pool(&system, "pool-2", Some(&hung.address().to_string())).await;
    let bot = seed::bot(&system, "bot-2", &other).await;
    let away = seed::channel(&system, "channel-2", &bot, &other, "T0TWO", "A0TWO").await;
    for number in 0..100 {
        accept(&system, &away, &message(&away, &format!("C0{number}"), number)).await;
    }
    for number in 1..=20 {
        accept(&system, &connected, &message(&connected, &format!("C0{number}"), number)).await;
    }
    eventually("the other pool's", async || system.counted(Metric::EventDelivered) == 20).await;
    assert_eq!(pool.seen().len(), 20);
    assert!(hung.seen().len() <= 32, "{} posts at once, and no more while they are unanswered", hung.seen().len());
    assert_eq!(system.counted(Metric::EventDeadLettered), 0);
    system.shutdown().await;
}
