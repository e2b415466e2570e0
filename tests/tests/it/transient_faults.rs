//! Transient faults are invisible to callers, because the AWS client and the store retry.
//!
//! In a test process of its own: the AWS client has one retry budget per process, which the tests of lasting faults
//! exhaust.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{Fault, Faulty, System, faults::Call, seed, slack, system::send};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

/// Injects `fault` into the first `count` calls that `met` selects; later calls go through.
fn at_first(count: u32, fault: Fault, met: fn(&Call) -> bool) -> (impl Fn(&Call) -> Fault + Send, Arc<AtomicU32>) {
    let left = Arc::new(AtomicU32::new(count));
    let take = Arc::clone(&left);
    let rule = move |call: &Call| {
        let take = || take.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if met(call) && take().is_ok() { fault.clone() } else { Fault::None }
    };
    (rule, left)
}

fn put(system: &System) -> RequestBuilder {
    let secrets = json!({ "A": "v", "B": { "value": "v", "scope": "skill:maps" } });
    system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets").json(&json!({ "secrets": secrets }))
}

/// One request of each endpoint behind a token.
fn each(system: &System) -> Vec<RequestBuilder> {
    let (pool, ttl) = (json!({ "poolId": "pool-1" }), json!({ "ttlSeconds": 600 }));
    let (skill, runtime) = ("/api/internal/pools/pool-1/skill-tokens", "/api/internal/pools/pool-1/runtime-tokens");
    vec![
        system.internal(Method::POST, "/api/internal/pools/register").json(&pool),
        system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&pool),
        put(system),
        system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1"),
        system.internal(Method::POST, skill).json(&ttl),
        system.internal(Method::DELETE, skill),
        system.internal(Method::POST, runtime).json(&ttl),
        system.internal(Method::DELETE, runtime),
    ]
}

async fn revision(system: &System) -> u64 {
    system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap().secrets_revision
}

#[tokio::test]
async fn a_call_that_fails_once_is_made_again() {
    let Faulty { system, proxy, .. } = &Faulty::start().await;
    seed::pool(system, "pool-1", None).await;
    let faults = [
        Fault::Code("ProvisionedThroughputExceededException"),
        Fault::Code("ThrottlingException"),
        Fault::Code("InternalServerError"),
        Fault::LoseAnswer,
    ];
    for (number, fault) in (1..).zip(faults) {
        for request in each(system) {
            let (rule, left) = at_first(1, fault.clone(), |_| true);
            proxy.rule(rule);
            let answer = send(request).await;
            assert!(answer.status.is_success(), "{fault:?}: {answer:?}");
            assert_eq!(left.load(Ordering::SeqCst), 0, "it was met");
        }
        assert_eq!(revision(system).await, number, "{fault:?}: the secrets were written once");
    }
    assert_eq!(system.counted(Metric::DependencyUnavailable), 0);
}

#[tokio::test]
async fn a_write_of_secrets_whose_answer_was_lost_is_made_once() {
    let Faulty { system, proxy, .. } = &Faulty::start().await;
    seed::pool(system, "pool-1", None).await;
    let (rule, left) = at_first(2, Fault::LoseAnswer, |call| call.action == "TransactWriteItems");
    proxy.rule(rule);
    assert_eq!(send(put(system)).await.status, 200);
    assert_eq!((left.load(Ordering::SeqCst), revision(system).await), (0, 1));
}

#[tokio::test]
async fn writers_in_the_way_are_waited_for() {
    let Faulty { system, proxy, .. } = &Faulty::start().await;
    seed::pool(system, "pool-1", None).await;
    // More often than the AWS client retries, so the store's own retries are needed.
    let (rule, left) = at_first(6, Fault::Conflict, |call| call.action == "TransactWriteItems");
    proxy.rule(rule);
    assert_eq!(send(put(system)).await.status, 200);
    assert_eq!((left.load(Ordering::SeqCst), revision(system).await), (0, 1));
}

#[tokio::test]
async fn an_event_that_the_queue_took_without_saying_so_is_delivered_once() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let (rule, left) = at_first(1, Fault::LoseAnswer, Call::is_queue_write);
    proxy.rule(rule);
    for number in [1, 2] {
        let body = slack::message(&connected.team, &connected.app, "C0GENERAL", number).to_string();
        let now = system.clock.now();
        let event = slack::signed(&system, "/api/slack/events", &connected.signing_secret, body, now);
        let again = event.try_clone().expect("its body is at hand");
        let first = send(event).await.status;
        // The event whose answer was lost is refused, and Slack sends it again.
        assert_eq!(first, if number == 1 { 503 } else { 200 });
        if number == 1 {
            assert_eq!(send(again).await.status, 200);
        }
    }
    pool.wait_for(2).await;
    system.shutdown().await;
    assert_eq!((left.load(Ordering::SeqCst), pool.seen().len()), (0, 2));
}
