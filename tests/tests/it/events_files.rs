//! Payloads in `events/`: the functions still accept each, and give the answer in the file beside it.
//!
//! Each route of the template has a payload. The test parses it with the Lambda runtime's types and passes it to the
//! function's own router.

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
use http::{StatusCode, header::LOCATION};
use http_body_util::BodyExt;
use jiff::Timestamp;
use portcullis_auth::{
    Email, HashMemory, Password, PasswordHash, SessionCookie, SessionSecret, SessionToken, SignedHeaders,
    SigningSecret, UserId,
};
use portcullis_demo::{EMAIL, OWNER};
use portcullis_local::{
    gateway::DEFAULT_ROUTE,
    template::{TEMPLATE, Template},
};
use portcullis_runtime::{
    SystemRandomness,
    mail::{MailError, MailFuture, Mailer, Message},
    queue::{EventQueue, PAYLOAD_ATTRIBUTE},
};
use portcullis_store::{NewAuthSession, NewUser, ThrottleSubject};
use portcullis_tests::in_process::{InProcess, RecordingQueue, StandInPool};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

/// Creation time of the payloads; their signatures are valid for 300 s around it.
const MADE_AT: &str = "2026-01-15T09:30:00Z";

/// Placeholder in a payload's cookies for the cookie of a signed-in person.
const SESSION: &str = "better-auth.session_token=SESSION\"";

/// Placeholder in a payload's path for the id of the artifact that [`MAKES_ARTIFACT`] created.
const ARTIFACT: &str = "ARTIFACT";
const MAKES_ARTIFACT: &str = "put-artifact";

/// Expected answer to a payload, in a format that `events/README.md` describes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the files have them one by one")]
struct Answer {
    function: String,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    demo: bool,
    #[serde(default)]
    person: bool,
    #[serde(default)]
    mail: bool,
    #[serde(default)]
    artifact: bool,
    at: Option<Timestamp>,
    status: Option<u16>,
    location: Option<String>,
    body: Value,
}

/// A function's actual answer.
struct Answered {
    status: Option<u16>,
    location: Option<String>,
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

/// Names of the payloads and of the answers.
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

/// Settings in `events/development.env`.
fn development_settings() -> BTreeMap<String, String> {
    let lines = read("development.env");
    let settings = lines.lines().filter(|line| !line.starts_with('#'));
    settings.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A fake mail service that accepts every mail and delivers none.
struct TakesMail;

impl Mailer for TakesMail {
    fn send<'a>(&'a self, _: &'a Message) -> MailFuture<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A fake mail service that refuses every mail.
struct RefusesMail;

impl Mailer for RefusesMail {
    fn send<'a>(&'a self, _: &'a Message) -> MailFuture<'a> {
        Box::pin(std::future::ready(Err(MailError("there is none".to_owned()))))
    }
}

/// The functions on one database, with their fake services.
struct Functions {
    machine: InProcess,
    settings: BTreeMap<String, String>,
    queue: Arc<RecordingQueue>,
    pool: StandInPool,
    /// Value of the signed-in person's session cookie.
    session: Option<String>,
    /// Id of the artifact created before.
    artifact: Option<String>,
}

impl Functions {
    async fn start() -> Self {
        let settings = development_settings();
        let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut machine = InProcess::start(pairs, MADE_AT.parse().unwrap()).await;
        let queue = Arc::new(RecordingQueue::default());
        machine.environment.queue = Some(Arc::clone(&queue) as Arc<dyn EventQueue>);
        machine.environment.mailer = Some(Arc::new(RefusesMail));
        let pool = StandInPool::start(|_| StatusCode::OK).await;
        Self { machine, settings, queue, pool, session: None, artifact: None }
    }

    /// Sets up the preconditions that an answer's file names.
    async fn prepare(&mut self, answer: &Answer) {
        if answer.demo {
            self.connect_demo().await;
        }
        if answer.person {
            self.sign_person_in().await;
        }
        if answer.mail {
            self.machine.environment.mailer = Some(Arc::new(TakesMail));
        }
    }

    async fn connect_demo(&self) {
        let address: SocketAddr = self.pool.address;
        let (signing, delivery) = (&self.settings["DEMO_SLACK_SIGNING_SECRET"], &self.settings["DEMO_DELIVERY_SECRET"]);
        self.machine.connect_demo(address, signing, delivery).await;
    }

    /// Creates the account of `cargo local --demo` and signs it in.
    async fn sign_person_in(&mut self) {
        let (store, randomness) = (self.machine.store(), SystemRandomness);
        let (user, email): (UserId, Email) = (OWNER.parse().unwrap(), EMAIL.parse().unwrap());
        let password = Password::chosen(&self.settings["DEMO_PASSWORD"]).unwrap();
        let new = NewUser {
            id: user.clone(),
            email: email.clone(),
            name: "Demo".to_owned(),
            image: None,
            password: Some(PasswordHash::of(&password, &randomness, &mut HashMemory::default()).unwrap()),
            email_verified: true,
            created_at: None,
        };
        store.import_user(&new).await.unwrap();
        let token = SessionToken::generate(&randomness);
        let session = NewAuthSession {
            id: token.id(),
            user,
            is_remembered: true,
            ip_address: Some("203.0.113.7".to_owned()),
            user_agent: Some("curl/8.10.1".to_owned()),
        };
        let revision = store.login(&email).await.unwrap().unwrap().credential_revision;
        let nobody = ThrottleSubject::new("nothing", "nobody");
        let address = ThrottleSubject::new("nothing", "nowhere");
        store.open_session(&session, &email, revision, &nobody, &address).await.unwrap();
        let secret = SessionSecret::new(&self.settings["BETTER_AUTH_SECRET"]).unwrap();
        let cookie = SessionCookie::new(true, None).issue(&token, &secret, None);
        let pair = cookie.split(';').next().unwrap();
        self.session = pair.split_once('=').map(|(_, value)| value.to_owned());
    }

    async fn router(&self, function: &str) -> Router {
        let environment = &self.machine.environment;
        match function {
            "auth" => auth::start(environment).await,
            "internal" => internal::start(environment).await,
            "skills" => skills::start(environment).await,
            "slack" => slack::start(environment).await,
            "v1" => v1::start(environment).await,
            other => panic!("{other} has no route"),
        }
        .unwrap()
    }

    /// Passes a payload to its function as Lambda does and returns the answer's status and body.
    async fn invoke(&self, name: &str, function: &str) -> (Option<u16>, Value) {
        let answered = self.answered(name, function).await;
        (answered.status, answered.body)
    }

    async fn answered(&self, name: &str, function: &str) -> Answered {
        let mut payload = read(&format!("{name}.json"));
        if let Some(session) = &self.session {
            payload = payload.replace(SESSION, &SESSION.replace("SESSION", session));
        }
        if let Some(artifact) = &self.artifact {
            payload = payload.replace(ARTIFACT, artifact);
        }
        if function == "relay" {
            let event =
                serde_json::from_str(&payload).unwrap_or_else(|error| panic!("{name} is no SQS event: {error}"));
            let relay = relay::Relay::start(&self.machine.environment).await.unwrap();
            let response = relay::sqs_event::handle(&relay, event).await;
            return Answered { status: None, location: None, body: serde_json::to_value(response).unwrap() };
        }
        let request = lambda_http::request::from_str(&payload)
            .unwrap_or_else(|error| panic!("{name} is no event of an HTTP API: {error}"));
        let response = self.router(function).await.oneshot(request).await.unwrap();
        let status = Some(response.status().as_u16());
        let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        // A body that is not JSON, such as a page, becomes a string.
        let read = || serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Answered { status, location, body: if body.is_empty() { Value::Null } else { read() } }
    }
}

/// Whether `found` matches `expected`, in which `"<text>"` matches any non-empty text and `"<any>"` any value that is
/// present.
fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(any), Value::String(found)) if any == "<text>" => !found.is_empty(),
        (Value::String(any), found) if any == "<any>" => !found.is_null(),
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| agrees(expected, found))
        }
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

#[test]
fn every_route_of_the_template_has_a_payload() {
    let routes = Template::parse(TEMPLATE).unwrap().routes;
    let routes: BTreeSet<_> = routes
        .into_iter()
        .map(|route| {
            // API Gateway's key for the default route has no method.
            let is_default = route.path == DEFAULT_ROUTE;
            let key = if is_default { route.path } else { format!("ANY {}", route.path) };
            (key, route.function)
        })
        .collect();
    let mut found = BTreeSet::new();
    for name in names().0 {
        let answer = answer_of(&name);
        if answer.function == "relay" {
            continue;
        }
        let payload: Value = serde_json::from_str(&read(&format!("{name}.json"))).unwrap();
        let context = &payload["requestContext"];
        assert_eq!(payload["routeKey"], context["routeKey"], "{name}");
        assert_eq!(payload["rawPath"], context["http"]["path"], "{name}");
        found.insert((payload["routeKey"].as_str().unwrap().to_owned(), answer.function));
    }
    let without: Vec<_> = routes.difference(&found).collect();
    assert!(without.is_empty(), "routes without a payload: {without:?}");
    let of_no_route: Vec<_> = found.difference(&routes).collect();
    assert!(of_no_route.is_empty(), "payloads of no route: {of_no_route:?}");
}

#[tokio::test]
async fn every_payload_gets_the_answer_beside_it() {
    for name in names().0 {
        let answer = answer_of(&name);
        let mut functions = Functions::start().await;
        functions.prepare(&answer).await;
        for before in &answer.after {
            let (status, body) = functions.invoke(before, &answer_of(before).function).await;
            assert!(status.is_none_or(|status| status < 300), "{before}, which {name} comes after: {body}");
            if answer.artifact && before == MAKES_ARTIFACT {
                functions.artifact = body["id"].as_str().map(str::to_owned);
            }
        }
        if let Some(at) = answer.at {
            functions.machine.clock.set(at);
        }
        let Answered { status, location, body } = functions.answered(&name, &answer.function).await;
        assert_eq!((status, location), (answer.status, answer.location), "{name}: {body}");
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
    // The request id is new with each request.
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
    let signed = SignedHeaders::parse(timestamp, signature, functions.machine.environment.clock.now()).unwrap();
    let secret = SigningSecret::new(functions.settings["DEMO_DELIVERY_SECRET"].as_str().into());
    signed.verify(&secret, &delivery.body).unwrap();
    assert!(functions.queue.dead_letters().is_empty());

    functions.invoke("relay-malformed", "relay").await;
    assert_eq!(functions.pool.received().len(), 1, "a pool gets no message that is not an event");
    let dead = functions.queue.dead_letters();
    assert_eq!(dead.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["this is not an event"]);
    functions.machine.end().await;
}
