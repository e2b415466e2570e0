//! The functions on Secrets Manager: a missing secret prevents the start, an outage does not stop a running function,
//! and a rotation causes no pause.
//!
//! The real AWS client calls an emulator. The emulator's real clock determines a value's age, so the manual clock
//! starts at the real time.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod emulator;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_secretsmanager::Client;
use axum::{Router, body::Body};
use emulator::{Proxy, config, unique_name};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_auth::{Clock, SigningSecret};
use portcullis_crypto::Domain;
use portcullis_runtime::{
    SystemClock,
    metrics::Metric,
    rotating::{LOOK_AGAIN_AFTER, REFRESH_AFTER, TRUSTED_FOR},
    secrets::{PREVIOUS_VALUE_COUNTS_FOR, SecretSource},
    settings::SettingsError,
};
use portcullis_tests::in_process::InProcess;
use tower::ServiceExt;

const OLD: &str = "not-a-secret-old-internal-token-for-tests";
const NEW: &str = "not-a-secret-new-internal-token-for-tests";
const SKILL: &str = "not-a-secret-skill-token-for-these-tests";
const SLACK: &str = r#"{"SLACK_SIGNING_SECRET":"not-a-secret-signing-secret"}"#;

/// Keys of these domains, all different.
fn keys(domains: &[Domain]) -> Vec<(&'static str, &'static str)> {
    let key = |domain: &Domain| match domain {
        Domain::SigningSecrets => {
            ("keys/signing-secrets", "00000000000000000000000000000000000000000000000000000000000000a1")
        }
        Domain::DeliverySecrets => {
            ("keys/delivery-secrets", "00000000000000000000000000000000000000000000000000000000000000a2")
        }
        Domain::Configuration => {
            ("keys/configuration", "00000000000000000000000000000000000000000000000000000000000000a3")
        }
        Domain::PoolSecrets => {
            ("keys/pool-secrets", "00000000000000000000000000000000000000000000000000000000000000a4")
        }
        Domain::Integrations => {
            ("keys/integrations", "00000000000000000000000000000000000000000000000000000000000000a5")
        }
        Domain::RuntimeTokens => {
            ("keys/runtime-tokens", "00000000000000000000000000000000000000000000000000000000000000a6")
        }
        Domain::SkillTokens => {
            ("keys/skill-tokens", "00000000000000000000000000000000000000000000000000000000000000a7")
        }
    };
    domains.iter().map(key).collect()
}

/// A deployment with its own tables and secrets, and a proxy in front of Secrets Manager.
struct Deployment {
    machine: InProcess,
    proxy: Proxy,
    admin: Client,
    prefix: String,
}

impl Deployment {
    async fn with_secrets(secrets: &[(&str, &str)]) -> Self {
        let proxy = Proxy::start().await;
        let admin = Client::new(&config(&emulator::url()));
        let prefix = format!("/portcullis/{}/", unique_name("test"));
        for (name, value) in secrets {
            admin.create_secret().name(format!("{prefix}{name}")).secret_string(*value).send().await.unwrap();
        }
        let settings = [("SECRETS_PREFIX", prefix.as_str()), ("BETTER_AUTH_URL", "https://api.example.com")];
        let mut machine = InProcess::start(settings, SystemClock.now()).await;
        machine.environment.secrets = Arc::new(SecretSource::secrets_manager(&config(&proxy.url), &prefix));
        Self { machine, proxy, admin, prefix }
    }

    async fn complete() -> Self {
        let secrets = [("internal-token", OLD), ("skill-token", SKILL), ("slack", SLACK)];
        Self::with_secrets(&[&keys(&Domain::ALL)[..], &secrets].concat()).await
    }

    async fn internal(&self) -> Router {
        internal::start(&self.machine.environment).await.unwrap()
    }

    /// Rotates a secret as an operator does: `aws secretsmanager put-secret-value`.
    async fn rotate(&self, name: &str, value: &str) {
        let secret = format!("{}{name}", self.prefix);
        self.admin.put_secret_value().secret_id(secret).secret_string(value).send().await.unwrap();
    }

    /// Ends the previous value at once, as an operator can.
    async fn take_previous_away(&self, name: &str) {
        let secret = format!("{}{name}", self.prefix);
        let previous = self.admin.get_secret_value().secret_id(&secret).version_stage("AWSPREVIOUS").send().await;
        let version = previous.unwrap().version_id.unwrap();
        let update = self.admin.update_secret_version_stage().secret_id(secret).version_stage("AWSPREVIOUS");
        update.remove_from_version_id(version).send().await.unwrap();
    }

    fn advance(&self, by: Duration) {
        self.machine.clock.advance(by);
    }

    fn failed_looks(&self) -> u64 {
        self.machine.environment.metrics.total(Metric::SecretLookupFailed)
    }
}

async fn register(internal: &Router, token: &str) -> StatusCode {
    let request = Request::post("/api/internal/pools/register")
        .header("x-internal-token", token)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"poolId":"pool-1"}"#))
        .unwrap();
    internal.clone().oneshot(request).await.unwrap().status()
}

async fn get_secrets(skills: &Router, token: &str) -> (StatusCode, String) {
    let request = Request::get("/api/internal/secrets/maps?poolId=pool-1")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = skills.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Calls until the answer is `wanted`, since a background refresh takes a moment; panics after a time-out.
async fn register_until(internal: &Router, token: &str, wanted: StatusCode) {
    let calls = async { while register(internal, token).await != wanted {} };
    tokio::time::timeout(Duration::from_secs(10), calls).await.unwrap_or_else(|_| panic!("it is never {wanted}"));
}

fn problems<T>(started: Result<T, SettingsError>) -> Vec<String> {
    let Err(error) = started else { panic!("it started") };
    error.problems().to_vec()
}

#[tokio::test]
async fn every_function_starts_with_its_own_secrets_and_works_with_them() {
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    assert_eq!(register(&internal, OLD).await, StatusCode::OK);
    assert_eq!(register(&internal, SKILL).await, StatusCode::UNAUTHORIZED);
    let skills = skills::start(&deployment.machine.environment).await.unwrap();
    assert_eq!(get_secrets(&skills, SKILL).await, (StatusCode::OK, "{}".to_owned()));
    slack::start(&deployment.machine.environment).await.map(drop).unwrap();
    relay::Relay::start(&deployment.machine.environment).await.map(drop).unwrap();
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_function_asks_for_no_secret_but_its_own() {
    // The secrets of other functions do not exist.
    let of_internal = [
        Domain::SigningSecrets,
        Domain::DeliverySecrets,
        Domain::Configuration,
        Domain::PoolSecrets,
        Domain::RuntimeTokens,
        Domain::SkillTokens,
    ];
    let secrets = [&keys(&of_internal)[..], &[("internal-token", OLD)]].concat();
    let internals = Deployment::with_secrets(&secrets).await;
    internal::start(&internals.machine.environment).await.map(drop).unwrap();
    internals.machine.end().await;
    let secrets = [&keys(&[Domain::SigningSecrets])[..], &[("slack", SLACK)]].concat();
    let slacks = Deployment::with_secrets(&secrets).await;
    slack::start(&slacks.machine.environment).await.map(drop).unwrap();
    slacks.machine.end().await;
    let tokens = [("internal-token", OLD), ("skill-token", SKILL)];
    let secrets = [&keys(&[Domain::PoolSecrets, Domain::Integrations, Domain::SkillTokens])[..], &tokens].concat();
    let of_skills = Deployment::with_secrets(&secrets).await;
    skills::start(&of_skills.machine.environment).await.map(drop).unwrap();
    of_skills.machine.end().await;
    let relays = Deployment::with_secrets(&keys(&[Domain::DeliverySecrets])).await;
    relay::Relay::start(&relays.machine.environment).await.map(drop).unwrap();
    relays.machine.end().await;
}

#[tokio::test]
async fn everything_that_is_missing_or_malformed_is_named_at_once_and_never_its_value() {
    let deployment = Deployment::with_secrets(&[
        ("keys/pool-secrets", "canary-which-is-no-key"),
        ("keys/signing-secrets", "canary-which-is-no-key"),
        ("skill-token", "canary-too-short"),
        ("slack", r#"{"SLACK_CLIENT_ID":"canary"}"#),
    ])
    .await;
    let prefix = &deployment.prefix;
    let mut found = problems(skills::start(&deployment.machine.environment).await);
    found.sort();
    // Composio's secret is optional, so it is not reported.
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[0], format!("secret {prefix}internal-token is not set"));
    assert_eq!(found[1], format!("secret {prefix}keys/integrations is not set"));
    assert!(found[2].starts_with(&format!("secret {prefix}keys/pool-secrets a key must be ")), "{found:?}");
    assert_eq!(found[3], format!("secret {prefix}keys/skill-tokens is not set"));
    assert_eq!(found[4], format!("secret {prefix}skill-token must be at least 32 characters"));
    let of_slack = problems(slack::start(&deployment.machine.environment).await);
    assert_eq!(of_slack.len(), 2, "{of_slack:?}");
    assert!(of_slack.iter().any(|problem| problem.starts_with(&format!("secret {prefix}slack "))), "{of_slack:?}");
    assert!(found.iter().chain(&of_slack).all(|problem| !problem.contains("canary")), "{found:?} {of_slack:?}");
    deployment.machine.end().await;
}

#[tokio::test]
async fn tokens_of_two_tiers_must_differ_whichever_version_of_them_is_alike() {
    let deployment = Deployment::complete().await;
    deployment.rotate("skill-token", OLD).await;
    let found = problems(skills::start(&deployment.machine.environment).await);
    assert_eq!(found, ["SKILL_API_TOKEN must be unlike INTERNAL_API_TOKEN"]);
    deployment.machine.end().await;
}

#[tokio::test]
async fn all_secrets_are_looked_up_together() {
    let deployment = Deployment::complete().await;
    // Three keyrings, the key to Composio, and the current and the previous value of two tokens.
    deployment.proxy.hold_until(8);
    let skills = skills::start(&deployment.machine.environment).await.unwrap();
    assert_eq!(deployment.proxy.operations().values().sum::<usize>(), 8);
    assert_eq!(get_secrets(&skills, OLD).await.0, StatusCode::OK);
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_function_refuses_to_start_while_secrets_manager_is_away_and_says_for_what() {
    let deployment = Deployment::complete().await;
    deployment.proxy.cut();
    let found = problems(skills::start(&deployment.machine.environment).await);
    assert_eq!(found.len(), 6, "{found:?}");
    let names =
        ["keys/pool-secrets", "keys/integrations", "keys/skill-tokens", "internal-token", "skill-token", "composio"];
    for name in names {
        let start = format!("secret {}{name} could not be looked up: ", deployment.prefix);
        assert_eq!(found.iter().filter(|problem| problem.starts_with(&start)).count(), 1, "{found:?}");
    }
    deployment.proxy.recover();
    skills::start(&deployment.machine.environment).await.map(drop).expect("it starts when it is back");
    deployment.machine.end().await;
}

#[tokio::test]
async fn while_secrets_manager_is_away_the_last_good_values_serve() {
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    deployment.proxy.cut();
    for _ in 0..3 {
        deployment.advance(REFRESH_AFTER);
        assert_eq!(register(&internal, OLD).await, StatusCode::OK);
        assert_eq!(register(&internal, NEW).await, StatusCode::UNAUTHORIZED);
    }
    assert!(deployment.failed_looks() >= 3, "a look that failed is counted");
    deployment.rotate("internal-token", NEW).await;
    deployment.proxy.recover();
    deployment.advance(LOOK_AGAIN_AFTER);
    assert_eq!(register(&internal, NEW).await, StatusCode::OK, "what was rotated meanwhile is found when it is back");
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_strangers_wrong_tokens_cost_one_look_in_30_seconds() {
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    let looks = || deployment.proxy.operations().values().sum::<usize>();
    let at_start = looks();
    for round in 1..=3 {
        deployment.advance(LOOK_AGAIN_AFTER);
        let strangers: Vec<_> = (0..20)
            .map(|_| {
                let internal = internal.clone();
                tokio::spawn(async move { register(&internal, "a-wrong-token-that-a-stranger-sends").await })
            })
            .collect();
        for stranger in strangers {
            assert_eq!(stranger.await.unwrap(), StatusCode::UNAUTHORIZED);
        }
        assert_eq!(looks() - at_start, round * 2, "a look is for the current and the previous value");
    }
    deployment.machine.end().await;
}

/// Eight clients that call without pause, each with the token in its slot; no call may be refused.
struct Clients {
    tokens: Arc<[Mutex<&'static str>; 8]>,
    calls: Arc<AtomicUsize>,
    refused: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Clients {
    fn start(internal: &Router) -> Self {
        let tokens = Arc::new(std::array::from_fn(|_| Mutex::new(OLD)));
        let clients =
            Self { tokens, calls: Arc::default(), refused: Arc::default(), stop: Arc::default(), tasks: Vec::new() };
        let tasks = (0..8).map(|place| {
            let (internal, tokens, calls) = (internal.clone(), Arc::clone(&clients.tokens), Arc::clone(&clients.calls));
            let (refused, stop) = (Arc::clone(&clients.refused), Arc::clone(&clients.stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let token = *tokens[place].lock().unwrap();
                    let status = register(&internal, token).await;
                    let call = calls.fetch_add(1, Ordering::SeqCst);
                    if status != StatusCode::OK {
                        refused.lock().unwrap().push(format!("call {call} of client {place} with {token}: {status}"));
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self { tasks, ..clients }
    }

    /// Waits until this many more calls have been answered.
    async fn go_on_for(&self, calls: usize) {
        let until = self.calls.load(Ordering::SeqCst) + calls;
        while self.calls.load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
    }

    /// Gives the new token to every second client.
    fn hand_out(&self, token: &'static str) {
        for place in self.tokens.iter().step_by(2) {
            *place.lock().unwrap() = token;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        let refused = self.refused.lock().unwrap();
        assert!(refused.is_empty(), "{} calls were refused, such as {}", refused.len(), refused[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_locks_nobody_out_and_ends_the_previous_value_after_24_hours() {
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    let clients = Clients::start(&internal);
    clients.go_on_for(200).await;
    deployment.rotate("internal-token", NEW).await;
    clients.go_on_for(200).await;
    // An instance that has just refreshed refuses a new value until it may refresh again: the contract's 30 s.
    deployment.advance(LOOK_AGAIN_AFTER);
    clients.hand_out(NEW);
    clients.go_on_for(400).await;
    deployment.advance(REFRESH_AFTER);
    clients.go_on_for(400).await;
    deployment.advance(Duration::from_hours(23));
    clients.go_on_for(400).await;
    clients.end().await;

    deployment.advance(Duration::from_hours(1));
    assert_eq!(register(&internal, OLD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(register(&internal, NEW).await, StatusCode::OK);
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_function_that_starts_after_a_rotation_takes_both_values() {
    let deployment = Deployment::complete().await;
    deployment.rotate("internal-token", NEW).await;
    let internal = deployment.internal().await;
    assert_eq!(register(&internal, OLD).await, StatusCode::OK);
    assert_eq!(register(&internal, NEW).await, StatusCode::OK);
    deployment.advance(PREVIOUS_VALUE_COUNTS_FOR + Duration::from_mins(1));
    assert_eq!(register(&internal, OLD).await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

#[tokio::test]
async fn an_operator_ends_the_previous_value_by_taking_its_label_away() {
    let deployment = Deployment::complete().await;
    deployment.rotate("internal-token", NEW).await;
    let internal = deployment.internal().await;
    assert_eq!(register(&internal, OLD).await, StatusCode::OK);
    deployment.take_previous_away("internal-token").await;
    deployment.advance(REFRESH_AFTER);
    register_until(&internal, OLD, StatusCode::UNAUTHORIZED).await;
    assert_eq!(register(&internal, NEW).await, StatusCode::OK);
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_second_rotation_ends_the_value_before_the_previous_one() {
    const NEWEST: &str = "not-a-secret-newest-internal-token-for-tests";
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    deployment.rotate("internal-token", NEW).await;
    deployment.rotate("internal-token", NEWEST).await;
    deployment.advance(LOOK_AGAIN_AFTER);
    assert_eq!(register(&internal, NEWEST).await, StatusCode::OK);
    assert_eq!(register(&internal, NEW).await, StatusCode::OK);
    assert_eq!(register(&internal, OLD).await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_malformed_value_that_was_put_right_does_no_more_harm() {
    let deployment = Deployment::complete().await;
    let running = deployment.internal().await;
    deployment.rotate("internal-token", "too-short").await;
    deployment.advance(LOOK_AGAIN_AFTER);
    assert_eq!(register(&running, NEW).await, StatusCode::UNAUTHORIZED);
    assert_eq!(register(&running, OLD).await, StatusCode::OK, "the last good value serves");
    deployment.rotate("internal-token", NEW).await;
    deployment.advance(LOOK_AGAIN_AFTER);
    assert_eq!(register(&running, NEW).await, StatusCode::OK);
    let started = deployment.internal().await;
    assert_eq!(register(&started, NEW).await, StatusCode::OK);
    assert_eq!(register(&started, "too-short").await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

#[tokio::test]
async fn an_instance_that_was_frozen_over_a_rotation_does_not_take_what_ended_meanwhile() {
    let deployment = Deployment::complete().await;
    let frozen = deployment.internal().await;
    deployment.rotate("internal-token", NEW).await;
    deployment.advance(PREVIOUS_VALUE_COUNTS_FOR + Duration::from_hours(1));
    assert_eq!(register(&frozen, OLD).await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

/// Sends an event of the platform's own Slack app, signed at the current time, and returns the function's status.
async fn slack_says(deployment: &Deployment, slack: &Router, secret: &str) -> StatusCode {
    let at = deployment.machine.clock.now().as_second().to_string();
    let body = r#"{"type":"event_callback","team_id":"T0NOBODY","api_app_id":"A0PLATFORM","event":{"type":"message"}}"#;
    let signature = SigningSecret::new(secret.into()).sign(&at, body.as_bytes());
    let request = Request::post("/api/slack/events")
        .header("content-type", "application/json")
        .header("x-slack-signature", signature)
        .header("x-slack-request-timestamp", at)
        .body(Body::from(body))
        .unwrap();
    slack.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_rotated_signing_secret_of_the_platform_counts_for_24_hours_and_no_longer() {
    const OLD_SECRET: &str = "not-a-secret-signing-secret";
    const NEW_SECRET: &str = "not-a-secret-new-signing-secret";
    let deployment = Deployment::complete().await;
    let slack = slack::start(&deployment.machine.environment).await.unwrap();
    assert_eq!(slack_says(&deployment, &slack, OLD_SECRET).await, StatusCode::OK);
    deployment.rotate("slack", &SLACK.replace(OLD_SECRET, NEW_SECRET)).await;
    deployment.advance(LOOK_AGAIN_AFTER);
    assert_eq!(slack_says(&deployment, &slack, NEW_SECRET).await, StatusCode::OK);
    assert_eq!(slack_says(&deployment, &slack, OLD_SECRET).await, StatusCode::OK);
    deployment.advance(PREVIOUS_VALUE_COUNTS_FOR);
    assert_eq!(slack_says(&deployment, &slack, OLD_SECRET).await, StatusCode::UNAUTHORIZED);
    assert_eq!(slack_says(&deployment, &slack, NEW_SECRET).await, StatusCode::OK);
    deployment.machine.end().await;
}

#[tokio::test]
async fn an_instance_that_was_frozen_over_a_rotation_takes_no_signature_of_the_secret_that_ended() {
    let deployment = Deployment::complete().await;
    let frozen = slack::start(&deployment.machine.environment).await.unwrap();
    deployment.rotate("slack", r#"{"SLACK_SIGNING_SECRET":"not-a-secret-new-signing-secret"}"#).await;
    deployment.advance(PREVIOUS_VALUE_COUNTS_FOR + Duration::from_hours(1));
    assert_eq!(slack_says(&deployment, &frozen, "not-a-secret-signing-secret").await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

#[tokio::test]
async fn an_instance_that_was_frozen_while_a_key_was_dropped_takes_no_token_that_it_signed() {
    let deployment = Deployment::complete().await;
    let frozen = deployment.internal().await;
    assert_eq!(register(&frozen, OLD).await, StatusCode::OK);
    let issued = Request::post("/api/internal/pools/pool-1/runtime-tokens")
        .header("x-internal-token", OLD)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"ttlSeconds":31536000}"#))
        .unwrap();
    let issued = frozen.clone().oneshot(issued).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let issued: serde_json::Value = serde_json::from_slice(&issued).unwrap();
    let token = issued["token"].as_str().unwrap();
    assert_eq!(register(&frozen, token).await, StatusCode::OK);
    deployment.rotate("keys/runtime-tokens", &"b6".repeat(32)).await;
    deployment.advance(TRUSTED_FOR);
    assert_eq!(register(&frozen, token).await, StatusCode::UNAUTHORIZED);
    deployment.machine.end().await;
}

#[tokio::test]
async fn a_look_that_its_caller_does_not_wait_for_is_recorded_all_the_same() {
    let deployment = Deployment::complete().await;
    let internal = deployment.internal().await;
    deployment.rotate("internal-token", NEW).await;
    deployment.advance(LOOK_AGAIN_AFTER);
    let looks = || deployment.proxy.operations().values().sum::<usize>();
    deployment.proxy.cut();
    // The caller gives up at once: the refresh goes on and fails, and later callers do not start another.
    let _ = tokio::time::timeout(Duration::ZERO, register(&internal, NEW)).await;
    while deployment.failed_looks() == 0 {
        tokio::task::yield_now().await;
    }
    let looked = looks();
    deployment.proxy.recover();
    assert_eq!(register(&internal, NEW).await, StatusCode::UNAUTHORIZED, "it was looked for less than 30 s ago");
    assert_eq!(looks(), looked, "no look but the one that was given up");
    deployment.machine.end().await;
}
