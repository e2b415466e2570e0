//! A skill reads only its own secrets and those of the whole pool.

mod at_rest;
mod limits;

use portcullis_tests::{Answer, System, seed, system::send};
use reqwest::Method;
use serde_json::{Value, json};

/// A system with `pool-1`.
async fn system() -> System {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    system
}

async fn put(system: &System, pool: &str, secrets: Value) -> Answer {
    let request = system.internal(Method::PUT, &format!("/api/internal/pools/{pool}/secrets"));
    send(request.json(&json!({ "secrets": secrets }))).await
}

async fn assert_put(system: &System, secrets: Value, count: usize) {
    let answer = put(system, "pool-1", secrets).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true, "count": count })));
}

async fn read(system: &System, skill: &str) -> Value {
    let answer = send(system.skill(Method::GET, &format!("/api/internal/secrets/{skill}?poolId=pool-1"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn revision(system: &System) -> Value {
    let request = system.internal(Method::POST, "/api/internal/pools/heartbeat");
    send(request.json(&json!({ "poolId": "pool-1" }))).await.json()["secretsRevision"].clone()
}

async fn token(system: &System, pool: &str, body: Value) -> String {
    let path = format!("/api/internal/pools/{pool}/skill-tokens");
    let answer = send(system.internal(Method::POST, &path).json(&body)).await;
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_skill_reads_its_own_secrets_and_the_pools_and_no_other_skills() {
    let system = system().await;
    let secrets = json!({
        "SHARED_KEY": "shared",
        "MAPS_KEY": { "value": "maps", "scope": "skill:maps" },
        "MAIL_KEY": { "value": "mail", "scope": "skill:mail" },
        "MAPS_2_KEY": { "value": "maps-2", "scope": "skill:maps-2" },
        "EXPLICIT": { "value": "pool's", "scope": "pool" },
    });
    assert_put(&system, secrets, 5).await;
    let pools = |more: &[(&str, &str)]| {
        let mut all = json!({ "SHARED_KEY": "shared", "EXPLICIT": "pool's" });
        for (name, value) in more {
            all[*name] = json!(value);
        }
        all
    };
    assert_eq!(read(&system, "maps").await, pools(&[("MAPS_KEY", "maps")]));
    assert_eq!(read(&system, "mail").await, pools(&[("MAIL_KEY", "mail")]));
    assert_eq!(read(&system, "maps-2").await, pools(&[("MAPS_2_KEY", "maps-2")]), "a name's beginning is not the name");
    for other in ["other", "map", "maps-", "pool", "skill", "_"] {
        assert_eq!(read(&system, other).await, pools(&[]), "{other}");
    }
}

#[tokio::test]
async fn one_name_may_hold_another_value_in_each_scope_and_the_skills_wins() {
    let system = system().await;
    assert_put(&system, json!({ "KEY": "pool's" }), 1).await;
    assert_put(&system, json!({ "KEY": { "value": "maps'", "scope": "skill:maps" } }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": "maps'" }));
    assert_eq!(read(&system, "mail").await, json!({ "KEY": "pool's" }));

    assert_put(&system, json!({ "KEY": "pool's new one" }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": "maps'" }), "a scope's value stays where another's changes");

    assert_put(&system, json!({ "KEY": { "value": null, "scope": "skill:maps" } }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": "pool's new one" }));
    assert_put(&system, json!({ "KEY": { "value": "again", "scope": "skill:maps" } }), 1).await;
    assert_put(&system, json!({ "KEY": null }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": "again" }), "null deletes in the pool's scope alone");
    assert_eq!(read(&system, "mail").await, json!({}));
    assert_put(&system, json!({ "KEY": null, "NEVER": null }), 2).await;
    assert_eq!(revision(&system).await, 7);
}

#[tokio::test]
async fn a_name_and_a_scope_follow_their_rules() {
    let system = system().await;
    let longest = "N".repeat(128);
    for name in ["A", "_", "a9_", "__proto__", longest.as_str()] {
        assert_put(&system, json!({ name: "taken" }), 1).await;
        assert_eq!(read(&system, "maps").await[name], "taken");
    }
    let before = read(&system, "maps").await;
    let too_long = "N".repeat(129);
    for name in ["", "9A", "A-B", "A.B", "A/B", "../A", "A B", "A#B", "Ä", "A\0", "A=B", "pool#A", too_long.as_str()] {
        let answer = put(&system, "pool-1", json!({ "GOOD": "x", name: "y" })).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].clone()),
            (400, json!("validation_failed")),
            "{name}"
        );
    }
    let long_skill = format!("skill:{}", "s".repeat(65));
    for scope in [
        "",
        "Pool",
        "pools",
        "pool ",
        "skill",
        "skill:",
        "skill:Maps",
        "skill:ma/ps",
        "skill:maps#",
        "skill: maps",
        "bot:maps",
        "*",
        long_skill.as_str(),
    ] {
        let answer = put(&system, "pool-1", json!({ "GOOD": "x", "OTHER": { "value": "y", "scope": scope } })).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].clone()),
            (400, json!("validation_failed")),
            "{scope}"
        );
        assert!(
            answer.json()["fields"]["secrets.OTHER.scope"].is_string()
                || answer.json()["fields"]["secrets.OTHER"].is_string(),
            "{answer:?}"
        );
    }
    assert_eq!(read(&system, "maps").await, before, "a refused call writes nothing");
}

#[tokio::test]
async fn an_unknown_pool_has_no_secrets_and_one_pools_are_not_anothers() {
    let system = system().await;
    seed::pool(&system, "pool-2", None).await;
    assert_put(&system, json!({ "KEY": "one's" }), 1).await;
    for pool in ["pool-2", "pool", "pool-1%20", "nowhere", "pool-1%23pool"] {
        let answer = send(system.skill(Method::GET, &format!("/api/internal/secrets/maps?poolId={pool}"))).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})), "{pool}");
    }
}

#[tokio::test]
async fn a_bound_token_reads_its_own_pool_and_skills_alone() {
    let system = system().await;
    seed::pool(&system, "pool-2", None).await;
    let secrets = json!({ "SHARED": "s", "MAPS_KEY": { "value": "m", "scope": "skill:maps" } });
    assert_put(&system, secrets.clone(), 2).await;
    assert_eq!(put(&system, "pool-2", secrets).await.status, 200);
    let maps = token(&system, "pool-1", json!({ "ttlSeconds": 60, "skills": ["maps", "weather"] })).await;
    let all = token(&system, "pool-1", json!({ "ttlSeconds": 60 })).await;
    let ask = |token: &str, skill: &str, pool: &str| {
        let path = format!("/api/internal/secrets/{skill}?poolId={pool}");
        send(system.request(Method::GET, &path).header("authorization", format!("Bearer {token}")))
    };
    let own = json!({ "SHARED": "s", "MAPS_KEY": "m" });
    assert_eq!(ask(&maps, "maps", "pool-1").await.json(), own);
    assert_eq!(ask(&maps, "weather", "pool-1").await.json(), json!({ "SHARED": "s" }));
    assert_eq!(ask(&all, "maps", "pool-1").await.json(), own);
    assert_eq!(ask(&all, "mail", "pool-1").await.json(), json!({ "SHARED": "s" }));
    for (token, skill, pool, message) in [
        (&maps, "mail", "pool-1", "Token is not valid for this skill"),
        (&maps, "maps", "pool-2", "Token is not valid for this pool"),
        (&maps, "mail", "pool-2", "Token is not valid for this pool"),
        (&all, "maps", "pool-2", "Token is not valid for this pool"),
        (&all, "maps", "nowhere", "Token is not valid for this pool"),
    ] {
        let answer = ask(token, skill, pool).await;
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (403, message), "{skill} of {pool}");
    }
}

#[tokio::test]
async fn a_terminated_pool_loses_its_secrets_and_its_tokens_for_good() {
    let system = system().await;
    let many: serde_json::Map<String, Value> = (0..40).map(|number| (format!("KEY_{number}"), json!("x"))).collect();
    assert_put(&system, Value::Object(many), 40).await;
    let skill = token(&system, "pool-1", json!({ "ttlSeconds": 600 })).await;
    let path = "/api/internal/pools/pool-1/runtime-tokens";
    let runtime = send(system.internal(Method::POST, path).json(&json!({ "ttlSeconds": 600 }))).await;
    let runtime = runtime.json()["token"].as_str().unwrap().to_owned();
    let heartbeat = |status: &str| {
        let request = system.request(Method::POST, "/api/internal/pools/heartbeat");
        send(request.header("x-internal-token", &runtime).json(&json!({ "poolId": "pool-1", "status": status })))
    };
    let ended = json!({ "poolId": "pool-1", "status": "terminated" });
    assert_eq!(send(system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&ended)).await.status, 200);
    let with_token = || {
        let request = system.request(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
        send(request.header("x-internal-token", &skill))
    };
    assert_eq!(read(&system, "maps").await, json!({}));
    assert_eq!(with_token().await.status, 401);
    assert_eq!(heartbeat("active").await.status, 401);
    assert_eq!(put(&system, "pool-1", json!({ "KEY": "x" })).await.status, 404);

    // Registering the id again creates a new pool.
    seed::pool(&system, "pool-1", None).await;
    assert_eq!(read(&system, "maps").await, json!({}));
    assert_eq!(with_token().await.status, 401, "a token of before stays revoked");
    assert_eq!(heartbeat("active").await.status, 401);
    assert_put(&system, json!({ "KEY": "new" }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": "new" }));
}
