//! The demonstration: a pool with its sidecar, a bot and a connected Slack channel, and one signed message that passes
//! through all of it.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

mod machine;
pub mod openclaw;

use std::{
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_auth::{Clock, HashMemory, Password, PasswordHash, SigningSecret};
use portcullis_crypto::Randomness;
use portcullis_local::{Stack, gateway::Answered, sign};
use portcullis_runtime::{Environment, settings::SettingsReader};
use portcullis_store::{BotReach, CreateBotError, NewBot, NewSlackChannel, NewUser, SigningSource, Store};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinHandle, time::timeout};

use machine::{Line, Machine, Setup};
use openclaw::{Delivery, Told};

/// Pool of the demonstration.
pub const POOL: &str = "pool-demo";
/// Bot of the pool.
pub const BOT: &str = "bot-demo";
/// Connected channel of the bot.
pub const CHANNEL: &str = "channel-demo";
/// Owner of the bot.
pub const OWNER: &str = "user-demo";
/// Address of the owner.
pub const EMAIL: &str = "demo@example.com";
/// Slack team that the app is installed in.
pub const TEAM: &str = "T00DEMO";
/// Slack app.
pub const APP: &str = "A00DEMO";

/// Time-out of the message, and of the sidecar's start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Heartbeat interval for the pool of `--demo-pool`: the relay posts to no pool that was silent for 60 s.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);
/// User agent of the demonstration's own requests.
const USER_AGENT: &str = "portcullis-demo";
/// Longest path that is printed, in characters.
const LONGEST_PATH: usize = 200;

/// Lifetime of the pool's token: a day.
const TOKEN_SECONDS: u32 = 24 * 60 * 60;

/// Error of the demonstration.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration: {0}")]
pub struct DemoError(String);

fn failed(what: impl Display) -> DemoError {
    DemoError(what.to_string())
}

/// A demonstration on a running stack.
pub struct Demo {
    caller: Caller,
    program: PathBuf,
    pool: SocketAddr,
    /// Whether the pool came from `--demo-pool`: then no sidecar is started.
    is_anothers: bool,
    machine: Option<Machine>,
    /// Heartbeat interval for the pool of `--demo-pool`.
    heartbeat_interval: Duration,
    heartbeats: Option<Heartbeats>,
    requests: Option<UnboundedReceiver<Answered>>,
}

/// One printed line: the component, and the event.
pub struct Step {
    /// Component that acted.
    pub place: String,
    /// Description of the event.
    pub what: String,
}

fn step(place: &str, what: impl Into<String>) -> Step {
    Step { place: place.to_owned(), what: what.into() }
}

/// Background heartbeats for the pool of `--demo-pool`, which has no sidecar of ours. Dropping this ends them.
struct Heartbeats(JoinHandle<()>);

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Demo {
    /// Prepares a demonstration: with a sidecar of its own, unless `pool` is the address of a running pool. `program`
    /// is the binary of `cargo local`, which is also the sidecar and the stand-in for `OpenClaw`.
    ///
    /// # Errors
    /// [`DemoError`].
    pub fn new(stack: &Stack, pool: Option<SocketAddr>, program: &Path) -> Result<Self, DemoError> {
        let environment = stack.environment().clone();
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().user_agent(USER_AGENT).build();
        let client = client.map_err(failed)?;
        let is_anothers = pool.is_some();
        let pool = pool.map_or_else(machine::free_address, Ok).map_err(failed)?;
        let (base_url, program) = (stack.base_url(), program.to_owned());
        Ok(Self {
            caller: Caller { environment, base_url, client },
            program,
            pool,
            is_anothers,
            machine: None,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            heartbeats: None,
            requests: None,
        })
    }

    /// Prints the requests of this channel as well, except for the demonstration's own and its sidecar's.
    #[must_use]
    pub fn with_requests(self, requests: UnboundedReceiver<Answered>) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Replaces the heartbeat interval of 20 seconds for the pool of `--demo-pool`.
    #[must_use]
    pub fn with_heartbeat_interval(self, heartbeat_interval: Duration) -> Self {
        Self { heartbeat_interval, ..self }
    }

    /// Seeds the demonstration's rows, and sends one message through the gateway. Idempotent on the same data, except
    /// that it sends another message.
    ///
    /// # Errors
    /// [`DemoError`], at the first step that fails.
    pub async fn run(&mut self) -> Result<Vec<Step>, DemoError> {
        let mut steps = Vec::new();
        let registration = json!({ "poolId": POOL, "podIp": self.pool.to_string() });
        self.caller
            .call(reqwest::Method::POST, "/api/internal/pools/register", "INTERNAL_API_TOKEN", Some(&registration))
            .await?;
        steps.push(step("internal", format!("registered {POOL} at {}", self.pool)));
        self.seed_channel().await?;
        steps.push(step("store", format!("made {BOT} and {CHANNEL}, its Slack secrets sealed")));
        self.seed_person().await?;
        steps.push(step("store", format!("made a person, {EMAIL}, who owns {BOT} (the password is DEMO_PASSWORD)")));
        let key = || self.caller.random_text();
        let secrets = json!({ "secrets": {
            "SHARED_KEY": key(),
            "MAPS_KEY": { "value": key(), "scope": "skill:maps" },
            "MAIL_KEY": { "value": key(), "scope": "skill:mail" },
        }});
        let path = format!("/api/internal/pools/{POOL}/secrets");
        self.caller.call(reqwest::Method::PUT, &path, "INTERNAL_API_TOKEN", Some(&secrets)).await?;
        steps.push(step("internal", "sealed SHARED_KEY for the pool, MAPS_KEY for maps, MAIL_KEY for mail"));
        for skill in ["maps", "mail"] {
            let path = format!("/api/internal/secrets/{skill}?poolId={POOL}");
            let answer = self.caller.call(reqwest::Method::GET, &path, "SKILL_API_TOKEN", None).await?;
            let names: Vec<&str> = answer.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            steps.push(step("skills", format!("skill {skill} reads {}, and nothing else", names.join(" and "))));
        }
        let skill = json!({ "content": "---\nname: maps\ndescription: Finds the way with the key of the maps\n---\n# Maps\n", "files": { "find.sh": "#!/bin/sh\nportcullis-skill secrets get --env\n" } });
        self.caller.call(reqwest::Method::PUT, "/api/internal/skills/maps", "INTERNAL_API_TOKEN", Some(&skill)).await?;
        steps.push(step("internal", "stored the skill maps with its files"));
        if self.is_anothers {
            self.caller.heartbeat(self.pool).await?;
            self.heartbeats = Some(self.keep_alive());
            steps.push(step("internal", format!("took a heartbeat for {POOL}, as it does from now on")));
        } else if self.machine.is_none() {
            self.start_machine(&mut steps).await?;
        }
        self.caller.send_message().await?;
        steps.push(step("slack", "verified a signed message, queued it, answered 200"));
        steps.push(self.arrival().await?);
        steps.push(step("console", format!("open {} and sign in, or sign up", self.caller.base_url)));
        Ok(steps)
    }

    /// Starts the sidecar, and waits until its child answers.
    async fn start_machine(&mut self, steps: &mut Vec<Step>) -> Result<(), DemoError> {
        let path = format!("/api/internal/pools/{POOL}/runtime-tokens");
        let body = json!({ "ttlSeconds": TOKEN_SECONDS });
        let issued = self.caller.call(reqwest::Method::POST, &path, "INTERNAL_API_TOKEN", Some(&body)).await?;
        let token = issued["token"].as_str().ok_or_else(|| failed("there is no token in the answer"))?.into();
        steps.push(step("internal", "issued a token for the pool's machine, good for this pool alone"));
        let slack_api = self.caller.environment.variables.get("SLACK_API_URL").map(ExposeSecret::expose_secret);
        let setup = Setup {
            program: &self.program,
            base_url: &self.caller.base_url,
            pool: POOL,
            token: &token,
            address: self.pool,
            slack_api,
        };
        let machine = Machine::start(&setup);
        let machine = machine.map_err(failed)?;
        let machine = self.machine.insert(machine);
        let started = async {
            while let Some(line) = machine.next_line().await {
                match line {
                    Line::OpenClaw(Told::Listening) => return Ok(()),
                    line => steps.extend(told(&line)),
                }
            }
            Err(failed("the sidecar has ended"))
        };
        timeout(PATIENCE, started).await.unwrap_or_else(|_| Err(failed("the sidecar started nothing in time")))
    }

    /// Sends heartbeats until the result is dropped.
    fn keep_alive(&self) -> Heartbeats {
        let (caller, pool, interval) = (self.caller.clone(), self.pool, self.heartbeat_interval);
        Heartbeats(tokio::spawn(async move {
            while timeout(interval, std::future::pending::<()>()).await.is_err() {
                if let Err(error) = caller.heartbeat(pool).await {
                    tracing::warn!(%error, "a heartbeat of the demonstration's pool was lost");
                }
            }
        }))
    }

    /// Returns the next step at the pool or at the gateway; `None` where both have ended.
    pub async fn next_step(&mut self) -> Option<Step> {
        loop {
            let (machine, requests) = (&mut self.machine, &mut self.requests);
            let step = tokio::select! {
                Some(line) = async { machine.as_mut()?.next_line().await } => told(&line),
                Some(answered) = async { requests.as_mut()?.recv().await } => passed(&answered),
                else => return None,
            };
            if step.is_some() {
                return step;
            }
        }
    }

    /// Ends the heartbeats, the sidecar and its child.
    pub async fn shutdown(self) {
        drop(self.heartbeats);
        if let Some(machine) = self.machine {
            machine.shutdown().await;
        }
    }

    /// Creates the account of the bot's owner. Its password is one of the generated secrets.
    async fn seed_person(&self) -> Result<(), DemoError> {
        let environment = &self.caller.environment;
        let password = setting(environment, "DEMO_PASSWORD")?;
        let randomness = std::sync::Arc::clone(&environment.randomness);
        // Blocking: the hash takes some 50 ms of CPU time.
        let hash = tokio::task::spawn_blocking(move || {
            let password = Password::chosen(password.expose_secret()).map_err(failed)?;
            PasswordHash::of(&password, &*randomness, &mut HashMemory::default()).map_err(failed)
        });
        let new = NewUser {
            id: OWNER.parse().map_err(failed)?,
            email: EMAIL.parse().map_err(failed)?,
            name: "Demo".to_owned(),
            image: None,
            password: Some(hash.await.map_err(failed)??),
            email_verified: true,
            created_at: None,
        };
        store(environment).await?.sign_up(&new).await.map(drop).map_err(failed)
    }

    async fn seed_channel(&self) -> Result<(), DemoError> {
        let store = store(&self.caller.environment).await?;
        let bot = NewBot {
            id: BOT.parse().map_err(failed)?,
            user: OWNER.parse().ok(),
            name: "Demo".to_owned(),
            slug: "demo".to_owned(),
            pool: Some(POOL.parse().map_err(failed)?),
            model_id: "none".to_owned(),
            system_prompt: None,
            paused: false,
        };
        match store.create_bot(bot).await {
            Ok(_) | Err(CreateBotError::AlreadyExists) => {}
            Err(error) => return Err(failed(error)),
        }
        let channel = NewSlackChannel {
            id: CHANNEL.parse().map_err(failed)?,
            bot: BOT.parse().map_err(failed)?,
            team_id: TEAM.parse().map_err(failed)?,
            app_id: APP.parse().map_err(failed)?,
            team_name: Some("Demo".to_owned()),
            bot_user_id: None,
            // A dummy: the configuration leaves out an account without a token.
            bot_token: Some(format!("not-a-slack-token-{}", self.caller.random_text()).into()),
            signing: SigningSource::Own(setting(&self.caller.environment, "DEMO_SLACK_SIGNING_SECRET")?),
            delivery_secret: Some(setting(&self.caller.environment, "DEMO_DELIVERY_SECRET")?),
        };
        store.connect_channel(BotReach::Any, channel).await.map(drop).map_err(failed)
    }

    async fn arrival(&mut self) -> Result<Step, DemoError> {
        let pool = self.pool;
        let Some(machine) = &mut self.machine else { return Ok(step("relay", format!("delivers it to {pool}"))) };
        let delivered = async {
            while let Some(line) = machine.next_line().await {
                if let Line::OpenClaw(Told::Delivered(delivery)) = &line {
                    return Some(arrived(delivery));
                }
            }
            None
        };
        let delivered = timeout(PATIENCE, delivered).await.ok().flatten();
        delivered.ok_or_else(|| failed("the message did not reach the pool"))
    }
}

/// Client that calls the stack as its operator and as Slack.
#[derive(Clone)]
struct Caller {
    environment: Environment,
    base_url: String,
    client: reqwest::Client,
}

impl Caller {
    /// Sends the heartbeat of the pool of `--demo-pool`.
    async fn heartbeat(&self, pool: SocketAddr) -> Result<(), DemoError> {
        let body = json!({ "poolId": POOL, "podIp": pool.to_string() });
        let path = "/api/internal/pools/heartbeat";
        self.call(reqwest::Method::POST, path, "INTERNAL_API_TOKEN", Some(&body)).await.map(drop)
    }

    async fn send_message(&self) -> Result<(), DemoError> {
        let now = self.environment.clock.now();
        let body = message(&self.random_text(), "Hello from the demonstration", now).to_string();
        let secret = SigningSecret::new(setting(&self.environment, "DEMO_SLACK_SIGNING_SECRET")?);
        let mut request = self.client.post(format!("{}{}", self.base_url, sign::EVENTS_PATH));
        for (name, value) in sign::headers(body.as_bytes(), &secret, now) {
            request = request.header(name, value);
        }
        let answer = request.header("content-type", "application/json").body(body).send().await.map_err(failed)?;
        if answer.status().is_success() { Ok(()) } else { Err(failed(format!("the message got {}", answer.status()))) }
    }

    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value, DemoError> {
        let token = setting(&self.environment, token)?;
        let mut request = self.client.request(method, format!("{}{path}", self.base_url));
        request = request.header("x-internal-token", token.expose_secret());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        if !status.is_success() {
            return Err(failed(format!("{path} answered {status}")));
        }
        serde_json::from_str(&text).map_err(failed)
    }

    fn random_text(&self) -> String {
        let mut bytes = [0; 16];
        self.environment.randomness.fill(&mut bytes);
        hex::encode(bytes)
    }
}

/// Step for a line of the pool's machine; `None` for a line that is not printed.
fn told(line: &Line) -> Option<Step> {
    match line {
        Line::Sidecar(said) if said.starts_with("OpenClaw runs as") => None,
        Line::Sidecar(said) => Some(step("sidecar", said.clone())),
        Line::OpenClaw(Told::Listening) => None,
        Line::OpenClaw(Told::Delivered(delivery)) => Some(arrived(delivery)),
    }
}

/// Step for an answered request; `None` for the demonstration's own.
fn passed(answered: &Answered) -> Option<Step> {
    let own = [USER_AGENT, "portcullis-sidecar"];
    if answered.user_agent.as_deref().is_some_and(|name| own.contains(&name)) {
        return None;
    }
    let place = answered.function.as_deref().unwrap_or("gateway");
    let path: String = answered.path.chars().take(LONGEST_PATH).collect();
    Some(step(place, format!("{} {path} {}", answered.method, answered.status.as_u16())))
}

fn arrived(delivery: &Delivery) -> Step {
    let signature =
        if delivery.verified { "signed with the delivery secret" } else { "with a signature that is wrong" };
    step("pool", format!("got POST {}, {} bytes, {signature}", delivery.path, delivery.bytes))
}

fn setting(environment: &Environment, name: &str) -> Result<SecretString, DemoError> {
    environment.variables.get(name).cloned().ok_or_else(|| failed(format!("{name} is not set")))
}

async fn store(environment: &Environment) -> Result<Store, DemoError> {
    let settings = SettingsReader::new(environment);
    let store = settings.store_with_all_keys().await;
    settings.finish(|| store).map_err(failed)
}

/// Body of a Slack event with a message of this text in the demonstration's channel.
#[must_use]
pub fn event(text: &str, clock: &dyn Clock, randomness: &dyn Randomness) -> String {
    let mut id = [0; 16];
    randomness.fill(&mut id);
    message(&hex::encode(id), text, clock.now()).to_string()
}

/// Body of a message event in Slack's form.
fn message(id: &str, text: &str, now: Timestamp) -> Value {
    let ts = format!("{}.{:06}", now.as_second(), now.subsec_microsecond());
    json!({
        "token": "none",
        "team_id": TEAM,
        "api_app_id": APP,
        "type": "event_callback",
        "event_id": format!("Ev{id}"),
        "event_time": now.as_second(),
        "event": {
            "type": "message",
            "channel": "C00DEMO",
            "channel_type": "channel",
            "user": "U00DEMO",
            "text": text,
            "ts": ts,
            "event_ts": ts,
        },
    })
}
