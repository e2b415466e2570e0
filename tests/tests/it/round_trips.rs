//! Budget of sequential store calls of each endpoint, which determine the latency on AWS:
//!
//! | Endpoint | Sequential calls |
//! |---|---|
//! | GET secrets/{skill}: static token · internal token · bound token | 1 |
//! | heartbeat: static token · bound token · another version | 1 |
//! | register: new · again · bound token · another version | 1 |
//! | register: a version with another configuration dialect | 2 |
//! | PUT secrets: new · replaced · deleted · 50 names | 2 |
//! | POST, DELETE skill-tokens: static token · bound token | 1 |
//! | POST, DELETE runtime-tokens | 1 |
//! | GET config/latest: not changed · changed · built anew | 1 · 2 · 4 |
//! | GET config/latest while a bot token is due: the poll that replaces it · every other | 11 or 12 · 1 |
//! | GET config/latest when the pool's key to the models is created · replaced | 4 · 5 |
//! | register, heartbeat: only the end of a pool waits for `LiteLLM` | 1 |
//! | GET config: built before | 2 |
//! | GET config/versions/{version}: not changed · read | 3 |
//! | GET skills/latest, GET workspace-templates/latest: not changed · read | 1 · 2 |
//! | PUT skills, PUT workspace-templates: new · replaced | 2 |
//! | PUT skills: not changed | 1 |
//! | POST check-slack-tokens: all valid · all revoked, checked in parallel | 4 · 6 |
//! | POST sessions: new · again | 2 |
//! | PATCH sessions: static token · bound token | 2 · 3 |
//! | POST artifacts: new · of a chat · bound token | 2 |
//! | POST artifacts: the same preview again | 3 |
//! | PATCH artifacts: static token · bound token | 2 · 3 |
//! | POST artifacts/check-domain | 1 |
//! | POST feedback of a bot | 2 |
//! | PUT bots: new · again · moved; PUT channels: new · again | 2 |
//! | DELETE bots: without channels · with channels | 2 · 4 |
//! | GET bots/{botId}, pools/{poolId}; lists of pools, bots, secrets, skills, templates | 1 |
//! | GET channels/{channelId}; list of channels | 2 |
//! | DELETE channels · skills, workspace-templates | 3 · 2 |
//! | Slack event: channel cached / not cached | 0 / 2, + 1 queue write |
//! | Slack event on its channel's own path: channel cached / not cached | 0 / 1, + 1 queue write |
//! | Slack event of an unknown team: cached / not cached | 0 / 1 |
//! | Slack interaction or slash command: as an event | 0 / 2, + 1 queue write |
//! | sign-in: right · wrong for the first time | 2 |
//! | get-session: without a session · with one, also when extended once a day | 0 · 2 |
//! | list-sessions · sign-out | 3 |
//! | sign-up: the first of an hour | 4 |
//! | GET integrations (3 once a minute); composio/execute | 2 |
//! | POST integrations/connect · its refresh · DELETE | 3 · 3 · 5 |
//! | composio/execute with a person's own keys | 3 |
//! | health, and every unauthenticated request | 0 |
//!
//! The figures come from each request's log line, and a proxy in front of the database verifies the log line.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use portcullis_auth::Clock;
use portcullis_store::{BotReach, BotToken, NewSlackChannel, SigningSource};
use portcullis_tests::{
    Fault, FaultProxy, Faulty, Person, StandInLiteLlm, StandInSlack, System, seed, slack,
    slack_api::{Refresh, Saying},
    system::{INDEX_LAG, Settings, eventually, send},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Status of a request and the number of sequential store calls, from its log line.
async fn told(system: &System, request: RequestBuilder) -> (u16, u64) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // Full width, so that no id is a prefix of another.
    let id = format!("round-trips-{:08}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let answer = send(request.header("x-request-id", &id)).await;
    let lines = system.logs.of_request(&id);
    let lines: Vec<_> = lines.iter().filter(|line| line.get("storeRounds").is_some()).collect();
    assert_eq!(lines.len(), 1, "a request has one line: {lines:?}");
    assert_eq!(lines[0]["status"].as_u64(), Some(answer.status.as_u16().into()));
    (answer.status.as_u16(), lines[0]["storeRounds"].as_u64().expect("a number"))
}

async fn token(system: &System, kind: &str) -> String {
    let path = format!("/api/internal/pools/pool-1/{kind}-tokens");
    let answer = send(system.internal(Method::POST, &path).json(&json!({ "ttlSeconds": 600 }))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["token"].as_str().expect("a token").to_owned()
}

fn with_token(system: &System, token: &str, method: Method, path: &str) -> RequestBuilder {
    system.request(method, path).header("x-internal-token", token)
}

const READ: &str = "/api/internal/secrets/maps?poolId=pool-1";
const WRITE: &str = "/api/internal/pools/pool-1/secrets";
const REGISTER: &str = "/api/internal/pools/register";
const HEARTBEAT: &str = "/api/internal/pools/heartbeat";

#[tokio::test]
async fn a_skill_reads_its_secrets_in_one_round() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    // Ten secrets in two scopes: one range query of each, in parallel.
    let secrets: BTreeMap<_, _> = (0..10)
        .map(|number| {
            let scope = if number < 5 { "pool" } else { "skill:maps" };
            (format!("NAME_{number}"), json!({ "value": "v", "scope": scope }))
        })
        .collect();
    assert_eq!(send(system.internal(Method::PUT, WRITE).json(&json!({ "secrets": secrets }))).await.status, 200);
    let bound = token(&system, "skill").await;

    assert_eq!(told(&system, system.skill(Method::GET, READ)).await, (200, 1), "static");
    assert_eq!(told(&system, system.internal(Method::GET, READ)).await, (200, 1), "internal");
    assert_eq!(told(&system, with_token(&system, &bound, Method::GET, READ)).await, (200, 1), "bound");
    let elsewhere = "/api/internal/secrets/maps?poolId=pool-2";
    assert_eq!(told(&system, system.skill(Method::GET, elsewhere)).await, (200, 1), "an unknown pool");
    assert_eq!(told(&system, with_token(&system, &bound, Method::GET, elsewhere)).await, (403, 0), "another pool");
}

#[tokio::test]
async fn a_pool_registers_and_beats_in_one_round_each() {
    let system = System::start().await;
    let body = json!({ "poolId": "pool-1", "podIp": "127.0.0.1:4000" });
    let unknown = system.internal(Method::POST, HEARTBEAT).json(&body);
    assert_eq!(told(&system, unknown).await, (404, 1), "a heartbeat of a pool that is not known");
    for what in ["new", "again"] {
        assert_eq!(told(&system, system.internal(Method::POST, REGISTER).json(&body)).await, (200, 1), "{what}");
    }
    assert_eq!(told(&system, system.internal(Method::POST, HEARTBEAT).json(&body)).await, (200, 1), "static");
    let bound = token(&system, "runtime").await;
    for path in [REGISTER, HEARTBEAT] {
        let request = with_token(&system, &bound, Method::POST, path).json(&body);
        assert_eq!(told(&system, request).await, (200, 1), "{path}, bound");
    }
    let says = |path: &str, version: &str| {
        let body = json!({ "poolId": "pool-1", "openclawVersion": version });
        with_token(&system, &bound, Method::POST, path).json(&body)
    };
    for (version, rounds) in
        [("2026.3.7", 1), ("2026.3.8", 1), ("2026.9.6", 2), ("2026.9.6", 1), ("2026.9.7", 1), ("2026.3.7", 2)]
    {
        assert_eq!(told(&system, says(REGISTER, version)).await, (200, rounds), "{version}");
        assert_eq!(told(&system, says(HEARTBEAT, version)).await, (200, 1), "{version} again");
    }
    let body = json!({ "poolId": "pool-2", "openclawVersion": "2026.9.6" });
    assert_eq!(
        told(&system, system.internal(Method::POST, REGISTER).json(&body)).await,
        (200, 1),
        "new, with a version"
    );
}

#[tokio::test]
async fn secrets_are_written_in_two_rounds() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let fifty: BTreeMap<_, _> = (0..50).map(|number| (format!("NAME_{number}"), "v")).collect();
    for (what, secrets) in [
        ("new", json!({ "A": "v", "B": { "value": "v", "scope": "skill:maps" } })),
        ("replaced", json!({ "A": "w" })),
        ("deleted", json!({ "A": null, "B": { "value": null, "scope": "skill:maps" } })),
        ("fifty", json!(fifty)),
    ] {
        let request = system.internal(Method::PUT, WRITE).json(&json!({ "secrets": secrets }));
        assert_eq!(told(&system, request).await, (200, 2), "{what}");
    }
    let request = system.internal(Method::PUT, "/api/internal/pools/pool-2/secrets");
    let request = request.json(&json!({ "secrets": { "A": "v" } }));
    assert_eq!(told(&system, request).await, (404, 1), "a pool that is not known is seen by the first read");
}

#[tokio::test]
async fn tokens_are_issued_and_revoked_in_one_round_each() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let (ttl, bound) = (json!({ "ttlSeconds": 600 }), token(&system, "runtime").await);
    let (skill, runtime) = ("/api/internal/pools/pool-1/skill-tokens", "/api/internal/pools/pool-1/runtime-tokens");
    let issue = |token: &str, path: &str| with_token(&system, token, Method::POST, path).json(&ttl);
    let revoke = |token: &str, path: &str| with_token(&system, token, Method::DELETE, path);
    let operators = system.settings.internal_token.clone();
    assert_eq!(told(&system, issue(&operators, skill)).await, (201, 1));
    assert_eq!(told(&system, revoke(&operators, skill)).await, (200, 1));
    assert_eq!(told(&system, issue(&bound, skill)).await, (201, 1));
    assert_eq!(told(&system, revoke(&bound, skill)).await, (200, 1));
    assert_eq!(told(&system, issue(&operators, runtime)).await, (201, 1));
    assert_eq!(told(&system, revoke(&operators, runtime)).await, (200, 1));
    // The check of an outdated generation is part of the call that does the work.
    assert_eq!(told(&system, issue(&bound, skill)).await, (401, 1));
    assert_eq!(told(&system, revoke(&bound, skill)).await, (401, 1));
}

#[tokio::test]
async fn a_configuration_that_has_not_changed_is_told_in_one_round() {
    let system = System::start().await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let config = "/api/internal/pools/pool-1/config";
    let latest = format!("{config}/latest");
    let bound = token(&system, "runtime").await;
    let poll = |path: &str| with_token(&system, &bound, Method::GET, path);
    // The count varies with the order in which parallel calls end.
    let builds = |(status, rounds): (u16, u64)| status == 200 && (3..=4).contains(&rounds);
    assert!(builds(told(&system, poll(&latest)).await), "the first");
    assert_eq!(told(&system, poll(&latest)).await, (200, 2), "built before");
    assert_eq!(told(&system, poll(config)).await, (200, 2), "alone");
    let version = format!("{config}/versions/1");
    let tag = send(poll(&latest)).await.header("etag").to_owned();
    assert_eq!(told(&system, poll(&latest).header("if-none-match", &tag)).await, (304, 1), "the newest");
    // The current rows decide whether the pool may have an old version, even one that it already has.
    assert_eq!(told(&system, poll(&version)).await, (200, 3), "a version");
    assert_eq!(told(&system, poll(&version).header("if-none-match", &tag)).await, (304, 3), "a version that it has");
    seed::bot(&system, "bot-2", &connected.pool).await;
    assert!(builds(told(&system, poll(&latest).header("if-none-match", &tag)).await), "changed");
}

#[tokio::test]
async fn a_pools_own_key_to_the_models_takes_no_round_more_unless_one_is_replaced() {
    let lite_llm = StandInLiteLlm::start().await;
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings::random().with("LITELLM_MASTER_KEY", &lite_llm.master_key());
    settings.data = Some(data.path().to_owned());
    let latest = "/api/internal/pools/pool-1/config/latest";
    for (end, most) in [("", 4), ("/v1", 5)] {
        let settings = settings.clone().with("LITELLM_BASE_URL", &format!("{}{end}", lite_llm.url()));
        let system = System::start_with(settings).await;
        let body = json!({ "poolId": "pool-1" });
        for path in [REGISTER, HEARTBEAT] {
            assert_eq!(told(&system, system.internal(Method::POST, path).json(&body)).await, (200, 1), "{path}");
        }
        let (status, rounds) = told(&system, system.internal(Method::GET, latest)).await;
        assert!(status == 200 && (most - 1..=most).contains(&rounds), "{status} {rounds}");
        assert_eq!(told(&system, system.internal(Method::GET, latest)).await, (200, 2), "built before");
        let tag = send(system.internal(Method::GET, latest)).await.header("etag").to_owned();
        let again = system.internal(Method::GET, latest).header("if-none-match", &tag);
        assert_eq!(told(&system, again).await, (304, 1), "not changed");
        system.shutdown().await;
    }
    assert_eq!(lite_llm.made_and_ended(), (2, 1));
}

#[tokio::test]
async fn a_bot_token_that_is_due_costs_one_poll_its_calls_and_the_others_none() {
    let slack = StandInSlack::start().await;
    let settings = Settings::random().with("SLACK_API_URL", &slack.url()).with("SLACK_CLIENT_ID", "1.2");
    let system = System::start_with(settings.with("SLACK_CLIENT_SECRET", &slack.client_secret())).await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let new = NewSlackChannel {
        id: "channel-2".parse().unwrap(),
        bot: connected.bot.clone(),
        team_id: "T0TWO".parse().unwrap(),
        app_id: "A0TWO".parse().unwrap(),
        team_name: None,
        bot_user_id: None,
        bot_token: Some(BotToken::issued(
            "xoxe.xoxb-1".into(),
            Some((Duration::from_hours(12), "refresh-1".into())),
            system.clock.now(),
        )),
        signing: SigningSource::Platform,
        delivery_secret: None,
    };
    system.store().connect_channel(BotReach::Any, new).await.unwrap();
    let latest = || system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest");
    let tag = send(latest()).await.header("etag").to_owned();
    let poll = |tag: &str| latest().header("if-none-match", tag);
    system.clock.advance(Duration::from_hours(10));
    // The refresh fails. The calls: the claim, the bots, the channels, the token's claim, and the pool again. Later
    // polls do not refresh again within the minute.
    assert_eq!(told(&system, poll(&tag)).await, (304, 6));
    assert_eq!(told(&system, poll(&tag)).await, (304, 1));
    slack.refresh("refresh-1", Refresh::Good("xoxe.xoxb-2", 43_200));
    system.clock.advance(Duration::from_mins(1));
    let (status, rounds) = told(&system, poll(&tag)).await;
    assert!(status == 200 && (11..=12).contains(&rounds), "{rounds}");
    let tag = send(latest()).await.header("etag").to_owned();
    assert_eq!(told(&system, poll(&tag)).await, (304, 1));
}

#[tokio::test]
async fn slack_tokens_are_checked_in_four_rounds_and_disabled_in_three() {
    let slack = StandInSlack::start().await;
    let system = System::start_with(Settings::random().with("SLACK_API_URL", &slack.url())).await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let check = || system.internal(Method::POST, "/api/internal/pools/pool-1/check-slack-tokens");
    slack.say(&connected.bot_token, Saying::Good);
    // The pool, its bots, their channels with tokens, and the sessions without a title.
    assert_eq!(told(&system, check()).await, (200, 4));
    slack.say(&connected.bot_token, Saying::Error("token_revoked"));
    // Without a valid token, no titles are looked up; the channel, its bot, and the change of both are added.
    assert_eq!(told(&system, check()).await, (200, 6));
}

#[tokio::test]
async fn skills_and_templates_are_written_and_read_in_two_rounds() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let runtime = token(&system, "runtime").await;
    let large = "x".repeat(900_000);
    for (kind, name, body) in [
        ("skills", "maps", json!({ "content": "# Maps", "files": { "large": large } })),
        ("workspace-templates", "AGENTS.md", json!({ "content": "# Agents", "writeMode": "seed" })),
    ] {
        let path = format!("/api/internal/{kind}/{name}");
        let put = |content: &str| {
            let mut body = body.clone();
            body["content"] = content.into();
            system.internal(Method::PUT, &path).json(&body)
        };
        assert_eq!(told(&system, put("new")).await, (200, 2), "{kind}");
        assert_eq!(told(&system, put("replaced")).await, (200, 2), "{kind}");
        assert_eq!(told(&system, put("replaced")).await, (200, 1), "{kind}");
        let latest = format!("/api/internal/{kind}/latest");
        let get = || with_token(&system, &runtime, Method::GET, &latest);
        assert_eq!(told(&system, get()).await, (200, 2), "{kind}");
        let tag = send(get()).await.header("etag").to_owned();
        assert_eq!(told(&system, get().header("if-none-match", &tag)).await, (304, 1), "{kind}");
    }
}

#[tokio::test]
async fn sessions_and_artifacts_are_written_in_two_rounds() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    seed::bot(&system, "bot-1", &pool).await;
    let (runtime, skill) = (token(&system, "runtime").await, token(&system, "skill").await);
    let session = json!({
        "botId": "bot-1", "sessionKey": "agent:bot-1:slack:channel:c1", "channelId": "C1", "title": "One",
    });
    let post = |token: &str, path: &str, body: &Value| with_token(&system, token, Method::POST, path).json(body);
    let patch = |token: &str, path: &str, body: &Value| with_token(&system, token, Method::PATCH, path).json(body);
    let operators = system.settings.internal_token.clone();
    for (what, token) in [("new", &operators), ("again", &operators), ("bound", &runtime)] {
        assert_eq!(told(&system, post(token, "/api/internal/sessions", &session)).await, (201, 2), "{what}");
    }
    let id = send(post(&operators, "/api/internal/sessions", &session)).await.json()["id"].clone();
    let target = format!("/api/internal/sessions/{}", id.as_str().unwrap());
    assert_eq!(told(&system, patch(&operators, &target, &json!({ "title": "Two" }))).await, (200, 2));
    assert_eq!(told(&system, patch(&runtime, &target, &json!({ "title": "Two" }))).await, (200, 3));

    let artifacts = "/api/internal/artifacts";
    let plain = json!({ "botId": "bot-1", "sessionKey": "agent:bot-1:main", "title": "A page" });
    let of_chat = json!({
        "botId": "bot-1", "chatId": "channel:C1", "title": "A page", "previewUrl": "https://example.com/",
    });
    assert_eq!(told(&system, post(&skill, artifacts, &plain)).await, (201, 2));
    assert_eq!(told(&system, post(&operators, artifacts, &of_chat)).await, (201, 2));
    assert_eq!(told(&system, post(&skill, artifacts, &of_chat)).await, (201, 3), "the same preview again");
    let id = send(post(&operators, artifacts, &of_chat)).await.json()["id"].clone();
    let target = format!("{artifacts}/{}", id.as_str().unwrap());
    assert_eq!(told(&system, patch(&operators, &target, &json!({ "status": "live" }))).await, (200, 2));
    assert_eq!(told(&system, patch(&skill, &target, &json!({ "status": "live" }))).await, (200, 3));
    let check = told(&system, post(&skill, "/api/internal/artifacts/check-domain", &of_chat)).await;
    assert_eq!(check, (200, 1));
    let feedback = json!({ "content": "Good", "agentId": "bot-1" });
    assert_eq!(told(&system, post(&skill, "/api/internal/feedback", &feedback)).await, (200, 2));
}

fn event(system: &System, connected: &seed::Connected, path: &str, number: u32) -> RequestBuilder {
    let body = slack::message(&connected.team, &connected.app, "C0GENERAL", number).to_string();
    slack::signed(system, path, &connected.signing_secret, body, system.clock.now())
}

#[tokio::test]
async fn a_slack_event_costs_two_rounds_where_its_channel_is_not_cached_and_none_where_it_is() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let (shared, own) = ("/api/slack/events", "/api/slack/events/channel-1");
    assert_eq!(told(&system, event(&system, &connected, shared, 1)).await, (200, 2), "not cached");
    assert_eq!(told(&system, event(&system, &connected, shared, 2)).await, (200, 0), "cached");
    assert_eq!(told(&system, event(&system, &connected, own, 3)).await, (200, 1), "by its id, not cached");
    assert_eq!(told(&system, event(&system, &connected, own, 4)).await, (200, 0), "by its id, cached");
    system.clock.advance(Duration::from_secs(59));
    assert_eq!(told(&system, event(&system, &connected, shared, 5)).await, (200, 0), "a second before its end");
    system.clock.advance(Duration::from_secs(1));
    assert_eq!(told(&system, event(&system, &connected, shared, 6)).await, (200, 2), "after a minute");
    pool.wait_for(6).await;
}

#[tokio::test]
async fn an_interaction_and_a_command_cost_what_an_event_costs() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let (team, app) = (&connected.team, &connected.app);
    let form = |path: &str, form: &str| {
        let (secret, now) = (&connected.signing_secret, system.clock.now());
        slack::signed_form(&system, path, secret, form, now)
    };
    let click = |number| slack::payload_form(&slack::click(team, app, "C0GENERAL", number));
    assert_eq!(told(&system, form("/api/slack/interactions", &click(1))).await, (200, 2), "not cached");
    assert_eq!(told(&system, form("/api/slack/interactions", &click(2))).await, (200, 0), "cached");
    assert_eq!(told(&system, form("/api/slack/commands", &slack::command(team, app, "C1", 3))).await, (200, 0));
    assert_eq!(told(&system, form("/api/slack/interactions/channel-1", &click(4))).await, (200, 1), "by its id");
    pool.wait_for(4).await;
}

#[tokio::test]
async fn an_operator_waits_for_few_rounds() {
    let system = System::start().await;
    for pool in ["pool-1", "pool-2"] {
        seed::pool(&system, pool, None).await;
    }
    let bot = |pool: &str| json!({ "name": "A bot", "poolId": pool, "modelId": "a-model", "ownerId": "user-1" });
    let channel = json!({
        "botId": "bot-1", "channelType": "slack", "teamId": "T1", "appId": "A1", "signingSecret": "not-a-secret-of-slack",
    });
    let skill = json!({ "content": "# Maps" });
    for (method, path, body, rounds) in [
        (Method::PUT, "bots/bot-1", bot("pool-1"), 2),
        (Method::PUT, "bots/bot-1", bot("pool-1"), 2),
        (Method::PUT, "bots/bot-1", bot("pool-2"), 2),
        (Method::PUT, "bots/bot-2", bot("pool-2"), 2),
        (Method::PUT, "channels/channel-1", channel.clone(), 2),
        (Method::PUT, "channels/channel-1", channel.clone(), 2),
        (Method::PUT, "skills/maps", skill, 2),
        (Method::GET, "bots/bot-1", Value::Null, 1),
        (Method::GET, "channels/channel-1", Value::Null, 2),
        (Method::GET, "pools/pool-1", Value::Null, 1),
        (Method::GET, "pools", Value::Null, 1),
        (Method::GET, "bots", Value::Null, 1),
        (Method::GET, "channels", Value::Null, 2),
        (Method::GET, "pools/pool-1/secrets", Value::Null, 1),
        (Method::GET, "skills", Value::Null, 1),
        (Method::GET, "workspace-templates", Value::Null, 1),
        (Method::DELETE, "skills/maps", Value::Null, 2),
        (Method::DELETE, "channels/channel-1", Value::Null, 3),
        (Method::DELETE, "bots/bot-1", Value::Null, 2),
    ] {
        let request = system.internal(method.clone(), &format!("/api/internal/{path}")).json(&body);
        let expected = if path == "bots/bot-2" { 409 } else { 200 };
        assert_eq!(told(&system, request).await, (expected, rounds), "{method} {path}");
    }
    let mut another = channel;
    another["botId"] = json!("bot-3");
    let of_another = system.internal(Method::PUT, "/api/internal/bots/bot-3").json(&bot("pool-1"));
    assert_eq!(told(&system, of_another).await, (200, 2), "the slug is free");
    let connect = system.internal(Method::PUT, "/api/internal/channels/channel-3").json(&another);
    assert_eq!(told(&system, connect).await, (200, 2));
    assert_eq!(told(&system, system.internal(Method::DELETE, "/api/internal/bots/bot-3")).await, (200, 4));
}

#[tokio::test]
async fn a_person_waits_for_few_rounds() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered("correct horse battery").await;
    let auth = |method: Method, path: &str, body: Value| ada.request(method, &format!("/api/auth/{path}")).json(&body);
    let sign_in = |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        system.request(Method::POST, "/api/auth/sign-in/email").json(&body)
    };
    assert_eq!(told(&system, sign_in("correct horse battery")).await, (200, 2));
    assert_eq!(told(&system, sign_in("a wrong password")).await, (401, 2));
    assert_eq!(told(&system, system.request(Method::GET, "/api/auth/get-session")).await, (200, 0));
    assert_eq!(told(&system, auth(Method::GET, "get-session", Value::Null)).await, (200, 2));
    system.clock.advance(Duration::from_hours(24));
    assert_eq!(told(&system, auth(Method::GET, "get-session", Value::Null)).await, (200, 2));
    assert_eq!(told(&system, auth(Method::GET, "list-sessions", Value::Null)).await, (200, 3));
    let sign_up = json!({ "name": "Bob", "email": "bob@example.com", "password": "correct horse battery" });
    let sign_up = || system.request(Method::POST, "/api/auth/sign-up/email").json(&sign_up);
    assert_eq!(told(&system, sign_up()).await, (200, 4), "the first mail of the hour");
    assert_eq!(told(&system, auth(Method::POST, "sign-out", Value::Null)).await, (200, 3));
}

/// One call for the session and one for the page's rows, or more where one row names the next.
#[tokio::test]
async fn pages_of_a_signed_in_person_take_few_rounds() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let now = format!("{:.3}", portcullis_auth::Clock::now(&*system.clock));
    seed::set(&system, portcullis_store::Table::Pools, "pool-1", "lastSeenAt", &now).await;
    let ada = Person::new(&system, "ada@example.com").registered("correct horse battery").await;
    seed::own_bot(&system, &ada.id().await).await;
    let artifact = json!({ "botId": "bot-ada", "sessionKey": "agent:bot-ada:main", "title": "A page" });
    let artifact = send(system.skill(Method::POST, "/api/internal/artifacts").json(&artifact)).await.json();
    let artifact = format!("/artifacts/{}", artifact["id"].as_str().unwrap());
    system.clock.advance(Duration::from_secs(3));
    let v1 = |method: Method, path: &str| ada.request(method, &format!("/v1{path}"));
    for (path, rounds) in [
        ("/me", 2),
        ("/models", 1),
        ("/bots", 2),
        ("/bots/bot-ada", 2),
        // The bots name the channels.
        ("/channels", 3),
        ("/channels/channel-ada/status", 2),
        // The channel names the bot, which has no pool.
        ("/channels/channel-ada/readiness", 3),
        ("/sessions?botId=bot-ada", 2),
        // The person's bots are looked up first.
        ("/sessions", 3),
        ("/artifacts?botId=bot-ada", 2),
        ("/artifacts", 3),
        ("/artifacts/stats", 3),
        (artifact.as_str(), 2),
    ] {
        assert_eq!(told(&system, v1(Method::GET, path)).await, (200, rounds), "{path}");
    }
    let bot = json!({ "name": "Another bot", "modelId": "a-model" });
    assert_eq!(told(&system, v1(Method::POST, "/bots").json(&bot)).await, (200, 3), "session, pools, bot");
    let name = json!({ "name": "Ada" });
    assert_eq!(told(&system, v1(Method::PATCH, "/me").json(&name)).await, (200, 3), "session, profile, change");
    assert_eq!(told(&system, v1(Method::PATCH, "/bots/bot-ada").json(&name)).await, (200, 3));
    assert_eq!(told(&system, v1(Method::DELETE, "/channels/channel-ada")).await, (200, 4));
    assert_eq!(told(&system, v1(Method::DELETE, "/bots/bot-ada")).await, (200, 3));
}

#[tokio::test]
async fn accounts_at_third_parties_take_few_rounds() {
    let system = System::start_with(Settings::random().with("DEMO_COMPOSIO_API_KEY", "ak_not-a-real-key")).await;
    seed::pool(&system, "pool-1", None).await;
    let now = format!("{:.3}", system.clock.now());
    seed::set(&system, portcullis_store::Table::Pools, "pool-1", "lastSeenAt", &now).await;
    let ada = Person::new(&system, "ada@example.com").registered("correct horse battery").await;
    let bot = ada.v1(Method::POST, "/bots", json!({ "name": "One", "modelId": "a-model" })).await.json()["id"].clone();
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let list = || ada.request(Method::GET, "/v1/integrations");
    assert_eq!(told(&system, list()).await, (200, 3), "the policy of the bot's pool is read once a minute");
    assert_eq!(told(&system, list()).await, (200, 2));
    let connect = |body: Value| ada.request(Method::POST, "/v1/integrations/connect").json(&body);
    let begun = send(connect(json!({ "toolkitSlug": "gmail" }))).await;
    let page = begun.json()["connectUrl"].as_str().unwrap().to_owned();
    reqwest::Client::new().post(page).body("decision=allow").send().await.unwrap();
    assert_eq!(told(&system, connect(json!({ "toolkitSlug": "notion" }))).await, (200, 3));
    let (id, state) = (begun.json()["integration"]["id"].clone(), begun.json()["state"].clone());
    let path = format!("/v1/integrations/{}", id.as_str().unwrap());
    let refresh = ada.request(Method::POST, &format!("{path}/refresh")).json(&json!({ "state": state }));
    assert_eq!(told(&system, refresh).await, (200, 3));
    let execute = |action: &str| {
        let body = json!({ "botId": bot, "action": action });
        system.skill(Method::POST, "/api/internal/composio/execute").json(&body)
    };
    assert_eq!(told(&system, execute("GMAIL_SEND_EMAIL")).await, (200, 2));
    let keys = json!({ "toolkitSlug": "sendgrid", "credentials": { "generic_api_key": "SG.not-a-real-key" } });
    assert_eq!(told(&system, connect(keys)).await, (200, 5));
    assert_eq!(told(&system, execute("SENDGRID_SEND_EMAIL")).await, (200, 3));
    assert_eq!(told(&system, list()).await, (200, 2));
    assert_eq!(told(&system, ada.request(Method::DELETE, &path)).await, (200, 5));
}

#[tokio::test]
async fn an_unknown_team_costs_one_round_and_then_none_for_ten_seconds() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let stranger = seed::Connected { team: "T0OTHER".to_owned(), ..connected };
    let send = |number| event(&system, &stranger, "/api/slack/events", number);
    assert_eq!(told(&system, send(1)).await, (401, 1));
    assert_eq!(told(&system, send(2)).await, (401, 0));
    system.clock.advance(Duration::from_secs(10));
    assert_eq!(told(&system, send(3)).await, (401, 1));
}

#[tokio::test]
async fn who_is_not_let_in_costs_the_store_nothing() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    for function in ["internal", "skills", "slack"] {
        assert_eq!(told(&system, system.request(Method::GET, &format!("/health/{function}"))).await, (200, 0));
    }
    for (method, path) in [
        (Method::GET, READ),
        (Method::PUT, WRITE),
        (Method::POST, REGISTER),
        (Method::POST, HEARTBEAT),
        (Method::POST, "/api/internal/pools/pool-1/skill-tokens"),
        (Method::POST, "/api/slack/events"),
        (Method::POST, "/api/slack/interactions"),
        (Method::POST, "/api/slack/commands"),
    ] {
        let request = with_token(&system, "not-the-token", method, path).json(&json!({}));
        assert_eq!(told(&system, request).await, (401, 0), "{path}");
    }
}

/// A request's store calls, as the proxy saw them: action and table.
type Calls = Arc<Mutex<Vec<(String, String)>>>;

fn noted(proxy: &FaultProxy) -> Calls {
    let calls = Calls::default();
    let noting = Arc::clone(&calls);
    proxy.rule(move |call| {
        if call.is_of_queue() {
            noting.lock().unwrap().push((call.action.clone(), "queue".to_owned()));
            return Fault::None;
        }
        let body: Value = serde_json::from_str(&call.body).expect("a call is JSON");
        let table = body["TableName"].as_str().unwrap_or("several").replace("portcullis-local-", "");
        noting.lock().unwrap().push((call.action.clone(), table));
        Fault::None
    });
    calls
}

fn taken(calls: &Calls) -> Vec<(String, String)> {
    std::mem::take(&mut *calls.lock().unwrap())
}

fn call(action: &str, table: &str) -> (String, String) {
    (action.to_owned(), table.to_owned())
}

#[tokio::test]
async fn the_count_in_the_log_line_is_the_number_of_calls_of_the_database() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let calls = noted(&proxy);

    let body = json!({ "poolId": "pool-1" });
    assert_eq!(told(&system, system.internal(Method::POST, HEARTBEAT).json(&body)).await, (200, 1));
    // The versions of skills and templates, in parallel with the pool's own row.
    let mut seen = taken(&calls);
    seen.sort();
    assert_eq!(seen, [call("BatchGetItem", "several"), call("UpdateItem", "pools")]);
    // Those versions are cached for some seconds.
    assert_eq!(told(&system, system.internal(Method::POST, HEARTBEAT).json(&body)).await, (200, 1));
    assert_eq!(taken(&calls), [call("UpdateItem", "pools")]);

    let body = json!({ "secrets": { "A": "v", "B": "w" } });
    assert_eq!(told(&system, system.internal(Method::PUT, WRITE).json(&body)).await, (200, 2));
    assert_eq!(taken(&calls), [call("TransactGetItems", "several"), call("TransactWriteItems", "several")]);

    // Both scopes and the pool's row, in parallel: three calls are one round. With the scopes cached, only the row is
    // read.
    let bound = token(&system, "skill").await;
    taken(&calls);
    assert_eq!(told(&system, with_token(&system, &bound, Method::GET, READ)).await, (200, 1));
    let mut seen = taken(&calls);
    seen.sort();
    assert_eq!(seen, [call("GetItem", "pools"), call("Query", "pool_secrets"), call("Query", "pool_secrets")]);
    assert_eq!(told(&system, with_token(&system, &bound, Method::GET, READ)).await, (200, 1));
    taken(&calls);
    assert_eq!(told(&system, with_token(&system, &bound, Method::GET, READ)).await, (200, 1));
    assert_eq!(taken(&calls), [call("GetItem", "pools")]);

    // The relay's calls come after the queue write.
    assert_eq!(told(&system, event(&system, &connected, "/api/slack/events", 1)).await, (200, 2));
    let seen = calls.lock().unwrap().clone();
    let queued = seen.iter().position(|seen| *seen == call("SendMessage", "queue")).expect("a queue write");
    let mut before = seen[..queued].to_vec();
    before[1..].sort();
    let route = call("GetItem", "webhook_routes");
    assert_eq!(before, [route, call("GetItem", "channel_credentials"), call("GetItem", "channels")]);

    pool.wait_for(1).await;
    let is_acknowledged = async || calls.lock().unwrap().contains(&call("DeleteMessage", "queue"));
    eventually("the relay is done with it", is_acknowledged).await;
    taken(&calls);
    assert_eq!(told(&system, event(&system, &connected, "/api/slack/events", 2)).await, (200, 0));
    assert_eq!(calls.lock().unwrap().first(), Some(&call("SendMessage", "queue")), "the queue write alone");
    pool.wait_for(2).await;
    system.shutdown().await;
}
