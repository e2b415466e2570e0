//! Virtual keys: if `LiteLLM` has a master key, each pool has a key of its own, created with its configuration and
//! deleted with the pool. The master key appears in no pool, row, answer or log line.

use portcullis_store::PoolReach;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use aws_types::SdkConfig;
use portcullis_local::database::sdk_config;
use portcullis_openclaw::Configuration;
use portcullis_runtime::{Environment, rotating::LOOK_AGAIN_AFTER, secrets::SecretSource};
use portcullis_tests::{
    Answer, Fault, FaultProxy, StandInLiteLlm, System,
    lite_llm::Mood,
    seed,
    system::{Settings, random_hex, send},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tower::ServiceExt;

const REGISTER: &str = "/api/internal/pools/register";
const HEARTBEAT: &str = "/api/internal/pools/heartbeat";

fn settings(lite_llm: &StandInLiteLlm) -> Settings {
    let settings = Settings::random().with("LITELLM_BASE_URL", &lite_llm.url());
    settings.with("LITELLM_MASTER_KEY", &lite_llm.master_key())
}

async fn started() -> (System, StandInLiteLlm) {
    let lite_llm = StandInLiteLlm::start().await;
    let system = System::start_with(settings(&lite_llm)).await;
    for (pool, bot) in [("pool-1", "bot-1"), ("pool-2", "bot-2")] {
        let pool = seed::pool(&system, pool, None).await;
        seed::bot(&system, bot, &pool).await;
    }
    (system, lite_llm)
}

async fn get(system: &System, pool: &str) -> Answer {
    send(system.internal(Method::GET, &format!("/api/internal/pools/{pool}/config/latest"))).await
}

/// Version of a pool's configuration, and its key to the models.
async fn key(system: &System, pool: &str) -> (u64, String) {
    let answer = get(system, pool).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let value = answer.json();
    (value["version"].as_u64().unwrap(), key_in(&value["config"]).to_owned())
}

fn key_in(config: &Value) -> &str {
    config["models"]["providers"]["litellm"]["apiKey"].as_str().unwrap_or_default()
}

async fn report(system: &System, path: &str, pool: &str, status: &str) -> Answer {
    send(system.internal(Method::POST, path).json(&json!({ "poolId": pool, "status": status }))).await
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str().unwrap()), (status, code), "{answer:?}");
}

fn keys(lite_llm: &StandInLiteLlm) -> Vec<String> {
    lite_llm.living().into_iter().map(|living| living.key).collect()
}

/// All texts in all tables in order, including binaries that are valid UTF-8.
async fn rows(system: &System) -> Vec<String> {
    fn texts(value: &AttributeValue, found: &mut Vec<String>) {
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => found.push(text.clone()),
            AttributeValue::B(bytes) => found.push(String::from_utf8_lossy(bytes.as_ref()).into_owned()),
            AttributeValue::Ss(members) => found.extend(members.iter().cloned()),
            AttributeValue::L(values) => values.iter().for_each(|value| texts(value, found)),
            AttributeValue::M(fields) => fields.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let client = Client::new(&system.stack.environment().aws);
    let (mut found, tables) = (Vec::new(), client.list_tables().send().await.unwrap().table_names.unwrap());
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let rows = client.scan().table_name(&table).send().await.unwrap().items.unwrap_or_default();
        rows.iter().flat_map(|row| row.values()).for_each(|value| texts(value, &mut found));
    }
    // Snapshots are stored compressed.
    for pool in ["pool-1", "pool-2"] {
        let read = system.store().pool_configuration(&pool.parse().unwrap(), PoolReach::Any).await;
        if let Some(newest) = read.ok().and_then(|read| read.newest) {
            let configuration = Configuration::from_bytes(&newest.config).unwrap();
            found.push(configuration.fill(&|_| Some("a credential")).unwrap().to_string());
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn each_pool_has_a_living_key_of_its_own_that_is_stored_sealed() {
    let (system, lite_llm) = started().await;
    let (one, other) = (key(&system, "pool-1").await, key(&system, "pool-2").await);
    assert_eq!((one.0, other.0), (1, 1));
    assert_ne!(one.1, other.1);
    let mut living: Vec<_> = lite_llm.living().into_iter().map(|living| (living.pool, living.key)).collect();
    living.sort();
    assert_eq!(living, [("pool-1".to_owned(), one.1.clone()), ("pool-2".to_owned(), other.1.clone())]);

    // The pool has this key from now on, in every form of its configuration.
    let bare = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await.json();
    let version = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/versions/1")).await.json();
    assert_eq!((key_in(&bare), key_in(&version["config"])), (one.1.as_str(), one.1.as_str()));
    assert_eq!(key(&system, "pool-1").await, one);
    let pool = "pool-1".parse().unwrap();
    seed::bot(&system, "bot-3", &pool).await;
    assert_eq!(key(&system, "pool-1").await, (2, one.1.clone()), "a change of something else");
    assert_eq!(lite_llm.made_and_ended(), (2, 0));

    // No answer or row contains the master key, and no row a pool's key.
    let (master, rows) = (lite_llm.master_key(), rows(&system).await.concat());
    assert!(!bare.to_string().contains(&master) && !version.to_string().contains(&master));
    assert!(rows.contains(&lite_llm.aliases()[0]) && rows.contains("a credential"), "the rows were read");
    for secret in [&master, &one.1, &other.1] {
        assert!(!rows.contains(secret.as_str()));
        assert!(system.logs.all().iter().all(|line| !line.contains(secret.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_polls_build_at_once_one_key_lives() {
    const POLLS: usize = 24;
    let (system, lite_llm) = started().await;
    let system = std::sync::Arc::new(system);
    let mut polls = JoinSet::new();
    for _ in 0..POLLS {
        let system = system.clone();
        polls.spawn(async move { key(&system, "pool-1").await });
    }
    let given = polls.join_all().await;
    let living = keys(&lite_llm);
    assert_eq!(living.len(), 1);
    assert!(given.iter().all(|given| *given == (1, living[0].clone())), "{given:?}");
    let (made, ended) = lite_llm.made_and_ended();
    assert_eq!(made, ended + 1);
    let stored = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.models_key_aliases, lite_llm.aliases());
}

#[tokio::test]
async fn a_key_ends_with_its_pool_and_one_registered_anew_has_another() {
    for path in [REGISTER, HEARTBEAT] {
        let (system, lite_llm) = started().await;
        let (one, other) = (key(&system, "pool-1").await, key(&system, "pool-2").await);
        // A pool's own machine cannot end the pool's key by reporting itself terminated.
        let request = system.internal(Method::POST, "/api/internal/pools/pool-1/runtime-tokens");
        let token =
            send(request.json(&json!({ "ttlSeconds": 600 }))).await.json()["token"].as_str().unwrap().to_owned();
        let body = json!({ "poolId": "pool-1", "status": "terminated" });
        let machine = send(system.request(Method::POST, path).header("x-internal-token", &token).json(&body)).await;
        assert_eq!((machine.status.as_u16(), keys(&lite_llm).len()), (200, 2), "{machine:?}");

        assert_eq!(report(&system, path, "pool-1", "terminated").await.status, 200);
        assert_eq!(keys(&lite_llm), [other.1.as_str()], "{path}");
        let stored = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
        assert!(stored.models_key_aliases.is_empty());
        assert_eq!(report(&system, path, "pool-1", "terminated").await.status, 200, "repeated");

        assert_eq!(report(&system, REGISTER, "pool-1", "active").await.status, 200);
        let anew = key(&system, "pool-1").await;
        assert_ne!(anew.1, one.1);
        assert_eq!((keys(&lite_llm).len(), lite_llm.made_and_ended()), (2, (3, 1)));
    }
}

#[tokio::test]
async fn a_lite_llm_that_makes_no_key_holds_up_only_pools_that_have_none() {
    let (system, lite_llm) = started().await;
    let one = key(&system, "pool-1").await;
    for mood in [Mood::Failing, Mood::MakingNone, Mood::LosingAnswers] {
        lite_llm.be(mood);
        let before = rows(&system).await;
        assert_refused(&get(&system, "pool-2").await, 502, "upstream_failed");
        let bare = send(system.internal(Method::GET, "/api/internal/pools/pool-2/config")).await;
        assert_refused(&bare, 502, "upstream_failed");
        assert!(rows(&system).await == before, "{mood:?}: nothing is half written");
        assert_eq!(keys(&lite_llm), [one.1.as_str()], "{mood:?}: a key whose answer was lost is ended");
        // A pool with a key keeps it when other parts of its configuration change.
        assert_eq!(key(&system, "pool-1").await.1, one.1);
        assert_eq!(report(&system, HEARTBEAT, "pool-1", "active").await.status, 200);
        assert_eq!(report(&system, HEARTBEAT, "pool-2", "active").await.status, 200);
        let rest = get(&system, "pool-1").await;
        let tag = rest.header("etag");
        let path = "/api/internal/pools/pool-1/config/latest";
        assert_eq!(send(system.internal(Method::GET, path).header("if-none-match", tag)).await.status, 304);
    }
    seed::bot(&system, "bot-3", &"pool-1".parse().unwrap()).await;
    assert_eq!(key(&system, "pool-1").await, (2, one.1));
    lite_llm.be(Mood::Well);
    assert_eq!(key(&system, "pool-2").await.0, 1);
    assert_eq!(keys(&lite_llm).len(), 2);
}

#[tokio::test]
async fn a_termination_is_recorded_though_lite_llm_is_away_and_ends_the_key_when_repeated() {
    for path in [REGISTER, HEARTBEAT] {
        let (system, lite_llm) = started().await;
        let (version, ended) = key(&system, "pool-1").await;
        for mood in [Mood::Failing, Mood::EndingNone] {
            lite_llm.be(mood);
            let refused = report(&system, path, "pool-1", "terminated").await;
            assert_refused(&refused, 502, "upstream_failed");
            assert!(refused.message().contains("repeat the termination"), "{refused:?}");
            assert_eq!(get(&system, "pool-1").await.status, 404, "it is terminated all the same");
            assert_eq!(report(&system, HEARTBEAT, "pool-1", "active").await.status, 404);
            assert_eq!(keys(&lite_llm), [ended.as_str()]);
        }
        // The deletion is carried out, but its answer is lost.
        lite_llm.be(Mood::LosingAnswers);
        assert_refused(&report(&system, path, "pool-1", "terminated").await, 502, "upstream_failed");
        assert!(keys(&lite_llm).is_empty());
        lite_llm.be(Mood::Well);
        assert_eq!(report(&system, path, "pool-1", "terminated").await.status, 200, "{path}");
        assert_eq!(report(&system, REGISTER, "pool-1", "active").await.status, 200);
        assert_eq!(key(&system, "pool-1").await.0, version + 1);
    }
}

#[tokio::test]
async fn a_key_left_over_from_an_earlier_life_is_ended_before_a_new_one_is_made() {
    let (system, lite_llm) = started().await;
    let (_, old) = key(&system, "pool-1").await;
    lite_llm.be(Mood::EndingNone);
    assert_refused(&report(&system, REGISTER, "pool-1", "terminated").await, 502, "upstream_failed");
    assert_eq!(report(&system, REGISTER, "pool-1", "active").await.status, 200);
    assert_refused(&get(&system, "pool-1").await, 502, "upstream_failed");
    assert_eq!(keys(&lite_llm), [old.as_str()]);
    lite_llm.be(Mood::Well);
    let (_, new) = key(&system, "pool-1").await;
    assert_eq!(keys(&lite_llm), [new.as_str()]);
    assert_ne!(new, old);
}

/// Systems started one after another on the same data.
struct Restarted {
    settings: Settings,
    _data: tempfile::TempDir,
}

impl Restarted {
    fn new(settings: Settings) -> Self {
        let data = tempfile::tempdir().unwrap();
        Self { settings: Settings { data: Some(data.path().to_owned()), ..settings }, _data: data }
    }

    async fn start(&self) -> System {
        System::start_with(self.settings.clone()).await
    }

    fn set(&mut self, name: &str, value: &str) {
        self.settings = self.settings.clone().with(name, value);
    }
}

#[tokio::test]
async fn a_pool_keeps_its_key_over_a_restart_and_a_rotation_of_the_master_key() {
    let lite_llm = StandInLiteLlm::start().await;
    let mut restarted = Restarted::new(settings(&lite_llm));
    let system = restarted.start().await;
    for pool in ["pool-1", "pool-2"] {
        seed::pool(&system, pool, None).await;
    }
    let one = key(&system, "pool-1").await;
    system.shutdown().await;

    let system = restarted.start().await;
    assert_eq!(key(&system, "pool-1").await, one);
    // Rotated at LiteLLM but not here yet.
    let master = format!("not-a-real-master-key-{}", random_hex(12));
    lite_llm.rotate(&master);
    assert_eq!(key(&system, "pool-1").await, one);
    assert_refused(&get(&system, "pool-2").await, 502, "upstream_failed");
    system.shutdown().await;

    restarted.set("LITELLM_MASTER_KEY", &master);
    let system = restarted.start().await;
    assert_eq!(key(&system, "pool-1").await, one, "the same version, the same key");
    assert_eq!(key(&system, "pool-2").await.0, 1);
    assert_eq!(lite_llm.made_and_ended(), (2, 0));
    assert_eq!(report(&system, REGISTER, "pool-1", "terminated").await.status, 200);
    assert_eq!(keys(&lite_llm).len(), 1);
    system.shutdown().await;
}

#[tokio::test]
async fn another_address_is_another_version_with_another_key() {
    let lite_llm = StandInLiteLlm::start().await;
    let mut restarted = Restarted::new(settings(&lite_llm));
    let system = restarted.start().await;
    seed::pool(&system, "pool-1", None).await;
    let (version, old) = key(&system, "pool-1").await;
    system.shutdown().await;

    // The same LiteLLM at another URL.
    restarted.set("LITELLM_BASE_URL", &format!("{}/v1", lite_llm.url()));
    let system = restarted.start().await;
    let (next, new) = key(&system, "pool-1").await;
    assert_eq!((next, keys(&lite_llm)), (version + 1, vec![new.clone()]));
    assert_ne!(new, old);
    let outdated = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/versions/1")).await;
    assert_eq!(outdated.status, 404, "it names a key that has ended");
    system.shutdown().await;

    // A replaced key that cannot be deleted at once is deleted with the pool.
    lite_llm.be(Mood::EndingNone);
    restarted.set("LITELLM_BASE_URL", &lite_llm.url());
    let system = restarted.start().await;
    let (_, newest) = key(&system, "pool-1").await;
    assert_eq!((keys(&lite_llm).len(), newest == new), (2, false));
    lite_llm.be(Mood::Well);
    assert_eq!(report(&system, REGISTER, "pool-1", "terminated").await.status, 200);
    assert!(keys(&lite_llm).is_empty());
    system.shutdown().await;
}

#[tokio::test]
async fn a_master_key_takes_the_shared_keys_place_and_gives_it_back() {
    let lite_llm = StandInLiteLlm::start().await;
    let shared = format!("not-a-real-key-{}", random_hex(12));
    let without = Settings::random().with("LITELLM_BASE_URL", &lite_llm.url()).with("LITELLM_API_KEY", &shared);
    let mut restarted = Restarted::new(without);
    let system = restarted.start().await;
    seed::pool(&system, "pool-1", None).await;
    assert_eq!(key(&system, "pool-1").await, (1, shared.clone()));
    assert_eq!(lite_llm.made_and_ended(), (0, 0), "without a master key LiteLLM is not asked");
    system.shutdown().await;

    restarted.set("LITELLM_MASTER_KEY", &lite_llm.master_key());
    let system = restarted.start().await;
    let (version, own) = key(&system, "pool-1").await;
    assert_eq!((version, keys(&lite_llm)), (2, vec![own.clone()]));
    let old = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/versions/1")).await;
    assert_eq!(old.status, 404, "it names the shared key");
    system.shutdown().await;

    restarted.set("LITELLM_MASTER_KEY", "");
    let system = restarted.start().await;
    assert_eq!(key(&system, "pool-1").await, (3, shared));
    let old = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/versions/2")).await;
    assert_eq!(old.status, 404, "it names a key that the pool does not have any more");
    // Without a master key the pool's key cannot be deleted, so the termination does not wait for it.
    assert_eq!(report(&system, REGISTER, "pool-1", "terminated").await.status, 200);
    assert_eq!(keys(&lite_llm), [own]);
    assert_eq!(report(&system, REGISTER, "pool-1", "active").await.status, 200);
    system.shutdown().await;

    restarted.set("LITELLM_MASTER_KEY", &lite_llm.master_key());
    let system = restarted.start().await;
    let (_, new) = key(&system, "pool-1").await;
    assert_eq!(keys(&lite_llm), [new], "its alias was kept");
    system.shutdown().await;
}

#[tokio::test]
async fn a_key_whose_publication_failed_is_ended_and_one_whose_answer_was_lost_is_kept() {
    let lite_llm = StandInLiteLlm::start().await;
    let database = System::start().await;
    let proxy = FaultProxy::start(database.database()).await;
    let settings = Settings { database: Some(proxy.sdk_config()), ..settings(&lite_llm) }.with_production_timeouts();
    let system = System::start_with(settings).await;
    seed::pool(&system, "pool-1", None).await;
    let publications = |fault: Fault| {
        proxy.rule(move |call| {
            let is_one = call.action == "TransactWriteItems" && call.is_about("pool_config_snapshots");
            if is_one { fault.clone() } else { Fault::None }
        });
    };
    publications(Fault::Code("ValidationException"));
    assert_eq!(get(&system, "pool-1").await.status, 500);
    assert_eq!((keys(&lite_llm).len(), lite_llm.made_and_ended()), (0, (1, 1)), "refused");
    publications(Fault::Code("InternalServerError"));
    assert_refused(&get(&system, "pool-1").await, 503, "unavailable");
    assert_eq!((keys(&lite_llm).len(), lite_llm.made_and_ended()), (0, (2, 2)), "not carried out");

    publications(Fault::LoseAnswer);
    assert_refused(&get(&system, "pool-1").await, 503, "unavailable");
    assert_eq!(lite_llm.made_and_ended(), (3, 2), "carried out");
    proxy.heal();
    let (version, kept) = key(&system, "pool-1").await;
    assert_eq!((version, keys(&lite_llm)), (1, vec![kept]));

    // If the outcome cannot be determined, the key is kept: deleting a key in use would cut the pool off from its
    // models.
    seed::pool(&system, "pool-2", None).await;
    proxy.rule(|call| match call.action.as_str() {
        "TransactWriteItems" => Fault::LoseAnswer,
        "UpdateItem" => Fault::Code("InternalServerError"),
        _ => Fault::None,
    });
    assert_refused(&get(&system, "pool-2").await, 503, "unavailable");
    proxy.heal();
    let (_, kept) = key(&system, "pool-2").await;
    assert!(keys(&lite_llm).contains(&kept));
}

#[tokio::test]
async fn a_pool_of_any_name_has_a_key() {
    let (system, lite_llm) = started().await;
    let names = ["a pool/with \"names\" é🦀 $%&".to_owned(), "-".repeat(9), "ä".repeat(128), "x".repeat(128)];
    for name in &names {
        seed::pool(&system, name, None).await;
        let mut url = reqwest::Url::parse("http://x/").unwrap();
        url.path_segments_mut().unwrap().extend(["api", "internal", "pools", name.as_str(), "config", "latest"]);
        let answer = send(system.internal(Method::GET, url.path())).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(lite_llm.living().iter().any(|living| living.pool == *name));
    }
    assert_eq!(lite_llm.living().len(), names.len());
}

#[tokio::test]
async fn a_key_whose_publication_lost_to_its_own_first_attempt_is_kept() {
    let lite_llm = StandInLiteLlm::start().await;
    let database = System::start().await;
    let proxy = FaultProxy::start(database.database()).await;
    let settings = Settings { database: Some(proxy.sdk_config()), ..settings(&lite_llm) }.with_production_timeouts();
    let system = System::start_with(settings).await;
    seed::pool(&system, "pool-1", None).await;
    let attempts = AtomicU32::new(0);
    proxy.rule(move |call| match (call.action.as_str(), attempts.load(Ordering::Relaxed)) {
        ("TransactWriteItems", attempt) => {
            attempts.store(attempt + 1, Ordering::Relaxed);
            // First the answer is lost, then the retry seems to conflict with itself, and then the rows have changed.
            [Fault::LoseAnswer, Fault::Conflict].get(attempt as usize).cloned().unwrap_or(Fault::None)
        }
        _ => Fault::None,
    });
    let given = key(&system, "pool-1").await;
    assert_eq!((given.0, keys(&lite_llm)), (1, vec![given.1.clone()]));
    assert_eq!(lite_llm.made_and_ended(), (1, 0));
    assert_eq!(key(&system, "pool-1").await, given);
}

/// A fake Secrets Manager with these secrets, limited to the functions' calls.
async fn secrets_manager(secrets: Arc<Mutex<BTreeMap<String, String>>>) -> SdkConfig {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = axum::Router::new().fallback(async move |body: axum::body::Bytes| {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let name = asked["SecretId"].as_str().unwrap();
        match secrets.lock().unwrap().get(name).filter(|_| asked["VersionStage"] == "AWSCURRENT") {
            Some(value) => (http::StatusCode::OK, json!({ "Name": name, "SecretString": value }).to_string()),
            None => (http::StatusCode::BAD_REQUEST, json!({ "__type": "ResourceNotFoundException" }).to_string()),
        }
    });
    tokio::spawn(async { axum::serve(listener, router).await });
    sdk_config(&url)
}

#[tokio::test]
async fn a_rotated_master_key_is_looked_up_again_before_a_pool_goes_without_a_key() {
    let (lite_llm, system) = (StandInLiteLlm::start().await, System::start().await);
    let models = |master: &str| json!({ "LITELLM_BASE_URL": lite_llm.url(), "LITELLM_MASTER_KEY": master }).to_string();
    let names =
        ["configuration", "signing-secrets", "delivery-secrets", "pool-secrets", "runtime-tokens", "skill-tokens"];
    let mut secrets: BTreeMap<_, _> = names.map(|name| (format!("/p/keys/{name}"), random_hex(32))).into();
    secrets.insert("/p/internal-token".to_owned(), system.settings.internal_token.clone());
    secrets.insert("/p/litellm".to_owned(), models(&lite_llm.master_key()));
    let secrets = Arc::new(Mutex::new(secrets));
    let source = SecretSource::secrets_manager(&secrets_manager(Arc::clone(&secrets)).await, "/p/");
    let environment = Environment { secrets: Arc::new(source), ..system.stack.environment().clone() };
    let function = internal::start(&environment).await.unwrap();
    let call = async |method: &str, path: &str, body: Value| {
        let request = http::Request::builder().method(method).uri(format!("/api/internal/pools{path}"));
        let request = request.header("x-internal-token", &system.settings.internal_token);
        let request =
            request.header("content-type", "application/json").body(axum::body::Body::from(body.to_string())).unwrap();
        let response = function.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let register =
        async |pool: &str, status: &str| call("POST", "/register", json!({ "poolId": pool, "status": status })).await.0;
    assert_eq!(register("pool-1", "active").await, 200);
    assert_eq!(call("GET", "/pool-1/config", Value::Null).await.0, 200);

    // The clock stays below the age at which a value is refreshed without a failure.
    for (pool, ended) in [("pool-2", "pool-1"), ("pool-3", "pool-2")] {
        let master = format!("not-a-real-master-key-{}", random_hex(12));
        lite_llm.rotate(&master);
        secrets.lock().unwrap().insert("/p/litellm".to_owned(), models(&master));
        assert_eq!(register(pool, "active").await, 200);
        system.clock.advance(LOOK_AGAIN_AFTER);
        if pool == "pool-3" {
            // Ending a pool's key also detects the rotation.
            assert_eq!(register(ended, "terminated").await, 200);
        }
        let (status, config) = call("GET", &format!("/{pool}/config"), Value::Null).await;
        assert_eq!(status, 200, "{config}");
        assert!(keys(&lite_llm).contains(&key_in(&config).to_owned()));
    }
    assert_eq!(lite_llm.made_and_ended(), (3, 1));
}
