//! Expiry and revocation of bound tokens.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_auth::{Clock, Generation, RuntimeGrant, SkillGrant, SkillSet};
use portcullis_crypto::{Domain, Keyring};
use portcullis_tests::{
    Answer, System,
    routes::{Tier, calls},
    seed,
    system::send,
};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    assert_refused,
    credentials::{issue_runtime_token, issue_skill_token},
};

const SKILL_TOKENS: &str = "/api/internal/pools/pool-1/skill-tokens";
const RUNTIME_TOKENS: &str = "/api/internal/pools/pool-1/runtime-tokens";

async fn with_token(system: &System, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = system.request(method, path).header("x-internal-token", token);
    send(if body.is_null() { request } else { request.json(body) }).await
}

async fn read_secrets(system: &System, token: &str) -> Answer {
    with_token(system, token, Method::GET, "/api/internal/secrets/maps?poolId=pool-1", &Value::Null).await
}

async fn heartbeat(system: &System, token: &str, body: &Value) -> Answer {
    with_token(system, token, Method::POST, "/api/internal/pools/heartbeat", body).await
}

#[tokio::test]
async fn with_a_pools_runtime_tokens_end_the_skill_tokens_that_they_made() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let runtime = issue_runtime_token(&system, "pool-1", 3600).await;
    let made = with_token(&system, &runtime, Method::POST, SKILL_TOKENS, &json!({ "ttlSeconds": 600 })).await;
    let skill = made.json()["token"].as_str().unwrap().to_owned();
    let told =
        heartbeat(&system, &runtime, &json!({ "poolId": "pool-1" })).await.json()["skillTokensGeneration"].clone();
    assert_eq!(read_secrets(&system, &skill).await.status, 200);

    assert_eq!(send(system.internal(Method::DELETE, RUNTIME_TOKENS)).await.status, 200);
    assert_refused(&read_secrets(&system, &skill).await, 401, "Unauthorized skill request", "the skill token");
    let refused = heartbeat(&system, &runtime, &json!({ "poolId": "pool-1" })).await;
    assert_refused(&refused, 401, "Unauthorized internal request", "the runtime token");
    // The next heartbeat tells a pool's machine that its skills need a new token.
    let runtime = issue_runtime_token(&system, "pool-1", 3600).await;
    let now =
        heartbeat(&system, &runtime, &json!({ "poolId": "pool-1" })).await.json()["skillTokensGeneration"].clone();
    assert_eq!(now.as_u64(), told.as_u64().map(|generation| generation + 1));
    assert_eq!(send(system.internal(Method::DELETE, SKILL_TOKENS)).await.status, 200);
    let later = heartbeat(&system, &runtime, &json!({ "poolId": "pool-1" })).await;
    assert_eq!(later.status, 200, "the other way round the runtime's tokens stay");
    assert_eq!(later.json()["skillTokensGeneration"].as_u64(), now.as_u64().map(|generation| generation + 1));
}

#[tokio::test]
async fn a_bound_token_makes_none_that_lives_longer_than_itself() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let runtime = issue_runtime_token(&system, "pool-1", 3600).await;
    let ends = system.clock.now() + Duration::from_hours(1);
    let made = async |token: &str, ttl: u64| {
        let answer = with_token(&system, token, Method::POST, SKILL_TOKENS, &json!({ "ttlSeconds": ttl })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = answer.json();
        let end: Timestamp = answer["expiresAt"].as_str().unwrap().parse().unwrap();
        (answer["token"].as_str().unwrap().to_owned(), end)
    };
    assert!(made(&runtime, 60).await.1 < ends);
    let (skill, end) = made(&runtime, 2_592_000).await;
    assert!(end <= ends && end > ends - Duration::from_mins(1), "{end} {ends}");
    let operators = made(&system.settings.internal_token, 2_592_000).await.1;
    assert!(operators > ends + Duration::from_hours(24 * 29));
    system.clock.advance(Duration::from_hours(1));
    assert_refused(&read_secrets(&system, &skill).await, 401, "Unauthorized skill request", "an hour later");
}

#[tokio::test]
async fn only_the_operator_ends_a_pool_and_with_it_its_secrets() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let put = json!({ "secrets": { "KEY": "x" } });
    let path = "/api/internal/pools/pool-1/secrets";
    assert_eq!(send(system.internal(Method::PUT, path).json(&put)).await.status, 200);
    let runtime = issue_runtime_token(&system, "pool-1", 3600).await;
    let skill = issue_skill_token(&system, "pool-1", &["maps"], 3600).await;
    let terminated = json!({ "poolId": "pool-1", "status": "terminated" });
    let said = heartbeat(&system, &runtime, &terminated).await;
    assert_eq!((said.status.as_u16(), &said.json()["status"]), (200, &json!("draining")));
    let registers = with_token(&system, &runtime, Method::POST, "/api/internal/pools/register", &terminated).await;
    assert_eq!(registers.status, 200);
    let pool = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(pool.status.as_str(), "draining");
    assert_eq!(read_secrets(&system, &skill).await.json(), json!({ "KEY": "x" }));
    assert_eq!(heartbeat(&system, &runtime, &json!({ "poolId": "pool-1" })).await.status, 200, "its tokens count on");

    assert_eq!(heartbeat(&system, &system.settings.internal_token, &terminated).await.status, 200);
    assert_refused(
        &read_secrets(&system, &skill).await,
        401,
        "Unauthorized skill request",
        "after the operator's word",
    );
    assert_eq!(send(system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1")).await.json(), json!({}));
}

#[tokio::test]
async fn no_other_domains_key_signs_a_token_that_is_taken() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let root = Keyring::from_single_key(&system.settings.encryption_key).unwrap();
    let (pool, generation) = ("pool-1".parse().unwrap(), Generation(0));
    let expires_at = system.clock.now() + Duration::from_hours(1);
    let runtime = RuntimeGrant { pool, generation, expires_at };
    let skill = SkillGrant { pool: runtime.pool.clone(), skills: SkillSet::All, generation, expires_at };
    // A leak of one domain's key must not allow forging tokens of another: no other domain's key issues a valid one.
    let keyrings = Domain::ALL.map(|domain| (domain.name(), root.for_domain(domain)));
    for (name, keyring) in keyrings.iter().map(|(name, keyring)| (*name, keyring)).chain([("the root", &root)]) {
        let answer = heartbeat(&system, runtime.issue(keyring).expose_secret(), &json!({ "poolId": "pool-1" })).await;
        if name == Domain::RuntimeTokens.name() {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            assert_refused(&answer, 401, "Unauthorized internal request", name);
        }
        let answer = read_secrets(&system, skill.issue(keyring).expose_secret()).await;
        if name == Domain::SkillTokens.name() {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else {
            assert_refused(&answer, 401, "Unauthorized skill request", name);
        }
    }
}

#[tokio::test]
async fn a_bound_token_of_a_pool_that_is_gone_is_refused_alike_on_every_route() {
    let prepared = super::prepared().await;
    let system = &prepared.system;
    let runtime = issue_runtime_token(system, "pool-1", 3600).await;
    let skill = issue_skill_token(system, "pool-1", &["maps"], 3600).await;
    seed::delete_pool(system, "pool-1").await;
    for (route, call) in calls() {
        let (token, message) = match route.tier {
            Tier::Runtime | Tier::Registration => (&runtime, "Unauthorized internal request"),
            Tier::Skill => (&skill, "Unauthorized skill request"),
            _ => continue,
        };
        let answer = send(prepared.anonymous(call).header("x-internal-token", token)).await;
        assert_refused(&answer, 401, message, &format!("{call:?}"));
    }
}
