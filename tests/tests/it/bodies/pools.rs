//! Validation of a pool's fields: its id, its address, and its reported state.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_tests::{
    System, seed,
    system::{Settings, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{assert_field, assert_refused, prepared};

const REGISTER: &str = "/api/internal/pools/register";
const HEARTBEAT: &str = "/api/internal/pools/heartbeat";

async fn post(system: &System, path: &str, body: Value) -> portcullis_tests::Answer {
    send(system.internal(Method::POST, path).json(&body)).await
}

async fn address(system: &System, pool: &str) -> Option<String> {
    let pool = system.store().get_pool(&pool.parse().unwrap()).await.unwrap().unwrap();
    pool.address.map(|address| address.to_string())
}

#[tokio::test]
async fn a_pools_id_has_1_to_128_characters() {
    let prepared = prepared().await;
    for taken in ["p".to_owned(), "p".repeat(128), "é".repeat(128), "a b/c#d%?&".to_owned(), "🦀".to_owned()] {
        for path in [REGISTER, HEARTBEAT] {
            let answer = post(&prepared.system, path, json!({ "poolId": taken })).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["poolId"]), (200, &json!(taken)), "{path}");
        }
    }
    for wrong in [String::new(), "p".repeat(129), "é".repeat(129), "c4n4ry\0".to_owned(), "c4n4ry\n".to_owned()] {
        for path in [REGISTER, HEARTBEAT] {
            assert_field(&prepared, path, json!({ "poolId": wrong }), "poolId").await;
        }
    }
}

#[tokio::test]
async fn an_id_in_a_path_is_percent_decoded_once() {
    let prepared = prepared().await;
    let system = &prepared.system;
    for (id, encoded) in [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a%2Fb", "a%252Fb"),
        ("é", "%C3%A9"),
        ("a+b", "a+b"),
        ("#?&=", "%23%3F%26%3D"),
        ("..%", "..%25"),
        (&"é".repeat(128), &"%C3%A9".repeat(128)),
    ] {
        seed::pool(system, id, None).await;
        let secrets = json!({ "secrets": { "ID": id } });
        let put = system.internal(Method::PUT, &format!("/api/internal/pools/{encoded}/secrets")).json(&secrets);
        assert_eq!(send(put).await.status, 200, "{encoded}");
    }
    let query = |id: &str| format!("/api/internal/secrets/maps?poolId={id}");
    for (encoded, id) in [("a%2Fb", "a/b"), ("a/b", "a/b"), ("a%252Fb", "a%2Fb"), ("a%2Bb", "a+b"), ("a+b", "a b")] {
        let answer = send(system.skill(Method::GET, &query(encoded))).await;
        assert_eq!(answer.json(), json!({ "ID": id }), "{encoded}");
    }
    let too_long = "p".repeat(129);
    for wrong in ["%00", "%FF", "%C3", "a%0Ab", &too_long] {
        let path = format!("/api/internal/pools/{wrong}/runtime-tokens");
        assert_field(&prepared, &path, json!({ "ttlSeconds": 60 }), "poolId").await;
    }
}

#[tokio::test]
async fn a_secrets_query_names_one_pool_and_its_path_one_skill() {
    let prepared = prepared().await;
    let ask = |path: &str| send(prepared.system.skill(Method::GET, path));
    let too_long = format!("?poolId={}", "c4n4ry".repeat(22));
    for query in ["", "?", "?poolid=pool-1", "?poolId=", "?poolId=pool-1&poolId=c4n4ry", "?poolId=c4n4ry%00", &too_long]
    {
        let answer = ask(&format!("/api/internal/secrets/maps{query}")).await;
        assert_refused(&answer, 400, "validation_failed", query);
        assert!(answer.json()["fields"]["poolId"].is_string(), "{query}");
    }
    for skill in ["Maps", "c4n4ry%2Fx", "%00", "%FF", "ma%20ps", &"a".repeat(65), "skill:maps", "c4n4ry%23X"] {
        let answer = ask(&format!("/api/internal/secrets/{skill}?poolId=pool-1")).await;
        assert_refused(&answer, 400, "validation_failed", skill);
        assert!(answer.json()["fields"]["skillName"].is_string(), "{skill}");
    }
    assert_eq!(ask(&format!("/api/internal/secrets/{}?poolId=pool-1", "a".repeat(64))).await.status, 200);
}

#[tokio::test]
async fn a_pools_address_lies_where_pools_may_live() {
    let settings = Settings::random().with("POOL_CIDRS", "10.1.0.0/16,127.0.0.0/8,fd00:1::/32,169.254.0.0/16,::/8");
    let system = System::start_with(settings).await;
    for (taken, kept) in [
        ("10.1.2.3", "10.1.2.3:18789"),
        ("10.1.2.3:1024", "10.1.2.3:1024"),
        ("10.1.255.255:65535", "10.1.255.255:65535"),
        ("fd00:1::7", "[fd00:1::7]:18789"),
        ("[fd00:1::7]:8080", "[fd00:1::7]:8080"),
        ("FD00:1:0::7", "[fd00:1::7]:18789"),
    ] {
        let answer = post(&system, REGISTER, json!({ "poolId": "pool-1", "podIp": taken })).await;
        assert_eq!(answer.status, 200, "{taken}");
        assert_eq!(address(&system, "pool-1").await.as_deref(), Some(kept));
    }
    for wrong in [
        "10.2.0.1",
        "8.8.8.8",
        "10.1.2.3:1",
        "10.1.2.3:1023",
        "[fd00:1::7]:80",
        "8.8.8.8:8080",
        "169.254.169.254",
        "169.254.169.254:80",
        "::ffff:10.1.2.3",
        "[::ffff:10.1.2.3]:80",
        "::ffff:169.254.169.254",
        "::ffff:a01:203",
        "fd00:2::7",
        "fe80::1",
        "::",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "10.1.2.3:0",
        "10.1.2.3:65536",
        "10.1.2.3:",
        "10.1.2.3:80:80",
        "10.1.2.3/16",
        "http://10.1.2.3",
        "user@10.1.2.3",
        "localhost",
        "c4n4ry.internal:80",
        " 10.1.2.3",
        "10.1.2.3 ",
        "10.1.2.3\0",
        "10.1.02.3",
        "0x0a010203",
        "167838211",
        "10.1.515",
        "[fd00:1::7]",
        "[fe80::1%1]:80",
        " ",
    ] {
        for path in [REGISTER, HEARTBEAT] {
            let answer = post(&system, path, json!({ "poolId": "pool-1", "podIp": wrong })).await;
            assert_refused(&answer, 400, "validation_failed", wrong);
            assert!(answer.json()["fields"]["podIp"].is_string(), "{wrong}: {answer:?}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(wrong.len() < 4 || !text.contains(wrong), "{wrong}: {text}");
        }
    }
    let kept = address(&system, "pool-1").await;
    assert_eq!(kept.as_deref(), Some("[fd00:1::7]:18789"), "a refused address replaces nothing");
}

#[tokio::test]
async fn registering_again_updates_and_keeps_the_address_where_none_is_given() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", Some("127.0.0.9:9000")).await;
    for body in [json!({ "poolId": "pool-1" }), json!({ "poolId": "pool-1", "podIp": null, "status": "draining" })] {
        let answer = post(&system, REGISTER, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true, "poolId": "pool-1" })));
        assert_eq!(address(&system, "pool-1").await.as_deref(), Some("127.0.0.9:9000"));
    }
    let heartbeat = post(&system, HEARTBEAT, json!({ "poolId": "pool-1", "podIp": "127.0.0.8" })).await;
    assert_eq!(heartbeat.status, 200);
    assert_eq!(address(&system, "pool-1").await.as_deref(), Some("127.0.0.8:18789"));
    assert_eq!(post(&system, HEARTBEAT, json!({ "poolId": "pool-1" })).await.status, 200);
    assert_eq!(address(&system, "pool-1").await.as_deref(), Some("127.0.0.8:18789"));
}

#[tokio::test]
async fn a_heartbeat_tells_what_changed_and_counts_by_our_own_clock() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    system.clock.advance(Duration::from_secs(7));
    let body = json!({
        "poolId": "pool-1", "status": "degraded", "lastSeenVersion": 0, "timestamp": "2001-02-03T04:05:06.000Z",
    });
    let answer = post(&system, HEARTBEAT, body).await;
    let expected = json!({
        "ok": true, "poolId": "pool-1", "status": "degraded", "configVersion": 1, "secretsRevision": 0,
        "skillsVersion": 0, "templatesVersion": 0, "skillTokensGeneration": 0,
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    let stored = system.store().get_pool(&pool).await.unwrap().unwrap();
    assert_eq!((stored.last_seen_at, stored.last_seen_version), (system.clock.now(), Some(0)));
}

#[tokio::test]
async fn a_pool_that_is_not_known_is_not_found_by_its_name() {
    let system = System::start().await;
    let gone = |method: Method, path: &str, body: Value| send(system.internal(method, path).json(&body));
    for (method, path, body) in [
        (Method::POST, HEARTBEAT, json!({ "poolId": "nowhere" })),
        (Method::PUT, "/api/internal/pools/nowhere/secrets", json!({ "secrets": { "A": "x" } })),
        (Method::PUT, "/api/internal/pools/nowhere/secrets", json!({ "secrets": {} })),
        (Method::POST, "/api/internal/pools/nowhere/skill-tokens", json!({ "ttlSeconds": 60 })),
        (Method::DELETE, "/api/internal/pools/nowhere/skill-tokens", json!({})),
        (Method::POST, "/api/internal/pools/nowhere/runtime-tokens", json!({ "ttlSeconds": 60 })),
        (Method::DELETE, "/api/internal/pools/nowhere/runtime-tokens", json!({})),
    ] {
        let answer = gone(method, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (404, "Pool nowhere not found"), "{path}");
        assert_eq!(answer.json()["code"], "not_found");
    }
    let known = system.store().get_pool(&"nowhere".parse().unwrap()).await.unwrap();
    assert_eq!(known, None, "asking for a pool does not make one");
}
