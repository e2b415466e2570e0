//! Each payload in `events/` is still what the functions take, and gets the answer that is written beside it.
//!
//! A payload is read with the types that the Lambda runtime reads it with, and handed to the function's own router.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::StatusCode;
use http_body_util::BodyExt;
use jiff::Timestamp;
use portcullis_auth::{SignedHeaders, SigningSecret};
use portcullis_runtime::queue::{EventQueue, PAYLOAD_ATTRIBUTE};
use portcullis_tests::in_process::{InProcess, RecordingQueue, StandInPool};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

/// When the payloads were made; a signed one is taken for 300 s around it.
const MADE_AT: &str = "2026-01-15T09:30:00Z";

/// What is written beside a payload. `events/README.md` describes it for people.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    function: String,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    demo: bool,
    at: Option<Timestamp>,
    status: Option<u16>,
    body: Value,
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn read(file: &str) -> String {
    fs::read_to_string(events().join(file)).unwrap_or_else(|error| panic!("events/{file}: {error}"))
}

fn answer_of(name: &str) -> Answer {
    serde_json::from_str(&read(&format!("{name}.answer.json"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The payloads' names, and the answers'.
fn names() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut payloads, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(events()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".json") else { continue };
        if let Some(name) = name.strip_suffix(".answer") {
            answers.insert(name.to_owned());
        } else if name.strip_suffix(".body").is_none() {
            payloads.insert(name.to_owned());
        }
    }
    (payloads, answers)
}

/// The settings of `events/development.env`.
fn development_settings() -> BTreeMap<String, String> {
    let lines = read("development.env");
    let settings = lines.lines().filter(|line| !line.starts_with('#'));
    settings.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The functions over one database, and what they reach.
struct Functions {
    machine: InProcess,
    settings: BTreeMap<String, String>,
    queue: Arc<RecordingQueue>,
    pool: StandInPool,
}

impl Functions {
    async fn start() -> Self {
        let settings = development_settings();
        let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut machine = InProcess::start(pairs, MADE_AT.parse().unwrap()).await;
        let queue = Arc::new(RecordingQueue::default());
        machine.platform.queue = Some(Arc::clone(&queue) as Arc<dyn EventQueue>);
        let pool = StandInPool::start(|_| StatusCode::OK).await;
        Self { machine, settings, queue, pool }
    }

    async fn connect_demo(&self) {
        let address: SocketAddr = self.pool.address;
        let (signing, delivery) = (&self.settings["DEMO_SLACK_SIGNING_SECRET"], &self.settings["DEMO_DELIVERY_SECRET"]);
        self.machine.connect_demo(address, signing, delivery).await;
    }

    async fn router(&self, function: &str) -> Router {
        let platform = &self.machine.platform;
        match function {
            "auth" => auth::start(platform).await,
            "internal" => internal::start(platform).await,
            "skills" => skills::start(platform).await,
            "slack" => slack::start(platform).await,
            "v1" => v1::start(platform).await,
            other => panic!("{other} has no route"),
        }
        .unwrap()
    }

    /// Hands a payload to its function, as Lambda does.
    async fn invoke(&self, name: &str, function: &str) -> (Option<u16>, Value) {
        let payload = read(&format!("{name}.json"));
        if function == "relay" {
            let event =
                serde_json::from_str(&payload).unwrap_or_else(|error| panic!("{name} is no SQS event: {error}"));
            let relay = relay::Relay::start(&self.machine.platform).await.unwrap();
            let response = relay::sqs_event::handle(&relay, event).await;
            return (None, serde_json::to_value(response).unwrap());
        }
        let request = lambda_http::request::from_str(&payload)
            .unwrap_or_else(|error| panic!("{name} is no event of an HTTP API: {error}"));
        let response = self.router(function).await.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json = || serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        (Some(status), if body.is_empty() { Value::Null } else { json() })
    }
}

/// Whether `found` is `expected`, in which `"<text>"` stands for any text that is not empty.
fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(any), Value::String(found)) if any == "<text>" => !found.is_empty(),
        (Value::Object(expected), Value::Object(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| agrees(value, found)))
        }
        _ => expected == found,
    }
}

#[test]
fn every_payload_has_an_answer_and_every_answer_a_payload() {
    let (payloads, answers) = names();
    assert_eq!(payloads, answers);
    let functions: BTreeSet<_> = payloads.iter().map(|name| answer_of(name).function).collect();
    assert_eq!(
        functions,
        ["auth", "internal", "relay", "skills", "slack", "v1"].map(String::from).into(),
        "each function has one"
    );
}

#[tokio::test]
async fn every_payload_gets_the_answer_beside_it() {
    for name in names().0 {
        let answer = answer_of(&name);
        let functions = Functions::start().await;
        if answer.demo {
            functions.connect_demo().await;
        }
        for before in &answer.after {
            let (status, body) = functions.invoke(before, &answer_of(before).function).await;
            assert!(status.is_none_or(|status| status < 300), "{before}, which {name} comes after: {body}");
        }
        if let Some(at) = answer.at {
            functions.machine.clock.set(at);
        }
        let (status, body) = functions.invoke(&name, &answer.function).await;
        assert_eq!(status, answer.status, "{name}: {body}");
        assert!(agrees(&answer.body, &body), "{name}: not {} but {body}", answer.body);
        functions.machine.end().await;
    }
}

#[tokio::test]
async fn a_signed_payload_is_refused_once_it_is_stale() {
    let signed: Vec<_> = names().0.into_iter().filter(|name| answer_of(name).at.is_some()).collect();
    assert!(!signed.is_empty());
    let functions = Functions::start().await;
    functions.connect_demo().await;
    for name in signed {
        let at = answer_of(&name).at.unwrap();
        functions.machine.clock.set(at + Duration::from_secs(301));
        let (status, body) = functions.invoke(&name, "slack").await;
        assert_eq!((status, &body["message"]), (Some(401), &"Invalid signature".into()), "{name}");
    }
    functions.machine.end().await;
}

#[tokio::test]
async fn the_signed_payloads_hold_the_bodies_beside_them() {
    for name in ["slack-message", "slack-url-verification"] {
        let payload: Value = serde_json::from_str(&read(&format!("{name}.json"))).unwrap();
        assert_eq!(payload["body"], read(&format!("{name}.body.json")), "{name}");
    }
}

#[tokio::test]
async fn the_relays_payload_is_what_the_slack_function_queues_for_the_message() {
    let functions = Functions::start().await;
    functions.connect_demo().await;
    assert_eq!(functions.invoke("slack-message", "slack").await.0, Some(200));
    let sent = functions.queue.sent();
    let [queued] = sent.as_slice() else { panic!("{} messages were queued", sent.len()) };
    let payload: Value = serde_json::from_str(&read("relay-message.json")).unwrap();
    let record = &payload["Records"][0];
    assert_eq!(record["attributes"]["MessageGroupId"], queued.group.to_hex());
    assert_eq!(record["attributes"]["MessageDeduplicationId"], queued.deduplication.to_hex());
    let mut written: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
    let mut expected: Value = serde_json::from_str(&queued.body).unwrap();
    // The one part that is new with each request.
    written["event"]["requestId"].take();
    expected["event"]["requestId"].take();
    assert_eq!(written, expected);
    let payload = &record["messageAttributes"][PAYLOAD_ATTRIBUTE];
    let bytes = BASE64_STANDARD.decode(payload["binaryValue"].as_str().unwrap()).unwrap();
    assert_eq!((payload["dataType"].as_str(), bytes), (Some("Binary"), queued.payload.to_vec()));
    functions.machine.end().await;
}

#[tokio::test]
async fn the_relays_message_reaches_the_pool_signed_and_the_malformed_one_the_dead_letters() {
    let functions = Functions::start().await;
    functions.connect_demo().await;
    functions.invoke("relay-message", "relay").await;
    let received = functions.pool.received();
    let [delivery] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(delivery.path, "/slack/events/slack-A00DEMO-T00DEMO");
    assert_eq!(delivery.body, read("slack-message.body.json"));
    let header = |name: &str| delivery.headers.get(name).map(http::HeaderValue::as_bytes);
    let (timestamp, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let signed = SignedHeaders::parse(timestamp, signature, functions.machine.platform.clock.now()).unwrap();
    let secret = SigningSecret::new(functions.settings["DEMO_DELIVERY_SECRET"].as_str().into());
    signed.verify(&secret, &delivery.body).unwrap();
    assert!(functions.queue.dead_letters().is_empty());

    functions.invoke("relay-malformed", "relay").await;
    assert_eq!(functions.pool.received().len(), 1, "a pool gets no message that is not an event");
    let dead = functions.queue.dead_letters();
    assert_eq!(dead.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["this is not an event"]);
    functions.machine.end().await;
}
