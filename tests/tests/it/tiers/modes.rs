//! Modes that restrict the static tokens, rotated tokens, and routes without a credential.

use std::sync::Arc;

use portcullis_tests::{
    Fault, FaultProxy, System, TestClock,
    routes::{Prepared, Tier, calls},
    seed,
    system::{Settings, random_hex, send},
};
use reqwest::Method;
use serde_json::json;

use super::{assert_refused, credentials};

const WRONG_POOL: &str = "Token is not valid for this pool";

#[tokio::test]
async fn in_bound_mode_the_internal_token_is_good_for_what_is_the_operators_and_for_registering() {
    let settings = Settings::random().with("INTERNAL_TOKEN_MODE", "bound");
    let prepared = Prepared::new(System::start_with(settings).await).await;
    let system = &prepared.system;
    for (route, call) in calls().filter(|(route, _)| route.tier.takes_tokens()) {
        let answer = send(prepared.anonymous(call).header("x-internal-token", &system.settings.internal_token)).await;
        match route.tier {
            Tier::Operator | Tier::Registration => assert_eq!(answer.status, call.status, "{call:?} {answer:?}"),
            _ => assert_refused(&answer, 403, WRONG_POOL, call.path),
        }
        if matches!(route.tier, Tier::Runtime | Tier::Registration) {
            let token = credentials::issue_runtime_token(system, "pool-1", 60).await;
            let answer = send(prepared.anonymous(call).header("x-internal-token", token)).await;
            assert_eq!(answer.status, call.status, "{call:?} {answer:?}");
        }
    }
    // The mode does not affect the skill token.
    assert_eq!(send(system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1")).await.status, 200);
}

#[tokio::test]
async fn in_bound_mode_the_skill_token_is_good_for_nothing() {
    let settings = Settings::random().with("SKILL_TOKEN_MODE", "bound");
    let prepared = Prepared::new(System::start_with(settings).await).await;
    let system = &prepared.system;
    let token = credentials::issue_skill_token(system, "pool-1", &["maps"], 60).await;
    for (route, call) in calls().filter(|(route, _)| route.tier == Tier::Skill) {
        let present = |token: &str| send(prepared.anonymous(call).header("x-internal-token", token));
        assert_refused(&present(&system.settings.skill_token).await, 401, route.tier.refusal(), call.path);
        assert_eq!(present(&token).await.status, call.status);
        assert_eq!(present(&system.settings.internal_token).await.status, call.status);
    }
}

#[tokio::test]
async fn a_tokens_previous_value_counts_as_well_and_only_for_its_own_tier() {
    let (internal, skill) = (random_hex(24), random_hex(24));
    let settings =
        Settings::random().with("INTERNAL_API_TOKEN_PREVIOUS", &internal).with("SKILL_API_TOKEN_PREVIOUS", &skill);
    let prepared = Prepared::new(System::start_with(settings).await).await;
    for (route, call) in calls().filter(|(route, _)| route.tier.takes_tokens()) {
        let present = |token: &str| send(prepared.anonymous(call).header("x-internal-token", token));
        assert_eq!(present(&internal).await.status, call.status, "{call:?}");
        let answer = present(&skill).await;
        if route.tier == Tier::Skill {
            assert_eq!(answer.status, call.status, "{call:?}");
        } else {
            assert_refused(&answer, 401, route.tier.refusal(), call.path);
        }
        assert_eq!(send(prepared.authorized(route, call)).await.status, call.status, "{call:?}");
    }
}

#[tokio::test]
async fn a_bound_token_counts_while_its_key_is_in_the_keyring_and_no_longer() {
    let (old, new) = (random_hex(32), random_hex(32));
    let keys = |current: &str| json!({ "current": current, "keys": { "0000000a": old, "0000000b": new } }).to_string();
    let only_new = json!({ "current": "0000000b", "keys": { "0000000b": new } }).to_string();
    let settings = Settings::random();
    let before = System::start_with(settings.clone().with("ENCRYPTION_KEYS", &keys("0000000a"))).await;
    seed::pool(&before, "pool-1", None).await;
    let runtime = credentials::issue_runtime_token(&before, "pool-1", 3600).await;
    let skill = credentials::issue_skill_token(&before, "pool-1", &["maps"], 3600).await;

    for (keys, counts) in [(keys("0000000b"), true), (only_new, false)] {
        let mut settings = settings.clone().with("ENCRYPTION_KEYS", &keys);
        settings.database = Some(before.stack.environment().aws.clone());
        let after = System::try_start(settings, Arc::new(TestClock::new())).await.unwrap();
        let heartbeat =
            after.request(Method::POST, "/api/internal/pools/heartbeat").json(&json!({ "poolId": "pool-1" }));
        let heartbeat = send(heartbeat.header("x-internal-token", &runtime)).await;
        let secrets = after.request(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
        let secrets = send(secrets.header("x-internal-token", &skill)).await;
        if counts {
            assert_eq!((heartbeat.status.as_u16(), secrets.status.as_u16()), (200, 200));
        } else {
            assert_refused(&heartbeat, 401, "Unauthorized internal request", "the runtime token");
            assert_refused(&secrets, 401, "Unauthorized skill request", "the skill token");
        }
        after.shutdown().await;
    }
}

#[tokio::test]
async fn a_public_route_needs_no_credential_and_no_store() {
    let database = System::start().await;
    let proxy = FaultProxy::start(database.database()).await;
    let mut settings = Settings::random().with("COMMIT_HASH", "0123abc");
    settings.database = Some(proxy.sdk_config());
    let system = System::start_with(settings).await;
    proxy.rule(|_| Fault::Hang);
    for (number, (route, call)) in calls().filter(|(route, _)| route.tier == Tier::Public).enumerate() {
        let id = format!("health-{number}");
        let answer = send(system.request(Method::GET, call.path).header("x-request-id", &id)).await;
        let expected = json!({ "status": "ok", "metadata": { "commitHash": "0123abc" } });
        assert_eq!(answer.status, 200, "{route:?}");
        if call.path.starts_with("/health") {
            assert_eq!(answer.json(), expected, "{route:?}");
        }
        let lines = system.logs.of_request(&id);
        let line = lines.iter().find(|line| line["message"] == "request").unwrap();
        assert_eq!(line["storeRounds"], 0, "{line}");
    }
    let without = send(database.request(Method::GET, "/health")).await;
    assert_eq!(without.json(), json!({ "status": "ok", "metadata": { "commitHash": null } }));
}
