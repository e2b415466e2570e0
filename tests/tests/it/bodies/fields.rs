//! Invalid fields: each is named with its constraint.

use portcullis_tests::system::send;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CANARY, assert_field, assert_refused, prepared};

const REGISTER: &str = "/api/internal/pools/register";
const HEARTBEAT: &str = "/api/internal/pools/heartbeat";
const SECRETS: &str = "/api/internal/pools/pool-1/secrets";
const SKILL_TOKENS: &str = "/api/internal/pools/pool-1/skill-tokens";
const RUNTIME_TOKENS: &str = "/api/internal/pools/pool-1/runtime-tokens";

#[tokio::test]
async fn a_field_of_another_type_is_named() {
    let prepared = prepared().await;
    let big: Value = serde_json::from_str("99999999999999999999").unwrap();
    let not_text = [json!(7), json!(true), json!([CANARY]), json!({ CANARY: 1 }), big.clone()];
    for path in [REGISTER, HEARTBEAT] {
        for wrong in not_text.iter().cloned().chain([Value::Null]) {
            assert_field(&prepared, path, json!({ "poolId": wrong }), "poolId").await;
        }
        for wrong in &not_text {
            assert_field(&prepared, path, json!({ "poolId": "pool-1", "podIp": wrong }), "podIp").await;
            assert_field(&prepared, path, json!({ "poolId": "pool-1", "status": wrong }), "status").await;
        }
    }
    for wrong in [json!("7"), json!(-1), json!(1.5), json!([]), big.clone(), json!(CANARY)] {
        let body = json!({ "poolId": "pool-1", "lastSeenVersion": wrong });
        assert_field(&prepared, HEARTBEAT, body, "lastSeenVersion").await;
    }
    for wrong in [json!(1_800_000_000), json!("yesterday"), json!(CANARY), json!("2026-13-01T00:00:00Z"), json!(" ")] {
        let body = json!({ "poolId": "pool-1", "timestamp": wrong });
        assert_field(&prepared, HEARTBEAT, body, "timestamp").await;
    }
    for wrong in not_text.iter().cloned().chain([Value::Null, json!(CANARY)]) {
        // An object is valid here.
        if wrong.is_object() {
            continue;
        }
        assert_field(&prepared, SECRETS, json!({ "secrets": wrong }), "secrets").await;
    }
    for path in [SKILL_TOKENS, RUNTIME_TOKENS] {
        for wrong in [json!("60"), json!(60.5), json!(null), json!([60]), big.clone(), json!(CANARY)] {
            assert_field(&prepared, path, json!({ "ttlSeconds": wrong }), "ttlSeconds").await;
        }
    }
    for wrong in [json!("maps"), json!({ "maps": true }), json!(7)] {
        assert_field(&prepared, SKILL_TOKENS, json!({ "ttlSeconds": 60, "skills": wrong }), "skills").await;
    }
    let body = json!({ "ttlSeconds": 60, "skills": ["maps", 7] });
    assert_field(&prepared, SKILL_TOKENS, body, "skills[1]").await;
}

#[tokio::test]
async fn a_field_that_is_missing_is_named() {
    let prepared = prepared().await;
    for (path, field) in [
        (REGISTER, "poolId"),
        (HEARTBEAT, "poolId"),
        (SECRETS, "secrets"),
        (SKILL_TOKENS, "ttlSeconds"),
        (RUNTIME_TOKENS, "ttlSeconds"),
    ] {
        assert_field(&prepared, path, json!({ "unknown": CANARY }), field).await;
    }
}

#[tokio::test]
async fn a_status_is_one_of_six_words() {
    let prepared = prepared().await;
    for path in [REGISTER, HEARTBEAT] {
        for wrong in ["", "Active", "ACTIVE", " active", "active ", "alive", CANARY, "active\0"] {
            assert_field(&prepared, path, json!({ "poolId": "pool-1", "status": wrong }), "status").await;
        }
    }
    for word in ["pending", "active", "degraded", "unhealthy", "draining", "terminated"] {
        let body = json!({ "poolId": format!("pool-{word}"), "status": word });
        assert_eq!(send(prepared.system.internal(Method::POST, REGISTER).json(&body)).await.status, 200, "{word}");
    }
    for word in ["pending", "active", "degraded", "unhealthy", "draining"] {
        let body = json!({ "poolId": "pool-1", "status": word });
        let answer = send(prepared.system.internal(Method::POST, HEARTBEAT).json(&body)).await;
        assert_eq!(answer.json()["status"], word);
    }
    let answer = send(prepared.system.internal(Method::POST, HEARTBEAT).json(&json!({ "poolId": "pool-1" }))).await;
    assert_eq!(answer.json()["status"], "active", "active is what a pool is that says nothing else");
}

#[tokio::test]
async fn a_tokens_life_has_bounds() {
    let prepared = prepared().await;
    for (path, longest) in [(SKILL_TOKENS, 2_592_000), (RUNTIME_TOKENS, 31_536_000)] {
        for wrong in [json!(59), json!(0), json!(-60), json!(longest + 1), json!(i64::MAX), json!(u64::MAX)] {
            assert_field(&prepared, path, json!({ "ttlSeconds": wrong }), "ttlSeconds").await;
        }
        for (seconds, until) in [(60, "2027-01-15T12:01:00.000Z"), (86_400, "2027-01-16T12:00:00.000Z")] {
            let body = json!({ "ttlSeconds": seconds });
            let answer = send(prepared.system.internal(Method::POST, path).json(&body)).await;
            assert_eq!((answer.status.as_u16(), answer.json()["expiresAt"].as_str().unwrap()), (201, until));
        }
        let body = json!({ "ttlSeconds": longest });
        assert_eq!(send(prepared.system.internal(Method::POST, path).json(&body)).await.status, 201);
    }
}

#[tokio::test]
async fn a_skill_token_names_at_most_64_skills_by_their_names() {
    let prepared = prepared().await;
    let names = |count: usize| (0..count).map(|number| format!("skill-{number}")).collect::<Vec<_>>();
    let ask = |skills: Value| {
        let body = json!({ "ttlSeconds": 60, "skills": skills });
        send(prepared.system.internal(Method::POST, SKILL_TOKENS).json(&body))
    };
    for taken in
        [json!([]), json!(["maps"]), json!(names(64)), json!(["maps", "maps"]), json!(["a".repeat(64)]), Value::Null]
    {
        assert_eq!(ask(taken.clone()).await.status, 201, "{taken}");
    }
    let body = json!({ "ttlSeconds": 60, "skills": names(65) });
    assert_field(&prepared, SKILL_TOKENS, body, "skills").await;
    for wrong in ["", "Maps", "ma ps", "maps/", "maps\0", &"a".repeat(65), "*", "c4n4ry!"] {
        let body = json!({ "ttlSeconds": 60, "skills": ["maps", wrong] });
        assert_field(&prepared, SKILL_TOKENS, body, "skills[1]").await;
    }
}

#[tokio::test]
async fn a_secrets_name_with_a_canary_is_not_repeated() {
    let prepared = prepared().await;
    for name in ["", "9c4n4ry", "c4n4ry/x", "c4n4ry-x", "c4n4ry x", "c4n4ry\0", "c4n4ryé", &"c4n4ry".repeat(22)] {
        let request = prepared.system.internal(Method::PUT, SECRETS).json(&json!({ "secrets": { name: "x" } }));
        assert_refused(&send(request).await, 400, "validation_failed", name);
    }
}
