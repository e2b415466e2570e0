//! A tour of all features, with valid and invalid calls and a canary in each place that takes a secret.

mod chat_platforms;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use portcullis_auth::Clock;
use portcullis_tests::{
    Answer, Behaviour, Fault, FaultProxy, ScriptedComposio, StandInLiteLlm, System,
    composio::Says,
    lite_llm::Mood,
    routes::{Body, Prepared, calls},
    slack,
    system::{Settings, eventually, random_hex, send},
};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::search::{Canary, Searcher};

const SECRETS: &str = "/api/internal/pools/pool-1/secrets";
const EVENTS: &str = "/api/slack/events";
const LATEST: &str = "/api/internal/pools/pool-1/config/latest";

/// Name of the key that a pool gets instead of the shared one if `LiteLLM` has a master key.
const POOLS_OWN_KEY: &str = "the pool's own key to the models";

/// Result of the tour.
#[derive(Debug)]
pub struct Found {
    /// Number of secrets searched for.
    pub canaries: usize,
    /// Number of answers searched.
    pub answers: usize,
    /// Number of log lines searched.
    pub lines: usize,
    /// Descriptions of the secrets found and their places.
    pub leaks: Vec<String>,
}

/// The tour and everything that it has recorded.
pub struct Tour {
    prepared: Prepared,
    proxy: FaultProxy,
    // The system that owns the database behind the proxy.
    database: System,
    canaries: Vec<Canary>,
    answers: Vec<Seen>,
}

/// Canaries that the answer to a call may contain.
fn meant_at(path: &str) -> &'static [&'static str] {
    if path.contains("/config") {
        &[
            "the bot token",
            "the delivery secret",
            "the gateway's token",
            "LITELLM_BASE_URL",
            "LITELLM_API_KEY",
            POOLS_OWN_KEY,
            "POOL_KEY",
        ]
    } else if path.contains("/list-sessions") {
        // The user agent by which a person tells their browsers apart.
        &["a wrong user-agent"]
    } else if path.contains("/secrets/") {
        &["POOL_KEY", "MAPS_KEY"]
    } else {
        &[]
    }
}

struct Seen {
    what: String,
    text: String,
    /// Canaries that the answer may contain.
    meant: Vec<String>,
}

impl Tour {
    /// Starts a tour with one model key for all pools.
    pub async fn start() -> Self {
        let models = Settings::random().with("LITELLM_BASE_URL", &format!("https://{}.example.com", random_hex(12)));
        Box::pin(Self::start_with(models.with("LITELLM_API_KEY", &random_hex(24)))).await
    }

    /// Starts a tour with a model key for each pool.
    pub async fn start_with_keys_of_pools(lite_llm: &StandInLiteLlm) -> Self {
        let models = Settings::random().with("LITELLM_BASE_URL", &lite_llm.url());
        Box::pin(Self::start_with(models.with("LITELLM_MASTER_KEY", &lite_llm.master_key()))).await
    }

    /// Starts a tour with a Composio project.
    pub async fn start_with_accounts(composio: &ScriptedComposio) -> Self {
        let settings = Settings::random()
            .with("LITELLM_BASE_URL", &format!("https://{}.example.com", random_hex(12)))
            .with("LITELLM_API_KEY", &random_hex(24))
            .with("COMPOSIO_API_URL", &composio.url());
        Box::pin(Self::start_with(settings.with("COMPOSIO_API_KEY", composio.key()))).await
    }

    async fn start_with(settings: Settings) -> Self {
        let database = System::start().await;
        let proxy = FaultProxy::start(database.database()).await;
        let mut settings = settings
            .with("INTERNAL_API_TOKEN_PREVIOUS", &random_hex(24))
            .with("SKILL_API_TOKEN_PREVIOUS", &random_hex(24))
            .with("SLACK_CLIENT_ID", &random_hex(12))
            .with("SLACK_CLIENT_SECRET", &random_hex(16));
        settings.database = Some(proxy.sdk_config());
        let prepared = Prepared::new(System::start_with(settings).await).await;
        let mut tour = Self { prepared, proxy, database, canaries: Vec::new(), answers: Vec::new() };
        let settings = tour.prepared.system.settings.environment();
        for (name, value) in settings {
            tour.watch(&name, value.expose_secret());
        }
        let key = hex::decode(&tour.prepared.system.settings.encryption_key).unwrap();
        tour.canaries.push(Canary::of_bytes("the key's bytes", &key));
        let connected = tour.prepared.connected.clone();
        tour.watch("the signing secret", &connected.signing_secret);
        tour.watch("the delivery secret", &connected.delivery_secret);
        tour.watch("the bot token", &connected.bot_token);
        tour.configuration().await;
        tour
    }

    fn watch(&mut self, name: &str, secret: &str) {
        self.canaries.push(Canary::new(name, secret));
    }

    /// A new canary of plain characters.
    fn canary(&mut self, name: &str) -> String {
        let secret = format!("c4n4ry{}", random_hex(12));
        self.watch(name, &secret);
        secret
    }

    async fn send(&mut self, what: &str, request: RequestBuilder, meant: &[&str]) -> Answer {
        let answer = send(request).await;
        let text = format!("{:?}\n{}", answer.headers, String::from_utf8_lossy(&answer.body));
        let meant = meant.iter().map(|name| (*name).to_owned()).collect();
        self.answers.push(Seen { what: what.to_owned(), text, meant });
        answer
    }

    fn system(&self) -> &System {
        &self.prepared.system
    }

    /// Reads a pool's configuration and watches for the secrets that only the pool may see.
    async fn configuration(&mut self) {
        let request = self.system().internal(Method::GET, LATEST);
        let answer = self.send("GET config", request, meant_at(LATEST)).await.json();
        let token = answer["config"]["gateway"]["auth"]["token"].as_str().expect("a gateway's token");
        self.watch("the gateway's token", token);
        let has_own_key = self.system().settings.others.contains_key("LITELLM_MASTER_KEY");
        if has_own_key {
            let key = answer["config"]["models"]["providers"]["litellm"]["apiKey"].as_str().expect("a key to models");
            self.watch(POOLS_OWN_KEY, key);
        }
        let text = answer.to_string();
        let missing = ["POOL_KEY", if has_own_key { "LITELLM_API_KEY" } else { POOLS_OWN_KEY }];
        for name in meant_at(LATEST).iter().filter(|name| !missing.contains(name)) {
            let canary = self.canaries.iter().find(|canary| canary.name == *name);
            assert!(canary.expect("is watched").found_in(&text).is_some(), "{name} is not in {text}");
        }
    }

    /// Sends each call with tokens of other routes, in each place where a client might put a token.
    pub async fn credentials(&mut self) {
        for (route, call) in calls() {
            let right = self.prepared.authorized(route, call);
            // With a shared model key, no server answers at LiteLLM's address.
            let has_own_key = self.system().settings.others.contains_key("LITELLM_MASTER_KEY");
            let expected = if call.path.ends_with("/models") && !has_own_key { 502 } else { call.status };
            assert_eq!(self.send("a right credential", right, meant_at(call.path)).await.status, expected);
            for what in [
                "x-internal-token",
                "authorization",
                "cookie",
                "x-api-key",
                "user-agent",
                "referer",
                "x-slack-signature",
            ] {
                let token = self.canary(&format!("a wrong {what}"));
                let value = if what == "authorization" { format!("Bearer {token}") } else { token };
                let request = self.prepared.anonymous(call).header(what, value);
                self.send(what, request, &[]).await;
            }
            let (name, password) = (self.canary("a user's name"), self.canary("a password"));
            self.send("Basic", self.prepared.anonymous(call).basic_auth(name, Some(password)), &[]).await;
            let query = self.canary("a query");
            let separator = if call.path.contains('?') { '&' } else { '?' };
            let method: Method = call.method.parse().unwrap();
            let path = format!("{}{separator}token={query}", call.path);
            self.send("a query", self.system().internal(method, &path), meant_at(&path)).await;
            let id = self.canary("a request id that is not one");
            self.send("an id", self.prepared.anonymous(call).header("x-request-id", format!("{id} {id}")), &[]).await;
            let id = self.canary("a content type");
            let request = self.prepared.authorized(route, call).header("content-type", format!("text/{id}"));
            self.send("a content type", request, meant_at(call.path)).await;
        }
    }

    /// Sets secrets in each scope, and sends every invalid call that sets them.
    pub async fn secrets(&mut self) {
        for (name, scope) in [("POOL_KEY", "pool"), ("MAPS_KEY", "skill:maps"), ("MAIL_KEY", "skill:mail")] {
            let secret = format!("v \"q\"\\ é\n{}", self.canary(name));
            self.watch(name, &secret);
            let body = json!({ "secrets": { name: { "value": secret, "scope": scope } } });
            let request = self.system().internal(Method::PUT, SECRETS).json(&body);
            assert_eq!(self.send("PUT secrets", request, &[]).await.status, 200);
        }
        for (skill, meant) in [("maps", "MAPS_KEY"), ("mail", "MAIL_KEY"), ("other", "POOL_KEY")] {
            let path = format!("/api/internal/secrets/{skill}?poolId=pool-1");
            let request = self.system().skill(Method::GET, &path);
            let answer = self.send("GET secrets", request, &["POOL_KEY", meant]).await;
            assert!(answer.json()[meant].as_str().unwrap().contains("c4n4ry"), "{answer:?}");
        }
        let c = self.canary("a value in a refused call");
        let many: serde_json::Map<String, Value> =
            (0..51).map(|number| (format!("NAME_{number}"), json!(format!("{c}{number}")))).collect();
        for secrets in [
            json!({ "A": c, "b/d": c }),
            json!({ "A": { "value": c, "scope": c } }),
            json!({ "A": { "scope": c } }),
            json!({ "A": [c] }),
            json!({ "A": { "value": { "inner": c } } }),
            json!({ format!("{c}-"): c }),
            json!({ "A": c.repeat(4_000) }),
            json!([c]),
            json!(c),
            json!({ "A": { c.clone(): c, "value": 7 } }),
            Value::Object(many),
        ] {
            let request = self.system().internal(Method::PUT, SECRETS).json(&json!({ "secrets": secrets }));
            assert_eq!(self.send("a refused PUT", request, &[]).await.status, 400, "{secrets}");
        }
        let elsewhere = self.system().internal(Method::PUT, "/api/internal/pools/nowhere/secrets");
        let request = elsewhere.json(&json!({ "secrets": { "A": c } }));
        assert_eq!(self.send("an unknown pool", request, &[]).await.status, 404);
    }

    /// Sends a canary in each field of each body, and in malformed bodies.
    pub async fn bad_bodies(&mut self) {
        for (_, call) in calls() {
            let Body::Json(text) = call.body else { continue };
            // The exclamation mark makes it an invalid name everywhere.
            let c = format!("{}!", self.canary("a body"));
            let own: Value = serde_json::from_str(text).unwrap();
            let mut bodies = vec![
                c.clone(),
                format!("\"{c}\""),
                format!("[\"{c}\"]"),
                format!("{{\"{c}\":1,\"{c}\":2}}"),
                format!("{{\"{c}\""),
                format!("{{\"x\":\"{c}\\q\"}}"),
            ];
            let fields = own.as_object().unwrap().keys().cloned();
            for field in fields.chain(["podIp", "status", "timestamp", "lastSeenVersion", "skills"].map(str::to_owned))
            {
                for value in [json!(c), json!([c]), json!({ c.clone(): c }), json!(format!("{c}\0"))] {
                    // Ids and names are repeated in answers; they are not secret.
                    if ["poolId", "sessionKey", "title", "name", "modelId"].contains(&field.as_str())
                        && value == json!(c)
                    {
                        continue;
                    }
                    let mut body = own.clone();
                    body[&field] = value;
                    bodies.push(body.to_string());
                }
            }
            for body in bodies {
                let request = self.system().internal(call.method.parse().unwrap(), call.path);
                let request = request.header("content-type", "application/json").body(body);
                self.send("a bad body", request, &[]).await;
            }
        }
        let c = self.canary("a path");
        for path in [
            format!("/api/internal/secrets/{c}%2F?poolId=pool-1"),
            format!("/api/internal/secrets/maps?poolId={c}&poolId={c}"),
            format!("/api/internal/secrets/maps?poolId={c}%00"),
            format!("/api/internal/pools/{c}%FF/secrets"),
            format!("/api/slack/events/{c}"),
            format!("/api/{c}"),
        ] {
            self.send("a path", self.system().internal(Method::GET, &path), &[]).await;
            self.send("a path", self.system().request(Method::POST, &path), &[]).await;
        }
    }

    /// Issues bound tokens, each shown once.
    pub async fn tokens(&mut self) {
        for kind in ["skill-tokens", "runtime-tokens"] {
            let path = format!("/api/internal/pools/pool-1/{kind}");
            let name = format!("the token of {kind}");
            let request = self.system().internal(Method::POST, &path).json(&json!({ "ttlSeconds": 60 }));
            let answer = self.send("issuing", request, &[&name]).await;
            let token = answer.json()["token"].as_str().unwrap().to_owned();
            self.watch(&name, &token);
            self.watch(&format!("{name}'s signature"), token.rsplit('.').next().unwrap());
            // An answer that contains the token also contains its signature.
            self.answers.last_mut().unwrap().meant.push(format!("{name}'s signature"));
            for (_, call) in calls().filter(|(_, call)| call.method != "DELETE") {
                for token in [token.clone(), format!("{token}x"), token[..token.len() - 1].to_owned()] {
                    let request = self.prepared.anonymous(call).header("x-internal-token", token);
                    self.send("a bound token", request, meant_at(call.path)).await;
                }
            }
            assert_eq!(self.send("revoking", self.system().internal(Method::DELETE, &path), &[]).await.status, 200);
            let heartbeat = self.system().request(Method::POST, "/api/internal/pools/heartbeat");
            let heartbeat = heartbeat.json(&json!({ "poolId": "pool-1" })).header("x-internal-token", &token);
            assert_eq!(self.send("a revoked token", heartbeat, &[]).await.status, 401);
        }
    }

    fn signed(&self, path: &str, secret: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        slack::signed(self.system(), path, secret, body, self.system().clock.now())
    }

    fn message(&self, number: u32, text: &str) -> Value {
        let connected = &self.prepared.connected;
        let mut message = slack::message(&connected.team, &connected.app, "C0GENERAL", number);
        message["event"]["text"] = json!(text);
        message
    }

    /// Valid and invalid Slack events.
    pub async fn slack(&mut self) {
        let c = self.canary("a message");
        let own = self.prepared.connected.signing_secret.clone();
        let platform = self.system().settings.slack_signing_secret.clone();
        let mut message = self.message(10, &c);
        message["token"] = json!(self.canary("Slack's own token"));
        message["event"]["files"] = json!([{ "url_private": c, "authorization": c }]);
        for _ in 0..2 {
            let request = self.signed(EVENTS, &own, message.to_string());
            assert_eq!(self.send("an event", request, &[]).await.status, 200);
        }
        let mut elsewhere = message.clone();
        elsewhere["team_id"] = json!("T0ELSEWHERE");
        elsewhere["authorizations"] = Value::Null;
        for (what, secret, body) in [
            ("the platform's for a customer's", &platform, message.to_string()),
            ("an unknown secret", &c, message.to_string()),
            ("an unknown team", &own, elsewhere.to_string()),
            ("nobody's", &platform, elsewhere.to_string()),
            ("not JSON", &platform, c.clone()),
            ("half", &platform, format!("{{\"type\":\"{c}")),
            ("no origin", &platform, json!({ "type": c }).to_string()),
            ("no challenge", &platform, json!({ "type": "url_verification", "token": c }).to_string()),
            ("two teams", &own, format!("{{\"team_id\":\"T1\",\"team_id\":\"{c}\"}}")),
            ("a form", &platform, format!("token={c}&ssl_check=1")),
        ] {
            let request = self.signed(EVENTS, secret, body.clone());
            self.send(what, request, &[]).await;
            let path = format!("{EVENTS}/channel-1");
            let request = self.signed(&path, secret, body);
            self.send(what, request, &[]).await;
        }
        let challenge = self.canary("a challenge");
        let body = json!({ "type": "url_verification", "challenge": challenge, "token": c }).to_string();
        let request = self.signed(EVENTS, &platform, body);
        assert_eq!(self.send("a challenge", request, &["a challenge"]).await.status, 200);
        let large = self.signed(EVENTS, &own, c.repeat(40_000));
        assert_eq!(self.send("a large body", large, &[]).await.status, 413);
    }

    /// Delivers to pools that accept events and to pools that do not.
    pub async fn deliveries(&mut self) {
        let before = self.prepared.stand_in.wait_for(1).await.len();
        let location = self.canary("a redirect");
        let own = self.prepared.connected.signing_secret.clone();
        let behaviours =
            [Behaviour::Answer(500), Behaviour::Redirect(format!("http://127.0.0.1:9/{location}")), Behaviour::Close];
        for (number, behaviour) in (20..).zip(behaviours) {
            self.prepared.stand_in.behave(behaviour);
            let text = self.canary("a message that waits");
            let mut message = self.message(number, &text);
            // A conversation of its own for each event, so that none waits for another.
            message["event"]["channel"] = json!(format!("C0WAITS{number}"));
            let request = self.signed(EVENTS, &own, message.to_string());
            assert_eq!(self.send("an event that waits", request, &[]).await.status, 200);
            let seen = self.prepared.stand_in.seen().len();
            eventually("a delivery that fails", async || self.prepared.stand_in.seen().len() >= seen.max(before + 1))
                .await;
        }
        self.prepared.stand_in.behave(Behaviour::Answer(200));
    }

    /// A store that refuses, throttles and loses answers.
    pub async fn faults(&mut self) {
        let c = self.canary("a value while the store fails");
        for fault in [
            Fault::Code("ValidationException"),
            Fault::Code("AccessDeniedException"),
            Fault::Code("ResourceNotFoundException"),
            Fault::Code("InternalServerError"),
        ] {
            self.proxy.rule(move |_| fault.clone());
            for (route, call) in calls().filter(|(route, _)| !route.tier.is_open()) {
                let request = self.prepared.authorized(route, call);
                self.send("a failing store", request, &[]).await;
            }
            let put = self.system().internal(Method::PUT, SECRETS).json(&json!({ "secrets": { "A": c } }));
            assert!(self.send("a failing store", put, &[]).await.status.is_server_error());
        }
        self.proxy.heal();
    }

    /// Connects a person's accounts at third parties and uses them as a skill.
    pub async fn accounts(&mut self, composio: &ScriptedComposio) {
        let key = self.canary("a person's own key");
        let cookie = self.prepared.cookie.clone();
        let person = |tour: &Self, method: Method, path: &str| {
            let origin = tour.system().stack.base_url();
            tour.system()
                .request(method, &format!("/v1/integrations{path}"))
                .header("cookie", &cookie)
                .header("origin", origin)
        };
        let refused = json!({ "toolkitSlug": "sendgrid", "credentials": { key.clone(): key, "generic_api_key": " " } });
        let body = json!({ "toolkitSlug": "sendgrid", "credentials": { "generic_api_key": key } });
        for (body, status) in [(&refused, 400), (&body, 200), (&body, 409)] {
            let request = person(self, Method::POST, "/connect").json(body);
            // The name of a refused field is the caller's own.
            let meant: &[&str] = if status == 400 { &["a person's own key"] } else { &[] };
            assert_eq!(self.send("connect an account", request, meant).await.status, status);
        }
        let gmail = person(self, Method::POST, "/connect").json(&json!({ "toolkitSlug": "gmail" }));
        let begun = send(gmail).await;
        let state = begun.json()["state"].as_str().expect("a state").to_owned();
        self.watch("the state of a connection", &state);
        let secret = begun.header("set-cookie").split(['=', ';']).nth(1).expect("a cookie").to_owned();
        self.watch("the browser of a connection", &secret);
        let id = begun.json()["integration"]["id"].as_str().expect("an id").to_owned();
        for body in [json!({ "state": "no state" }), json!({ "state": state })] {
            let request = person(self, Method::POST, &format!("/{id}/refresh")).json(&body);
            self.send("refresh", request, &[]).await;
        }
        let list = person(self, Method::GET, "");
        self.send("list the accounts", list, &[]).await;
        for (method, path) in [(Method::GET, "tools/"), (Method::POST, "tools/execute/")] {
            for action in ["SENDGRID_SEND_EMAIL", "GMAIL_SEND_EMAIL"] {
                let body = json!({ "botId": "bot-ada", "action": action });
                let request = self.system().skill(Method::POST, "/api/internal/composio/execute").json(&body);
                let answer = self.send("execute an action", request, &[]).await;
                if let Some(link) = answer.json()["connectUrl"].as_str() {
                    let link = link.rsplit('/').next().expect("a link").to_owned();
                    // The link is for the caller only.
                    if link.len() == 64 {
                        self.answers.pop();
                        self.watch("a link", &link);
                    }
                }
            }
            composio.say(method, path, Says::Status(500, format!("{{\"error\":\"{key}\"}}"), None));
        }
    }

    /// Replaces a sealed value by plaintext that was never sealed.
    pub async fn damaged_rows(&mut self) {
        let c = self.canary("a value that was never sealed");
        let client = portcullis_store::client(&self.database.stack.environment().aws);
        let update = client
            .update_item()
            .table_name("portcullis-local-pool_secrets")
            .key("pool", AttributeValue::S("pool-1".to_owned()))
            .key("scopeName", AttributeValue::S("skill:maps#MAPS_KEY".to_owned()))
            .update_expression("SET #value = :value")
            .expression_attribute_names("#value", "value");
        let revision = client
            .update_item()
            .table_name("portcullis-local-pools")
            .key("id", AttributeValue::S("pool-1".to_owned()))
            .update_expression("ADD secretsRevision :one")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        for bytes in [c.as_bytes().to_vec(), [b"\x01", c.as_bytes(), c.as_bytes()].concat(), Vec::new()] {
            let value = AttributeValue::B(Blob::new(bytes));
            update.clone().expression_attribute_values(":value", value).send().await.unwrap();
            // Increment the revision as a write does, or the function serves its cached value.
            revision.clone().send().await.unwrap();
            let request = self.system().skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
            assert_eq!(self.send("a damaged row", request, &[]).await.status, 500);
        }
    }

    /// A `LiteLLM` that fails, loses answers and rejects the master key while keys are created and deleted.
    pub async fn models(&mut self, lite_llm: &StandInLiteLlm) {
        let register = "/api/internal/pools/register";
        let latest = "/api/internal/pools/pool-9/config/latest";
        for mood in [Mood::Failing, Mood::LosingAnswers, Mood::EndingNone, Mood::Well] {
            for rotated in [true, false] {
                lite_llm.be(mood);
                let master = lite_llm.master_key();
                if rotated {
                    lite_llm.rotate("another master key");
                }
                for status in ["active", "terminated"] {
                    let body = json!({ "poolId": "pool-9", "status": status });
                    self.send("a report", self.system().internal(Method::POST, register).json(&body), &[]).await;
                    let answer = send(self.system().internal(Method::GET, latest)).await;
                    let (status, key) = (answer.status.as_u16(), answer.body);
                    if status != 200 {
                        let text = String::from_utf8_lossy(&key).into_owned();
                        self.answers.push(Seen { what: "a key that is not made".to_owned(), text, meant: Vec::new() });
                        continue;
                    }
                    let key: Value = serde_json::from_slice(&key).expect("JSON");
                    let key = key["config"]["models"]["providers"]["litellm"]["apiKey"].as_str().expect("a key");
                    self.watch("another pool's own key", key);
                }
                lite_llm.rotate(&master);
            }
        }
    }

    /// Ends everything and searches all that was recorded.
    pub async fn end(self) -> Found {
        let Self { prepared, proxy, database, canaries, answers } = self;
        let Prepared { system, stand_in, .. } = prepared;
        let logs = system.logs.clone();
        system.shutdown().await;
        drop(proxy);
        database.shutdown().await;
        let lines = logs.all();
        let deliveries: Vec<String> = stand_in
            .seen()
            .iter()
            .map(|delivery| format!("{:?}\n{}", delivery.headers, String::from_utf8_lossy(&delivery.body)))
            .collect();
        let searcher = Searcher::new(&canaries);
        let mut leaks = Vec::new();
        for seen in &answers {
            for (place, form) in searcher.found_in(&seen.text) {
                let name = &canaries[place].name;
                if !seen.meant.contains(name) {
                    leaks.push(format!("{name} ({form}) in the answer to {}: {}", seen.what, seen.text));
                }
            }
        }
        for line in &lines {
            leaks.extend(
                searcher.found_in(line).keys().map(|place| format!("{} in the log: {line}", canaries[*place].name)),
            );
        }
        for delivery in &deliveries {
            for (place, form) in searcher.found_in(delivery) {
                // A pool gets the messages that Slack sent and a signature, but no secret that signs or opens anything.
                let name = &canaries[place].name;
                if !name.contains("message") && name != "Slack's own token" {
                    leaks.push(format!("{name} ({form}) in a delivery"));
                }
            }
        }
        leaks.truncate(20);
        Found { canaries: canaries.len(), answers: answers.len(), lines: lines.len(), leaks }
    }
}
