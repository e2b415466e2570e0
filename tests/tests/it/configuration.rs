//! A pool's configuration as its runtime reads it: complete, up to date after each change, and 304 if unchanged.

use std::collections::BTreeSet;

use portcullis_openclaw::Configuration;
use portcullis_store::{BotReach, BotStatus, ChannelStatus, NewBot, NewSlackChannel, SigningSource, Table};
use portcullis_tests::{
    Answer, System, seed,
    system::{Settings, send},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const LATEST: &str = "/api/internal/pools/pool-1/config/latest";
const BARE: &str = "/api/internal/pools/pool-1/config";

async fn get(system: &System, path: &str) -> Answer {
    send(system.internal(Method::GET, path)).await
}

async fn latest(system: &System) -> Value {
    let answer = get(system, LATEST).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn if_changed(system: &System, tag: &str) -> Answer {
    send(system.internal(Method::GET, LATEST).header("if-none-match", tag)).await
}

async fn put_secrets(system: &System, secrets: Value) {
    let request = system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets");
    assert_eq!(send(request.json(&json!({ "secrets": secrets }))).await.status, 200);
}

async fn runtime_token(system: &System, pool: &str) -> String {
    let request = system.internal(Method::POST, &format!("/api/internal/pools/{pool}/runtime-tokens"));
    let answer = send(request.json(&json!({ "ttlSeconds": 600 }))).await;
    answer.json()["token"].as_str().expect("a token").to_owned()
}

fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{answer:?}");
}

#[tokio::test]
async fn a_configuration_is_answered_as_the_contract_has_it() {
    let system = System::start().await;
    let (connected, _stand_in) = seed::connected(&system).await;
    put_secrets(&system, json!({ "KEY": "é \"", "MAPS_KEY": { "value": "m", "scope": "skill:maps" } })).await;
    let answer = get(&system, LATEST).await;
    let tag = answer.header("etag").to_owned();
    let value = answer.json();
    let names: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["poolId", "version", "configHash", "config", "agentMeta", "poolSecrets", "secretsHash", "createdAt"];
    assert_eq!(names, expected.into());
    assert_eq!((&value["poolId"], &value["version"]), (&json!("pool-1"), &json!(1)));
    assert_eq!(value["agentMeta"], json!({ "bot-1": { "botId": "bot-1" } }));
    assert_eq!(value["poolSecrets"], json!({ "KEY": "é \"" }), "a skill's secret is for the skill alone");
    for hash in ["configHash", "secretsHash"] {
        assert_eq!(value[hash].as_str().unwrap().len(), 64, "{hash}");
    }
    assert!(value["createdAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let account = &value["config"]["channels"]["slack"]["accounts"]["slack-A0ONE-T0ONE"];
    assert_eq!(account["botToken"], json!(connected.bot_token));
    assert_eq!(account["signingSecret"], json!(connected.delivery_secret), "what the relay signs with");
    assert_eq!(account["webhookPath"], json!(connected.delivery_path()));
    assert!(!value.to_string().contains(&connected.signing_secret), "Slack's own secret stays here");

    assert_eq!(get(&system, BARE).await.json(), value["config"]);
    let version = get(&system, "/api/internal/pools/pool-1/config/versions/1").await;
    assert_eq!((version.header("etag"), version.json()), (tag.as_str(), value));
}

#[tokio::test]
async fn who_has_the_newest_is_told_so_until_something_changes() {
    let system = System::start().await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let tag = get(&system, LATEST).await.header("etag").to_owned();
    assert!(tag.len() == 66 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = if_changed(&system, &known).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), tag);
    }
    for unknown in ["\"other\"", "", tag.trim_matches('"')] {
        assert_eq!(if_changed(&system, unknown).await.status, 200, "{unknown}");
    }
    // Registrations and heartbeats do not change the configuration.
    seed::pool(&system, "pool-1", Some("127.0.0.1:4001")).await;
    assert_eq!(if_changed(&system, &tag).await.status, 304);

    put_secrets(&system, json!({ "KEY": "one" })).await;
    let answer = if_changed(&system, &tag).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["poolSecrets"]), (200, &json!({ "KEY": "one" })));
    assert_eq!(answer.json()["version"], json!(1), "secrets are beside the configuration");
    let tag = answer.header("etag").to_owned();
    assert_eq!(if_changed(&system, &tag).await.status, 304);

    let store = system.store();
    let bot = seed::bot(&system, "bot-2", &connected.pool).await;
    let value = latest(&system).await;
    assert_eq!((value["version"].clone(), value["agentMeta"].as_object().unwrap().len()), (json!(2), 2));
    store.set_bot_status(&bot, BotStatus::Paused).await.unwrap();
    let value = latest(&system).await;
    assert_eq!((value["version"].clone(), value["agentMeta"].as_object().unwrap().len()), (json!(3), 1));
    store.set_channel_status(&connected.channel, ChannelStatus::Disconnected).await.unwrap();
    let value = latest(&system).await;
    assert_eq!((&value["version"], &value["config"]["channels"]), (&json!(4), &json!({})));
    store.set_channel_status(&connected.channel, ChannelStatus::Connected).await.unwrap();
    let second = seed::channel(&system, "channel-2", &connected.bot, &connected.pool, "T0TWO", "A0TWO").await;
    let value = latest(&system).await;
    let account = &value["config"]["channels"]["slack"]["accounts"]["slack-A0TWO-T0TWO"];
    assert_eq!((&value["version"], &account["botToken"]), (&json!(5), &json!(second.bot_token)));
    // The version in a heartbeat's answer is that of the next poll.
    let heartbeat = system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&json!({ "poolId": "pool-1" }));
    assert_eq!(send(heartbeat).await.json()["configVersion"], json!(5));
}

/// The pool reports its OpenClaw version, at registration or as a heartbeat.
async fn says(system: &System, what: &str, openclaw: &Value) -> Answer {
    let body = json!({ "poolId": "pool-1", "openclawVersion": openclaw });
    send(system.internal(Method::POST, &format!("/api/internal/pools/{what}")).json(&body)).await
}

#[tokio::test]
async fn a_pool_gets_the_dialect_of_the_openclaw_that_it_names() {
    let system = System::start().await;
    let _connected = seed::connected(&system).await;
    // An agent's workspace in the place of each dialect, and the configuration's version.
    let dialect = async || {
        let value = latest(&system).await;
        let agents = &value["config"]["agents"];
        let (list, entries) = (&agents["list"][0]["workspace"], &agents["entries"]["bot-1"]["workspace"]);
        (list.clone(), entries.clone(), value["version"].as_u64().unwrap())
    };
    let list = |version| (json!("/data/openclaw/workspaces/bot-1"), Value::Null, version);
    let entries = |version| (Value::Null, json!("${OPENCLAW_STATE_DIR}/workspaces/bot-1"), version);
    assert_eq!(dialect().await, list(1), "no version");
    for (what, openclaw, expected) in [
        ("heartbeat", json!(null), list(1)),
        ("heartbeat", json!("2026.3.7"), list(1)),
        ("register", json!("2026.9.6"), entries(2)),
        ("heartbeat", json!("2026.9.6"), entries(2)),
        ("heartbeat", json!(null), entries(2)),
        ("register", json!(""), entries(2)),
        ("heartbeat", json!("2026.10.1-beta.2"), entries(2)),
        ("heartbeat", json!("2026.3.7-1"), list(3)),
        ("heartbeat", json!("2031.1.1"), entries(4)),
        ("register", json!("2025.12.1"), list(5)),
    ] {
        let answer = says(&system, what, &openclaw).await;
        assert_eq!(answer.status, 200, "{what} {openclaw}: {answer:?}");
        if what == "heartbeat" {
            assert_eq!(answer.json()["configVersion"], json!(expected.2), "{openclaw}: a change is announced");
        }
        assert_eq!(dialect().await, expected, "{what} {openclaw}");
    }
}

#[tokio::test]
async fn a_version_that_is_none_is_refused_and_changes_nothing() {
    let system = System::start().await;
    let _connected = seed::connected(&system).await;
    assert_eq!(says(&system, "register", &json!("2026.9.6")).await.status, 200);
    let before = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap();
    let long = format!("2026.9.6-{}", "x".repeat(60));
    for wrong in [
        json!("latest"),
        json!("2026.9"),
        json!("2026.9.6 "),
        json!("2026.9.6\u{0}"),
        json!(long),
        json!(20269),
        json!([]),
    ] {
        for what in ["register", "heartbeat"] {
            let answer = says(&system, what, &wrong).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["code"].clone()),
                (400, json!("validation_failed")),
                "{wrong}"
            );
            assert!(answer.json()["fields"]["openclawVersion"].is_string(), "{wrong}: {answer:?}");
        }
    }
    assert_eq!(system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap(), before);
}

#[tokio::test]
async fn a_channel_without_a_bot_token_is_in_no_dialects_configuration() {
    let system = System::start().await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let without_token = NewSlackChannel {
        id: "channel-2".parse().unwrap(),
        bot: connected.bot.clone(),
        team_id: "T0TWO".parse().unwrap(),
        app_id: "A0TWO".parse().unwrap(),
        team_name: None,
        bot_user_id: None,
        bot_token: None,
        signing: SigningSource::Own("a-signing-secret".into()),
        delivery_secret: Some("a-delivery-secret".into()),
    };
    system.store().connect_channel(BotReach::Any, without_token).await.unwrap();
    for openclaw in ["2026.3.7", "2026.9.6"] {
        assert_eq!(says(&system, "heartbeat", &json!(openclaw)).await.status, 200);
        let config = &latest(&system).await["config"];
        let accounts: Vec<_> =
            config["channels"]["slack"]["accounts"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            (accounts, config["bindings"].as_array().unwrap().len()),
            (vec!["slack-A0ONE-T0ONE"], 1),
            "{openclaw}"
        );
    }
    system.store().set_channel_status(&connected.channel, ChannelStatus::Disconnected).await.unwrap();
    let config = &latest(&system).await["config"];
    assert_eq!((&config["channels"], &config["bindings"]), (&json!({}), &json!([])));
}

#[tokio::test]
async fn an_old_version_is_filled_with_what_the_pool_may_have_today_and_with_nothing_else() {
    let system = System::start().await;
    let (connected, _stand_in) = seed::connected(&system).await;
    let other = seed::pool(&system, "pool-2", None).await;
    let version = "/api/internal/pools/pool-1/config/versions/1";
    latest(&system).await;
    let whole = get(&system, version).await;
    assert_eq!(whole.status, 200);
    let tag = whole.header("etag").to_owned();
    let store = system.store();
    let assert_gone = async |what: &str| {
        assert_refused(&get(&system, version).await, 404, "Pool pool-1 config version 1 not found");
        let known = system.internal(Method::GET, version).header("if-none-match", &tag);
        assert_refused(&send(known).await, 404, "Pool pool-1 config version 1 not found");
        assert!(!latest(&system).await.to_string().contains(&connected.delivery_secret), "{what}");
    };
    for status in [ChannelStatus::Disconnected, ChannelStatus::Error, ChannelStatus::Pending] {
        store.set_channel_status(&connected.channel, status).await.unwrap();
        assert_gone(status.as_str()).await;
    }
    store.set_channel_status(&connected.channel, ChannelStatus::Connected).await.unwrap();
    assert_eq!(get(&system, version).await.json()["config"], whole.json()["config"], "connected again");
    store.set_bot_status(&connected.bot, BotStatus::Paused).await.unwrap();
    assert_gone("paused").await;
    store.set_bot_status(&connected.bot, BotStatus::Active).await.unwrap();
    assert_eq!(get(&system, version).await.status, 200);
    // Only the bot's row changes: its pool decides, whatever a move left in the old pool's rows.
    seed::set(&system, Table::Bots, "bot-1", "pool", other.as_str()).await;
    assert_refused(&get(&system, version).await, 404, "Pool pool-1 config version 1 not found");
    system.shutdown().await;
}

#[tokio::test]
async fn an_agents_id_does_not_change_while_another_bot_is_paused() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    for bot in ["Bot", "bot", "A bot"] {
        seed::bot(&system, bot, &pool).await;
    }
    let before = latest(&system).await["agentMeta"].clone();
    assert_eq!(before["bot"]["botId"], json!("bot"));
    system.store().set_bot_status(&"bot".parse().unwrap(), BotStatus::Paused).await.unwrap();
    let after = latest(&system).await["agentMeta"].clone();
    let (mut before, after) = (before.as_object().unwrap().clone(), after.as_object().unwrap().clone());
    before.remove("bot");
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_older_openclaws_workspaces_lie_where_the_operator_says() {
    let system = System::start_with(Settings::random().with("POOL_STATE_DIR", " /srv/claw ")).await;
    let _connected = seed::connected(&system).await;
    let agents = &latest(&system).await["config"]["agents"];
    assert_eq!(agents["list"][0]["workspace"], json!("/srv/claw/workspaces/bot-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_write_and_poll_versions_have_no_gap_and_the_last_poll_has_it_all() {
    const CALLERS: u64 = 32;
    let system = std::sync::Arc::new(System::start().await);
    let pool = seed::pool(&system, "pool-1", None).await;
    let mut under_way = JoinSet::new();
    for number in 0..CALLERS {
        let (system, pool) = (system.clone(), pool.clone());
        under_way.spawn(async move {
            seed::bot(&system, &format!("bot-{number}"), &pool).await;
            None
        });
    }
    for _ in 0..CALLERS {
        let system = system.clone();
        under_way.spawn(async move { Some(get(&system, LATEST).await) });
    }
    for answer in under_way.join_all().await.into_iter().flatten() {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let last = latest(&system).await;
    assert_eq!(last["agentMeta"].as_object().unwrap().len() as u64, CALLERS, "{}", last["agentMeta"]);
    let newest = last["version"].as_u64().unwrap();
    let mut hashes = BTreeSet::new();
    for version in 1..=newest {
        let answer = get(&system, &format!("{BARE}/versions/{version}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["version"]), (200, &json!(version)));
        hashes.insert(answer.json()["configHash"].to_string());
    }
    assert_eq!(hashes.len() as u64, newest, "each version is of its own; bots are only added");
    let beyond = get(&system, &format!("{BARE}/versions/{}", newest + 1)).await;
    assert_refused(&beyond, 404, &format!("Pool pool-1 config version {} not found", newest + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_fifty_bots_with_twenty_channels_each_is_answered_whole() {
    const BOTS: usize = 50;
    const CHANNELS: usize = 20;
    let system = std::sync::Arc::new(System::start().await);
    let pool = seed::pool(&system, "pool-1", None).await;
    let mut under_way = JoinSet::new();
    for bot in 0..BOTS {
        let (system, pool) = (system.clone(), pool.clone());
        under_way.spawn(async move {
            let id = seed::bot(&system, &format!("bot-{bot}"), &pool).await;
            for channel in 0..CHANNELS {
                let team = format!("T{bot}X{channel}");
                seed::channel(&system, &format!("channel-{bot}-{channel}"), &id, &pool, &team, "A0APP").await;
            }
        });
    }
    under_way.join_all().await;
    let first = latest(&system).await;
    let accounts = |value: &Value| value["config"]["channels"]["slack"]["accounts"].as_object().unwrap().len();
    assert_eq!((&first["version"], accounts(&first)), (&json!(1), BOTS * CHANNELS));
    assert_eq!(first["agentMeta"].as_object().unwrap().len(), BOTS);
    // Read again, from the stored configuration.
    assert!(latest(&system).await["config"] == first["config"]);
}

#[tokio::test]
async fn a_stored_snapshot_holds_references_and_no_credential() {
    let settings = Settings::random()
        .with("LITELLM_BASE_URL", "https://models.example.com")
        .with("LITELLM_API_KEY", "not-a-real-key-of-the-models");
    let system = System::start_with(settings).await;
    let (connected, _stand_in) = seed::connected(&system).await;
    put_secrets(&system, json!({ "KEY": "a-value-of-the-pool" })).await;
    let read = latest(&system).await;
    let token = read["config"]["gateway"]["auth"]["token"].as_str().unwrap().to_owned();
    let secrets = [connected.bot_token.as_str(), &connected.delivery_secret, &token, "not-a-real-key-of-the-models"];
    for secret in secrets {
        assert!(read.to_string().contains(secret), "{secret}");
    }
    let snapshot = system.store().snapshot(&connected.pool, 1).await.unwrap().unwrap();
    let stored = Configuration::from_bytes(&snapshot.config).unwrap();
    assert_eq!(stored.references().len(), secrets.len());
    let filled = stored.fill(&|_| Some("a credential")).unwrap().to_string();
    assert!(filled.contains("a credential"));
    for secret in secrets.into_iter().chain(["a-value-of-the-pool"]) {
        assert!(!filled.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn another_key_of_the_models_is_another_version_and_the_old_one_is_gone() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings::random();
    settings.data = Some(data.path().to_owned());
    let with = |key: &str| {
        let settings = settings.clone().with("LITELLM_BASE_URL", "https://models.example.com");
        settings.with("LITELLM_API_KEY", key)
    };
    let system = System::start_with(settings.clone()).await;
    let pool = seed::pool(&system, "pool-1", None).await;
    seed::bot(&system, "bot-1", &pool).await;
    let value = latest(&system).await;
    assert_eq!((&value["version"], &value["config"]["models"]), (&json!(1), &Value::Null));
    system.shutdown().await;
    for (version, key) in [(2, "not-a-real-key-1"), (3, "not-a-real-key-2")] {
        let system = System::start_with(with(key)).await;
        for _ in 0..2 {
            let value = latest(&system).await;
            let provider = &value["config"]["models"]["providers"]["litellm"];
            assert_eq!((&value["version"], &provider["apiKey"]), (&json!(version), &json!(key)));
        }
        system.shutdown().await;
    }
    let system = System::start_with(with("not-a-real-key-2")).await;
    let old = get(&system, &format!("{BARE}/versions/2")).await;
    assert_refused(&old, 404, "Pool pool-1 config version 2 not found");
    assert_eq!(get(&system, &format!("{BARE}/versions/1")).await.status, 200, "it names no key");
    system.shutdown().await;
}

#[tokio::test]
async fn text_of_people_is_read_as_it_is_written() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let hostile = "${SKILL_API_TOKEN} $${X} \" \\ {\"credential\":1} 🦀 é";
    let bot = NewBot {
        id: "bot-1".parse().unwrap(),
        user: "user-1".parse().ok(),
        name: hostile.to_owned(),
        slug: "bot-1".to_owned(),
        pool: Some(pool.clone()),
        model_id: "a-model".to_owned(),
        system_prompt: Some(hostile.to_owned()),
        paused: false,
    };
    let id = bot.id.clone();
    system.store().create_bot(bot).await.unwrap();
    seed::channel(&system, "channel-1", &id, &pool, "T0ONE", "A0ONE").await;
    let value = latest(&system).await;
    let account = &value["config"]["channels"]["slack"]["accounts"]["slack-A0ONE-T0ONE"];

    for text in [&account["name"], &account["channels"]["*"]["systemPrompt"]] {
        let text = text.as_str().unwrap();
        assert!(text.starts_with("$${SKILL_API_TOKEN}"), "OpenClaw would expand {text}");
        assert!(text.ends_with("\" \\ {\"credential\":1} 🦀 é"), "{text}");
    }
}

#[tokio::test]
async fn a_pool_reads_its_own_configuration_alone() {
    let system = System::start().await;
    for pool in ["pool-1", "pool-2"] {
        seed::pool(&system, pool, None).await;
    }
    let token = runtime_token(&system, "pool-1").await;
    let bound = |path: &str| send(system.request(Method::GET, path).header("x-internal-token", &token));
    for path in ["config", "config/latest", "config/versions/1"] {
        assert_eq!(bound(&format!("/api/internal/pools/pool-1/{path}")).await.status, 200, "{path}");
        let others = bound(&format!("/api/internal/pools/pool-2/{path}")).await;
        assert_refused(&others, 403, "Token is not valid for this pool");
        let skill = send(system.skill(Method::GET, &format!("/api/internal/pools/pool-1/{path}"))).await;
        assert_refused(&skill, 401, "Unauthorized internal request");
    }
    let revoked = send(system.internal(Method::DELETE, "/api/internal/pools/pool-1/runtime-tokens")).await;
    assert_eq!(revoked.status, 200);
    for path in ["config", "config/latest", "config/versions/1", "config/versions/9"] {
        let answer = bound(&format!("/api/internal/pools/pool-1/{path}")).await;
        assert_refused(&answer, 401, "Unauthorized internal request");
    }
}

#[tokio::test]
async fn unknown_pools_and_versions_are_404() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    for path in ["config", "config/latest", "config/versions/1"] {
        let answer = get(&system, &format!("/api/internal/pools/nowhere/{path}")).await;
        assert_refused(&answer, 404, "Pool nowhere not found");
        let answer = get(&system, &format!("/api/internal/pools/a%2F..%2Fb/{path}")).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    for version in ["0", "1", "18446744073709551615"] {
        let answer = get(&system, &format!("{BARE}/versions/{version}")).await;
        assert_refused(&answer, 404, &format!("Pool pool-1 config version {version} not found"));
    }
    for version in ["-1", "x", "1.0", "18446744073709551616", "%00"] {
        let answer = get(&system, &format!("{BARE}/versions/{version}")).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{version}: {answer:?}");
    }
    // The configuration of a pool without bots holds only its gateway.
    let value = latest(&system).await;
    assert_eq!((&value["version"], &value["agentMeta"]), (&json!(1), &json!({})));
}
