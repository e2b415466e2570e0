//! Concurrent callers: each gets an answer of the contract, and the final state agrees with the answers.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_auth::PoolId;
use portcullis_tests::{
    Answer, System, seed,
    system::{random_hex, send},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CALLERS: u32 = 32;

/// Sends all requests at once and returns the answers in their order.
async fn at_once(requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Answer> {
    let mut under_way = JoinSet::new();
    for (number, request) in requests.into_iter().enumerate() {
        under_way.spawn(async move { (number, send(request).await) });
    }
    let answers: BTreeMap<_, _> = under_way.join_all().await.into_iter().collect();
    answers.into_values().collect()
}

fn all_are(status: u16, answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

fn register(system: &System, pool: &str, port: u32) -> RequestBuilder {
    let body = json!({ "poolId": pool, "podIp": format!("127.0.0.1:{port}") });
    system.internal(Method::POST, "/api/internal/pools/register").json(&body)
}

fn heartbeat(system: &System, pool: &str) -> RequestBuilder {
    system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&json!({ "poolId": pool }))
}

fn put(system: &System, pool: &str, secrets: &BTreeMap<String, Value>) -> RequestBuilder {
    let path = format!("/api/internal/pools/{pool}/secrets");
    system.internal(Method::PUT, &path).json(&json!({ "secrets": secrets }))
}

fn read(system: &System, pool: &str) -> RequestBuilder {
    system.skill(Method::GET, &format!("/api/internal/secrets/maps?poolId={pool}"))
}

async fn stored(system: &System, pool: &str) -> portcullis_store::Pool {
    system.store().get_pool(&pool.parse::<PoolId>().unwrap()).await.unwrap().expect("the pool is known")
}

/// The same five names with one value, spread over two scopes.
fn five_names(value: &str) -> BTreeMap<String, Value> {
    let name = |number: u32| {
        let scope = if number.is_multiple_of(2) { "pool" } else { "skill:maps" };
        (format!("NAME_{number}"), json!({ "value": value, "scope": scope }))
    };
    (0..5).map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_at_once_make_one_pool_and_none_is_lost() {
    let system = System::start().await;
    all_are(200, &at_once((0..CALLERS).map(|number| register(&system, "pool-1", 4000 + number))).await);
    let pool = stored(&system, "pool-1").await;
    let address = pool.address.expect("each gave one").to_string();
    assert!((0..CALLERS).any(|number| address == format!("127.0.0.1:{}", 4000 + number)), "{address}");
    assert_eq!((pool.secrets_revision, pool.skill_generation.0, pool.runtime_generation.0), (0, 0, 0));

    let id = |number| format!("pool-of-many-{number}");
    all_are(200, &at_once((0..CALLERS).map(|number| register(&system, &id(number), 4000 + number))).await);
    for number in 0..CALLERS {
        let address = stored(&system, &id(number)).await.address.expect("it gave one");
        assert_eq!(address.to_string(), format!("127.0.0.1:{}", 4000 + number), "its own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_at_once_see_revisions_that_were_and_change_none() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", Some("127.0.0.1:4000")).await;
    let requests = (0..CALLERS).map(|number| match number % 4 {
        0 => put(&system, "pool-1", &five_names(&number.to_string())),
        1 => register(&system, "pool-1", 4000),
        _ => heartbeat(&system, "pool-1"),
    });
    let answers = at_once(requests).await;
    all_are(200, &answers);
    let writes = u64::from(CALLERS / 4);
    for answer in &answers {
        if let Some(revision) = answer.json()["secretsRevision"].as_u64() {
            assert!(revision <= writes, "{revision}");
        }
    }
    let pool = stored(&system, "pool-1").await;
    assert_eq!(pool.secrets_revision, writes, "a revision for each write, and none for a heartbeat");
    assert_eq!(pool.address.unwrap().to_string(), "127.0.0.1:4000", "what a heartbeat does not tell is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_of_the_same_names_leave_the_names_of_one_of_them() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let values: Vec<_> = (0..16).map(|_| random_hex(8)).collect();
    let answers = at_once(values.iter().map(|value| put(&system, "pool-1", &five_names(value)))).await;
    all_are(200, &answers);
    assert_eq!(stored(&system, "pool-1").await.secrets_revision, 16);
    let held: BTreeMap<String, String> = serde_json::from_value(send(read(&system, "pool-1")).await.json()).unwrap();
    assert_eq!(held.len(), 5, "{:?}", held.keys());
    let left: BTreeSet<_> = held.values().collect();
    assert_eq!(left.len(), 1, "no two writers are mixed");
    assert!(values.contains(left.first().unwrap()));
}

/// The store's retries suffice for sixteen concurrent writers of one pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_writers_of_two_pools_different_names_leave_all_of_them() {
    let system = System::start().await;
    let pools = ["pool-1", "pool-2"];
    for pool in pools {
        seed::pool(&system, pool, None).await;
    }
    let name = |number: u32| BTreeMap::from([(format!("NAME_{number}"), json!(number.to_string()))]);
    let writes = (0..CALLERS / 2).flat_map(|number| pools.map(|pool| put(&system, pool, &name(number))));
    all_are(200, &at_once(writes).await);
    let expected: BTreeMap<_, _> =
        (0..CALLERS / 2).map(|number| (format!("NAME_{number}"), number.to_string())).collect();
    for pool in pools {
        assert_eq!(send(read(&system, pool)).await.json(), json!(expected));
        assert_eq!(stored(&system, pool).await.secrets_revision, u64::from(CALLERS / 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_different_pools_do_not_meet() {
    let system = System::start().await;
    let id = |number: u32| format!("pool-{}", number % 8);
    for number in 0..8 {
        seed::pool(&system, &id(number), None).await;
    }
    let answers = at_once((0..CALLERS).map(|number| put(&system, &id(number), &five_names(&id(number))))).await;
    all_are(200, &answers);
    for number in 0..8 {
        assert_eq!(stored(&system, &id(number)).await.secrets_revision, u64::from(CALLERS / 8));
        let held: BTreeMap<String, String> =
            serde_json::from_value(send(read(&system, &id(number))).await.json()).unwrap();
        assert!(held.len() == 5 && held.values().all(|value| *value == id(number)), "its own: {held:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_writers_see_only_what_was_written() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let values: BTreeSet<_> = (0..8).map(|_| random_hex(8)).collect();
    assert_eq!(send(put(&system, "pool-1", &five_names(values.first().unwrap()))).await.status, 200);
    let writes = values.iter().map(|value| put(&system, "pool-1", &five_names(value)));
    let reads = (0..CALLERS).map(|_| read(&system, "pool-1"));
    let answers = at_once(writes.chain(reads)).await;
    all_are(200, &answers);
    for answer in &answers[values.len()..] {
        let held: BTreeMap<String, String> = serde_json::from_value(answer.json()).unwrap();
        assert_eq!(held.len(), 5, "none is missing while it is replaced");
        assert!(held.values().all(|value| values.contains(value)));
    }
    assert_eq!(stored(&system, "pool-1").await.secrets_revision, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_issued_and_revoked_at_once_count_or_do_not_by_their_generation() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let path = "/api/internal/pools/pool-1/skill-tokens";
    let issue = || system.internal(Method::POST, path).json(&json!({ "ttlSeconds": 600 }));
    let with = |token: &str| {
        system.request(Method::GET, "/api/internal/secrets/maps?poolId=pool-1").header("x-internal-token", token)
    };
    let revocations = CALLERS / 4;
    let requests =
        (0..CALLERS).map(|number| if number % 4 == 0 { system.internal(Method::DELETE, path) } else { issue() });
    let mut tokens = Vec::new();
    for (number, answer) in at_once(requests).await.into_iter().enumerate() {
        if number % 4 == 0 {
            assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true })));
        } else {
            assert_eq!(answer.status, 201, "{answer:?}");
            tokens.push(answer.json()["token"].as_str().unwrap().to_owned());
        }
    }
    // A revocation that the client repeats after a time-out increments the generation twice.
    assert!(stored(&system, "pool-1").await.skill_generation.0 >= u64::from(revocations), "each raised it");

    let fresh = send(issue()).await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(send(with(&fresh)).await.status, 200);
    for answer in at_once(tokens.iter().map(|token| with(token))).await {
        assert!([200, 401].contains(&answer.status.as_u16()), "{answer:?}");
    }
    // A revocation ends all earlier tokens, concurrent readers included.
    assert_eq!(send(system.internal(Method::DELETE, path)).await.status, 200);
    let all = tokens.iter().chain([&fresh]);
    all_are(401, &at_once(all.map(|token| with(token))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_is_answered_as_the_contract_says() {
    let system = System::start().await;
    for pool in ["pool-1", "pool-2"] {
        seed::pool(&system, pool, Some("127.0.0.1:4000")).await;
    }
    let path = |pool: &str, kind: &str| format!("/api/internal/pools/{pool}/{kind}-tokens");
    let ttl = json!({ "ttlSeconds": 600 });
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for number in 0..4 {
        for pool in ["pool-1", "pool-2"] {
            let calls = [
                (register(&system, pool, 4000), 200),
                (heartbeat(&system, pool), 200),
                (put(&system, pool, &five_names(&format!("{pool}-{number}"))), 200),
                (read(&system, pool), 200),
                (system.internal(Method::POST, &path(pool, "skill")).json(&ttl), 201),
                (system.internal(Method::DELETE, &path(pool, "skill")), 200),
                (system.internal(Method::POST, &path(pool, "runtime")).json(&ttl), 201),
                (system.internal(Method::DELETE, &path(pool, "runtime")), 200),
                (heartbeat(&system, "pool-unknown"), 404),
                (put(&system, "pool-unknown", &five_names("v")), 404),
            ];
            for (request, status) in calls {
                requests.push(request);
                expected.push(status);
            }
        }
    }
    let answers = at_once(requests).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, expected);
    for name in ["pool-1", "pool-2"] {
        let pool = stored(&system, name).await;
        assert_eq!(pool.secrets_revision, 4, "{name}: each write was made once, however often it was tried");
        assert!(pool.skill_generation.0 >= 4 && pool.runtime_generation.0 >= 4, "{name}: each raised it");
        let held: BTreeMap<String, String> = serde_json::from_value(send(read(&system, name)).await.json()).unwrap();
        let left: BTreeSet<_> = held.values().collect();
        assert!(held.len() == 5 && left.len() == 1 && left.first().unwrap().starts_with(name), "{name}: {held:?}");
    }
    assert!(system.store().get_pool(&"pool-unknown".parse().unwrap()).await.unwrap().is_none());
}
