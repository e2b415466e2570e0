//! The demonstration: a pool, a bot and a connected Slack channel, and one signed message on its way through all of it.

mod stand_in_pool;

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use portcullis_auth::SigningSecret;
use portcullis_runtime::{Platform, settings::SettingsReader};
use portcullis_store::{CreateBotError, NewBot, NewSlackChannel, Store};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::{Stack, sign};

pub use stand_in_pool::{Delivery, StandInPool};

/// The demonstration's pool.
pub const POOL: &str = "pool-demo";
/// Its bot.
pub const BOT: &str = "bot-demo";
/// Its connected channel.
pub const CHANNEL: &str = "channel-demo";
/// The Slack team that the app is installed in.
pub const TEAM: &str = "T00DEMO";
/// The Slack app.
pub const APP: &str = "A00DEMO";

/// How long the message is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the demonstration did not go as it should.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration: {0}")]
pub struct DemoError(String);

fn failed(what: impl Display) -> DemoError {
    DemoError(what.to_string())
}

/// A demonstration on a running stack.
pub struct Demo {
    platform: Platform,
    base_url: String,
    client: reqwest::Client,
    stand_in: Option<(StandInPool, mpsc::UnboundedReceiver<Delivery>)>,
    pool: SocketAddr,
}

/// One line of what happened: where, and what.
pub struct Step {
    /// Who did it.
    pub place: &'static str,
    /// What happened.
    pub what: String,
}

fn step(place: &'static str, what: impl Into<String>) -> Step {
    Step { place, what: what.into() }
}

impl Demo {
    /// Starts a stand-in pool, unless one listens at `pool` already.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn start(stack: &Stack, pool: Option<SocketAddr>) -> Result<Self, DemoError> {
        let platform = stack.platform().clone();
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().map_err(failed)?;
        let stand_in = if pool.is_some() {
            None
        } else {
            let secret = SigningSecret::new(setting(&platform, "DEMO_DELIVERY_SECRET")?);
            Some(StandInPool::start(secret, Arc::clone(&platform.clock)).await.map_err(failed)?)
        };
        let own = stand_in.as_ref().map(|(stand_in, _)| stand_in.address());
        let pool = pool.or(own).ok_or_else(|| failed("there is no pool"))?;
        Ok(Self { platform, base_url: stack.base_url(), client, stand_in, pool })
    }

    /// Seeds what the demonstration needs, and sends one message through the front door. Made again on the same data, it
    /// changes nothing and sends another message.
    ///
    /// # Errors
    /// [`DemoError`], at the first step that does not go as it should.
    pub async fn run(&mut self) -> Result<Vec<Step>, DemoError> {
        let mut steps = Vec::new();
        let registration = json!({ "poolId": POOL, "podIp": self.pool.to_string() });
        self.call(reqwest::Method::POST, "/api/internal/pools/register", "INTERNAL_API_TOKEN", Some(&registration))
            .await?;
        steps.push(step("internal", format!("registered {POOL} at {}", self.pool)));
        self.seed_channel().await?;
        steps.push(step("store", format!("made {BOT} and {CHANNEL}, its Slack secrets sealed")));
        let key = || self.random_text();
        let secrets = json!({ "secrets": {
            "SHARED_KEY": key(),
            "MAPS_KEY": { "value": key(), "scope": "skill:maps" },
            "MAIL_KEY": { "value": key(), "scope": "skill:mail" },
        }});
        let path = format!("/api/internal/pools/{POOL}/secrets");
        self.call(reqwest::Method::PUT, &path, "INTERNAL_API_TOKEN", Some(&secrets)).await?;
        steps.push(step("internal", "sealed SHARED_KEY for the pool, MAPS_KEY for maps, MAIL_KEY for mail"));
        for skill in ["maps", "mail"] {
            let path = format!("/api/internal/secrets/{skill}?poolId={POOL}");
            let answer = self.call(reqwest::Method::GET, &path, "SKILL_API_TOKEN", None).await?;
            let names: Vec<&str> = answer.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            steps.push(step("skills", format!("skill {skill} reads {}, and nothing else", names.join(" and "))));
        }
        self.send_message().await?;
        steps.push(step("slack", "verified a signed message, queued it, answered 200"));
        steps.push(self.arrival().await?);
        Ok(steps)
    }

    /// The next delivery to the stand-in pool; `None` where the pool is another's.
    pub async fn next_delivery(&mut self) -> Option<Step> {
        let (_, deliveries) = self.stand_in.as_mut()?;
        deliveries.recv().await.map(|delivery| arrived(&delivery))
    }

    /// Ends the stand-in pool.
    pub async fn shutdown(self) {
        if let Some((stand_in, _)) = self.stand_in {
            stand_in.shutdown().await;
        }
    }

    async fn seed_channel(&self) -> Result<(), DemoError> {
        let store = store(&self.platform).await?;
        let bot = NewBot {
            id: BOT.parse().map_err(failed)?,
            user: "user-demo".to_owned(),
            name: "Demo".to_owned(),
            slug: "demo".to_owned(),
            pool: Some(POOL.parse().map_err(failed)?),
            model_id: "none".to_owned(),
            system_prompt: None,
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
            platform_app: false,
            bot_token: None,
            signing_secret: setting(&self.platform, "DEMO_SLACK_SIGNING_SECRET")?,
            delivery_secret: setting(&self.platform, "DEMO_DELIVERY_SECRET")?,
        };
        store.connect_slack_channel(channel).await.map(drop).map_err(failed)
    }

    async fn send_message(&self) -> Result<(), DemoError> {
        let now = self.platform.clock.now();
        let body = message(&self.random_text(), now).to_string();
        let secret = SigningSecret::new(setting(&self.platform, "DEMO_SLACK_SIGNING_SECRET")?);
        let mut request = self.client.post(format!("{}{}", self.base_url, sign::EVENTS_PATH));
        for (name, value) in sign::headers(body.as_bytes(), &secret, now) {
            request = request.header(name, value);
        }
        let answer = request.header("content-type", "application/json").body(body).send().await.map_err(failed)?;
        if answer.status().is_success() { Ok(()) } else { Err(failed(format!("the message got {}", answer.status()))) }
    }

    async fn arrival(&mut self) -> Result<Step, DemoError> {
        let pool = self.pool;
        match &mut self.stand_in {
            None => Ok(step("relay", format!("delivers it to {pool}"))),
            Some((_, deliveries)) => {
                let delivery = timeout(PATIENCE, deliveries.recv()).await.ok().flatten();
                delivery.as_ref().map(arrived).ok_or_else(|| failed("the message did not reach the pool"))
            }
        }
    }

    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value, DemoError> {
        let token = setting(&self.platform, token)?;
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
        self.platform.randomness.fill(&mut bytes);
        hex::encode(bytes)
    }
}

fn arrived(delivery: &Delivery) -> Step {
    let signature =
        if delivery.verified { "signed with the delivery secret" } else { "with a signature that is wrong" };
    step("pool", format!("got POST {}, {} bytes, {signature}", delivery.path, delivery.body.len()))
}

fn setting(platform: &Platform, name: &str) -> Result<SecretString, DemoError> {
    platform.environment.get(name).cloned().ok_or_else(|| failed(format!("{name} is not set")))
}

async fn store(platform: &Platform) -> Result<Store, DemoError> {
    let mut settings = SettingsReader::new(platform);
    let keyring = settings.keyring().await;
    let keyring = settings.secret_outcome(keyring);
    let store = settings.store(&keyring);
    settings.finish(|| store).map_err(failed)
}

/// A message as Slack sends it to an app.
fn message(id: &str, now: Timestamp) -> Value {
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
            "text": "Hello from the demonstration",
            "ts": ts,
            "event_ts": ts,
        },
    })
}
