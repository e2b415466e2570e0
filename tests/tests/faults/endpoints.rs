//! DynamoDB faults, as callers with tokens see them.

use portcullis_store::PoolReach;
use std::time::Duration;

use portcullis_runtime::metrics::Metric;
use portcullis_tests::{Fault, Faulty, System, seed, system::send};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::must_be_unavailable;

const SECRETS: &str = "/api/internal/pools/pool-1/secrets";
const SKILL_TOKENS: &str = "/api/internal/pools/pool-1/skill-tokens";
const RUNTIME_TOKENS: &str = "/api/internal/pools/pool-1/runtime-tokens";

fn put(system: &System, value: &str) -> RequestBuilder {
    let secrets = json!({ "A": value, "B": { "value": value, "scope": "skill:maps" } });
    system.internal(Method::PUT, SECRETS).json(&json!({ "secrets": secrets }))
}

/// One request of each endpoint behind a token.
fn each(system: &System) -> Vec<RequestBuilder> {
    let (pool, ttl) = (json!({ "poolId": "pool-1" }), json!({ "ttlSeconds": 600 }));
    vec![
        system.internal(Method::POST, "/api/internal/pools/register").json(&pool),
        system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&pool),
        put(system, "new"),
        system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1"),
        system.internal(Method::POST, SKILL_TOKENS).json(&ttl),
        system.internal(Method::DELETE, SKILL_TOKENS),
        system.internal(Method::POST, RUNTIME_TOKENS).json(&ttl),
        system.internal(Method::DELETE, RUNTIME_TOKENS),
    ]
}

/// Secrets that skill `maps` reads, and the revision of the pool's secrets.
async fn state(system: &System) -> (Value, u64) {
    let read = send(system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1")).await;
    assert_eq!(read.status, 200, "{read:?}");
    let pool = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
    (read.json(), pool.secrets_revision)
}

/// A system with a pool whose secrets A and B are `old`.
async fn start() -> Faulty {
    let faulty = Faulty::start().await;
    seed::pool(&faulty.system, "pool-1", None).await;
    assert_eq!(send(put(&faulty.system, "old")).await.status, 200);
    faulty
}

fn old() -> (Value, u64) {
    (json!({ "A": "old", "B": "old" }), 1)
}

#[tokio::test]
async fn a_store_that_refuses_is_a_503_at_each_endpoint_counted_and_logged_and_nothing_is_written() {
    let Faulty { system, proxy, .. } = &start().await;
    let mut expected = 0;
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "InternalServerError"] {
        proxy.rule(move |_| Fault::Code(code));
        for (number, request) in each(system).into_iter().enumerate() {
            let id = format!("refused-{code}-{number}");
            let answer = send(request.header("x-request-id", &id)).await;
            must_be_unavailable(&answer);
            let lines = system.logs.of_request(&id);
            let line = lines.iter().find(|line| line.get("storeRounds").is_some()).expect("a request's line");
            assert_eq!((line["status"].as_u64(), line["code"].as_str()), (Some(503), Some("unavailable")), "{line}");
            assert!(line["detail"].as_str().unwrap().starts_with("DynamoDB is unavailable"), "{line}");
            expected += 1;
            assert_eq!(system.counted(Metric::DependencyUnavailable), expected, "{id}");
        }
    }
    proxy.heal();
    assert_eq!(state(system).await, old());
    let generations = system.store().generations(&"pool-1".parse().unwrap(), PoolReach::Any).await.unwrap();
    assert_eq!((generations.skill.0, generations.runtime.0), (0, 0), "no token was revoked");
    for request in each(system) {
        let answer = send(request).await;
        assert!(answer.status.is_success(), "back again: {answer:?}");
    }
    assert_eq!(system.counted(Metric::DependencyUnavailable), expected);
}

#[tokio::test]
async fn a_store_that_never_answers_is_a_503_at_each_endpoint() {
    let Faulty { system, proxy, .. } = &start().await;
    proxy.rule(|_| Fault::Hang);
    let mut answers = tokio::task::JoinSet::new();
    for request in each(system) {
        answers.spawn(send(request));
    }
    for answer in answers.join_all().await {
        must_be_unavailable(&answer);
    }
    proxy.heal();
    assert_eq!(state(system).await, old());
}

#[tokio::test]
async fn a_slow_store_is_waited_for() {
    let Faulty { system, proxy, .. } = &start().await;
    proxy.rule(|_| Fault::Delay(Duration::from_millis(300)));
    for request in each(system) {
        let answer = send(request).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
    assert_eq!(system.counted(Metric::DependencyUnavailable), 0);
}

#[tokio::test]
async fn writers_that_stay_in_the_way_are_a_503_and_nothing_is_written() {
    let Faulty { system, proxy, .. } = &start().await;
    proxy.rule(|call| if call.action == "TransactWriteItems" { Fault::Conflict } else { Fault::None });
    must_be_unavailable(&send(put(system, "new")).await);
    proxy.heal();
    assert_eq!(state(system).await, old());
}

#[tokio::test]
async fn secrets_whose_writing_fails_half_way_are_as_they_were() {
    let Faulty { system, proxy, .. } = &start().await;
    for fault in [Fault::Code("ThrottlingException"), Fault::Code("InternalServerError")] {
        proxy.rule(move |call| if call.action == "TransactWriteItems" { fault.clone() } else { Fault::None });
        must_be_unavailable(&send(put(system, "new")).await);
        proxy.heal();
        assert_eq!(state(system).await, old(), "read, and then not written");
    }
    assert_eq!(send(put(system, "new")).await.status, 200);
    assert_eq!(state(system).await, (json!({ "A": "new", "B": "new" }), 2));
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_whole_and_can_be_repeated() {
    let Faulty { system, proxy, .. } = &start().await;
    proxy.rule(|call| if call.action == "TransactWriteItems" { Fault::LoseAnswer } else { Fault::None });
    must_be_unavailable(&send(put(system, "new")).await);
    proxy.heal();
    assert_eq!(state(system).await, (json!({ "A": "new", "B": "new" }), 2), "all of it, once");
    assert_eq!(send(put(system, "newer")).await.status, 200);
    assert_eq!(state(system).await, (json!({ "A": "newer", "B": "newer" }), 3));

    let register = || {
        let request = system.internal(Method::POST, "/api/internal/pools/register");
        request.json(&json!({ "poolId": "pool-2", "podIp": "127.0.0.1:4000" }))
    };
    proxy.rule(|_| Fault::LoseAnswer);
    must_be_unavailable(&send(register()).await);
    proxy.heal();
    assert_eq!(send(register()).await.status, 200);
    let pool = system.store().get_pool(&"pool-2".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(pool.address.unwrap().to_string(), "127.0.0.1:4000");
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_has_revoked() {
    let Faulty { system, proxy, .. } = &start().await;
    let issued = send(system.internal(Method::POST, SKILL_TOKENS).json(&json!({ "ttlSeconds": 600 }))).await.json();
    let token = issued["token"].as_str().unwrap();
    let read = || {
        let request = system.request(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
        request.header("x-internal-token", token)
    };
    assert_eq!(send(read()).await.status, 200);
    proxy.rule(|_| Fault::LoseAnswer);
    must_be_unavailable(&send(system.internal(Method::DELETE, SKILL_TOKENS)).await);
    must_be_unavailable(&send(read()).await);
    proxy.heal();
    assert_eq!(send(read()).await.status, 401);
}
