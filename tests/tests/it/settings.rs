//! A function with a missing or malformed setting does not start; the error names the setting and reveals nothing of
//! its value.

use std::{collections::BTreeMap, sync::Arc};

use portcullis_auth::Clock;
use portcullis_local::{Options, Stack};
use portcullis_runtime::{Environment, queue::EventQueue, secrets::SecretSource, settings::SettingsError};
use portcullis_tests::{
    System, TestClock, seed, slack as from_slack,
    system::{Settings, random_hex, send},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;

type Variables = BTreeMap<String, SecretString>;

/// Problems that each function reports with this environment, in the order `slack`, `internal`, `skills`; empty if it
/// starts.
async fn problems(system: &System, of: Variables, queue: Option<Arc<dyn EventQueue>>) -> [Vec<String>; 3] {
    let environment = Environment {
        secrets: Arc::new(SecretSource::Environment(of.clone())),
        variables: of,
        queue,
        ..system.stack.environment().clone()
    };
    let said = |started: Result<_, SettingsError>| {
        started.map(|_| ()).map_or_else(|error| error.problems().to_vec(), |()| Vec::new())
    };
    [
        said(slack::start(&environment).await),
        said(internal::start(&environment).await),
        said(skills::start(&environment).await),
    ]
}

fn assert_names(problems: &[String], names: &[&str]) {
    assert_eq!(problems.len(), names.len(), "{problems:?} for {names:?}");
    for name in names {
        let found = problems.iter().filter(|problem| problem.split([' ', ',']).any(|word| word == *name)).count();
        assert_eq!(found, 1, "{name} in {problems:?}");
    }
}

#[tokio::test]
async fn each_setting_that_is_missing_is_named_all_at_once() {
    let [slack, internal, skills] = problems(&System::start().await, Variables::new(), None).await;
    assert_names(&slack, &["ENCRYPTION_KEY", "SLACK_SIGNING_SECRET", "TABLE_PREFIX", "EVENT_QUEUE_URL"]);
    assert_names(&internal, &["ENCRYPTION_KEY", "INTERNAL_API_TOKEN", "TABLE_PREFIX", "POOL_CIDRS"]);
    assert_names(
        &skills,
        &["ENCRYPTION_KEY", "INTERNAL_API_TOKEN", "SKILL_API_TOKEN", "TABLE_PREFIX", "BETTER_AUTH_URL"],
    );
}

#[tokio::test]
async fn an_empty_setting_is_a_missing_one() {
    let names = [
        "ENCRYPTION_KEY",
        "ENCRYPTION_KEYS",
        "INTERNAL_API_TOKEN",
        "TABLE_PREFIX",
        "POOL_CIDRS",
        "POOL_STATE_DIR",
        "INTERNAL_TOKEN_MODE",
    ];
    let empty = names.map(|name| (name.to_owned(), SecretString::default())).into();
    let [_, internal, _] = problems(&System::start().await, empty, None).await;
    assert_names(&internal, &["ENCRYPTION_KEY", "INTERNAL_API_TOKEN", "TABLE_PREFIX", "POOL_CIDRS"]);
}

/// A malformed value for a setting, recognizable if an error repeats it.
struct Wrong(&'static str, String);

#[tokio::test]
async fn each_setting_that_is_malformed_is_named_with_nothing_of_its_value() {
    let key = random_hex(32);
    let odd = |value: &str| format!("{value}canary");
    let keyrings = [
        json!({ "current": "0000000a", "keys": { "0000000b": key } }),
        json!({ "current": "0000000a", "keys": { "0000000a": odd(&key) } }),
        json!({ "current": "canary", "keys": { "canary": key } }),
        json!({ "current": "0000000a", "keys": { "0000000a": key, "0000000b": key } }),
        json!({ "current": "0000000a", "keys": {}, "canary": 1 }),
        json!({ "current": "0000000a" }),
    ];
    let mut wrongs = vec![
        Wrong("ENCRYPTION_KEY", odd(&key)),
        Wrong("ENCRYPTION_KEY", key[..62].to_owned()),
        Wrong("ENCRYPTION_KEY", format!("{key}00")),
        Wrong("ENCRYPTION_KEY", "canary".to_owned()),
        Wrong("ENCRYPTION_KEYS", "{canary".to_owned()),
        Wrong("INTERNAL_API_TOKEN", "canary".to_owned()),
        Wrong("INTERNAL_API_TOKEN", format!("canary{}", "x".repeat(25))),
        Wrong("INTERNAL_API_TOKEN_PREVIOUS", "canary".to_owned()),
        Wrong("SKILL_API_TOKEN", "canary".to_owned()),
        Wrong("SKILL_API_TOKEN_PREVIOUS", "canary".to_owned()),
        Wrong("SLACK_SIGNING_SECRET", "canary".to_owned()),
        Wrong("POOL_CIDRS", "canary".to_owned()),
        Wrong("POOL_CIDRS", "10.99.0.0".to_owned()),
        Wrong("POOL_CIDRS", "10.99.0.0/33,10.98.0.0/16".to_owned()),
        Wrong("POOL_CIDRS", "10.99.0.0/24,".to_owned()),
        Wrong("POOL_STATE_DIR", "canary".to_owned()),
        Wrong("POOL_STATE_DIR", "/canary/../etc".to_owned()),
        Wrong("INTERNAL_TOKEN_MODE", "canary".to_owned()),
        Wrong("INTERNAL_TOKEN_MODE", "Bound".to_owned()),
        Wrong("SKILL_TOKEN_MODE", "canary".to_owned()),
    ];
    wrongs.extend(keyrings.iter().map(|keyring| Wrong("ENCRYPTION_KEYS", keyring.to_string())));
    let system = System::start().await;
    let right = &system.stack.environment().variables;
    let untouched = problems(&system, right.clone(), system.stack.environment().queue.clone()).await;
    assert!(untouched.concat().is_empty(), "{untouched:?}");
    for Wrong(name, value) in &wrongs {
        let mut settings = right.clone();
        settings.insert((*name).to_owned(), value.as_str().into());
        let refusal = problems(&system, settings, system.stack.environment().queue.clone()).await.concat().join("; ");
        assert!(!refusal.is_empty(), "{name} is taken");
        // A previous value is reported under the token's name, and the two forms of the keys are one setting.
        let known_as = name.trim_end_matches("_PREVIOUS").trim_end_matches('S').to_owned();
        assert!(refusal.contains(&known_as), "{name}: {refusal}");
        for secret in [value.as_str(), "canary", &key, &key[..16]] {
            assert!(!refusal.contains(secret), "{name}: {refusal}");
        }
    }
}

/// Error of a stack with this environment, if it does not start.
async fn refused_start(environment: Variables) -> Option<String> {
    let mut options = Options::new(environment);
    options.clock = Arc::new(TestClock::new());
    match Stack::start(options).await {
        Ok(stack) => {
            stack.shutdown().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[tokio::test]
async fn problems_of_several_functions_are_reported_at_once() {
    let refusal = refused_start(Variables::new()).await.unwrap();
    for name in ["ENCRYPTION_KEY", "INTERNAL_API_TOKEN", "SKILL_API_TOKEN", "SLACK_SIGNING_SECRET"] {
        assert_eq!(refusal.matches(&format!("{name} is not set")).count(), 1, "{name}: {refusal}");
    }
}

#[tokio::test]
async fn tokens_of_two_tiers_must_not_share_a_value() {
    let (one, other) = (random_hex(24), random_hex(24));
    for (name, value) in
        [("SKILL_API_TOKEN", &one), ("SKILL_API_TOKEN_PREVIOUS", &one), ("INTERNAL_API_TOKEN_PREVIOUS", &other)]
    {
        let mut settings = Settings::random();
        (settings.internal_token, settings.skill_token) = (one.clone(), other.clone());
        let mut environment = settings.environment();
        environment.insert(name.to_owned(), value.as_str().into());
        let refusal = refused_start(environment).await.unwrap_or_else(|| panic!("{name} is taken"));
        assert!(refusal.contains("SKILL_API_TOKEN must be unlike INTERNAL_API_TOKEN"), "{refusal}");
        assert!(!refusal.contains(&one) && !refusal.contains(&other), "{refusal}");
    }
}

#[tokio::test]
async fn the_shortest_values_that_are_taken_start() {
    let mut settings = Settings::random();
    settings.internal_token = "i".repeat(32);
    settings.skill_token = "s".repeat(32);
    settings.slack_signing_secret = "c".repeat(16);
    settings.encryption_key = settings.encryption_key.to_uppercase();
    let settings = settings.with("POOL_CIDRS", " 127.0.0.0/8 , fd00::/8 ").with("INTERNAL_TOKEN_MODE", "any");
    assert_eq!(refused_start(settings.environment()).await, None);
    let mut short = settings.environment();
    short.insert("SLACK_SIGNING_SECRET".to_owned(), "c".repeat(15).into());
    assert!(refused_start(short).await.unwrap().contains("SLACK_SIGNING_SECRET"));
}

#[tokio::test]
async fn white_space_at_the_ends_of_a_secret_locks_nobody_out() {
    let clean = Settings::random();
    let mut padded = clean.clone();
    padded.internal_token.insert(0, ' ');
    for secret in [
        &mut padded.internal_token,
        &mut padded.skill_token,
        &mut padded.slack_signing_secret,
        &mut padded.encryption_key,
    ] {
        secret.push_str("\r\n");
    }
    let mut system = System::start_with(padded.with("POOL_CIDRS", " 127.0.0.0/8\n")).await;
    system.settings = clean;
    let pool = seed::pool(&system, "pool-1", Some("127.0.0.1:4000")).await;
    let read = system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
    assert_eq!(send(read).await.status, 200);
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let platform = seed::platform_channel(&system, "channel-1", &bot, &pool, "T0ONE").await;
    let body = from_slack::message(&platform.team, &platform.app, "C0GENERAL", 1).to_string();
    let event = from_slack::signed(&system, "/api/slack/events", &platform.signing_secret, body, system.clock.now());
    assert_eq!(send(event).await.status, 200);
    system.shutdown().await;
}
