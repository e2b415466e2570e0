//! The whole system, started in this process, with an HTTP client.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use aws_types::SdkConfig;
use portcullis_auth::Clock;
use portcullis_crypto::{Keyring, Randomness};
use portcullis_local::{Options, Stack, StackError, database::Connection, stack::WrapQueue};
use portcullis_runtime::{SystemRandomness, metrics::Metric};
use portcullis_store::{ClientOptions, FixedKeys, Store};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use secrecy::SecretString;
use serde_json::Value;

use crate::{FaultyQueue, TestClock, index_lag::lagging, logs};

/// Delay of secondary indexes behind their tables, in every suite: only lists may depend on an index.
pub const INDEX_LAG: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// Longest wait for an expected condition, long because the machine may be busy; no test passes by waiting it out.
pub const PATIENCE: Duration = Duration::from_mins(5);
/// Factor on every time-out of a system under test, so that a busy machine meets none of them.
const UNHURRIED: u32 = 20;
/// Polling interval of a wait.
const LOOK: Duration = Duration::from_millis(10);

/// A started system. Each has its own tokens, keys, clock and database.
pub struct System {
    /// The stack.
    pub stack: Stack,
    /// Its clock.
    pub clock: Arc<TestClock>,
    /// The settings that it was started with.
    pub settings: Settings,
    /// Log lines of this process.
    pub logs: Arc<logs::Lines>,
    client: reqwest::Client,
}

/// A system's settings, random unless set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ENCRYPTION_KEY`.
    pub encryption_key: String,
    /// `INTERNAL_API_TOKEN`.
    pub internal_token: String,
    /// `SKILL_API_TOKEN`.
    pub skill_token: String,
    /// `SLACK_SIGNING_SECRET`.
    pub slack_signing_secret: String,
    /// Secret that session cookies are signed with.
    pub session_secret: String,
    /// Further settings by name.
    pub others: BTreeMap<String, String>,
    /// Folder of the database and the queue; `None` keeps both in memory.
    pub data: Option<PathBuf>,
    /// A DynamoDB to use in place of the system's own.
    pub database: Option<SdkConfig>,
    /// URL of a fault-injecting proxy that decides the outcome of each queue call.
    pub queue_faults: Option<String>,
    /// Factor on every time-out; 1 in tests of time-outs.
    pub patience: u32,
    /// Factor on the time-out of a delivery to a pool.
    pub delivery_patience: u32,
}

impl Settings {
    /// Random secrets and no further settings.
    #[must_use]
    pub fn random() -> Self {
        Self {
            encryption_key: random_hex(32),
            internal_token: random_hex(24),
            skill_token: random_hex(24),
            slack_signing_secret: random_hex(16),
            session_secret: random_hex(32),
            // A port without a listener: no test reaches a real platform.
            others: ["SLACK_API_URL", "DISCORD_API_URL", "FEISHU_API_URL"]
                .map(|name| (name.to_owned(), "http://127.0.0.1:9/api/".to_owned()))
                .into(),
            data: None,
            database: None,
            queue_faults: None,
            patience: UNHURRIED,
            delivery_patience: UNHURRIED,
        }
    }

    /// The same settings with production's time-outs.
    #[must_use]
    pub fn with_production_timeouts(mut self) -> Self {
        self.patience = 1;
        self.delivery_patience = 1;
        self
    }

    /// The same settings with production's time-out of a delivery, for tests of a pool that hangs.
    #[must_use]
    pub fn with_production_delivery_timeout(mut self) -> Self {
        self.delivery_patience = 1;
        self
    }

    /// The same settings with one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.others.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The settings by name, as environment variables.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, SecretString> {
        let secrets = [
            ("ENCRYPTION_KEY", &self.encryption_key),
            ("INTERNAL_API_TOKEN", &self.internal_token),
            ("SKILL_API_TOKEN", &self.skill_token),
            ("SLACK_SIGNING_SECRET", &self.slack_signing_secret),
            ("BETTER_AUTH_SECRET", &self.session_secret),
        ];
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value));
        secrets
            .into_iter()
            .chain(others)
            .map(|(name, value)| (name.to_owned(), SecretString::from(value.as_str())))
            .collect()
    }
}

/// Random bytes as hex.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    SystemRandomness.fill(&mut random);
    hex::encode(random)
}

/// An answer, its body read to the end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let shown = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: not JSON: {shown}", self.status))
    }

    /// The error's code.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The `message` of an error.
    #[must_use]
    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("an error has a message").to_owned()
    }

    /// Value of a header, empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("our headers are ASCII"))
    }
}

impl System {
    /// Starts a system with random settings.
    pub async fn start() -> Self {
        Self::start_with(Settings::random()).await
    }

    /// Starts a system with these settings.
    pub async fn start_with(settings: Settings) -> Self {
        Self::try_start(settings, Arc::new(TestClock::new())).await.expect("the system starts")
    }

    /// Starts a system with these settings and this clock.
    ///
    /// # Errors
    /// [`StackError`].
    pub async fn try_start(settings: Settings, clock: Arc<TestClock>) -> Result<Self, StackError> {
        let logs = logs::captured();
        let mut options = Options::new(settings.environment());
        options.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        options.data.clone_from(&settings.data);
        options.database.clone_from(&settings.database);
        options.wrap_queue = settings
            .queue_faults
            .clone()
            .map(|proxy| -> WrapQueue { Box::new(move |queue| Arc::new(FaultyQueue::new(queue, proxy))) });
        options.metrics = Some(logs.clone());
        options.wrap_client = Some(lagging(Arc::clone(&clock) as Arc<dyn Clock>, INDEX_LAG));
        options.patience = settings.patience;
        options.delivery_patience = settings.delivery_patience;
        options.dev_composio = settings.others.contains_key("DEMO_COMPOSIO_API_KEY");
        options.dev_discord = settings.others.contains_key("DEMO_DISCORD_BOT_TOKEN");
        options.dev_feishu = settings.others.contains_key("DEMO_FEISHU_APP_SECRET");
        options.dev_slack = settings.others.contains_key("DEMO_SLACK_CLIENT_SECRET");
        let stack = Stack::start(options).await?;
        Ok(Self { stack, clock, settings, logs, client: client() })
    }

    /// A request to a path of this system, without a credential.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.stack.base_url()))
    }

    /// A request with the internal token.
    pub fn internal(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-internal-token", &self.settings.internal_token)
    }

    /// A request with the skill token.
    pub fn skill(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-internal-token", &self.settings.skill_token)
    }

    /// The system's store, for a test to prepare and inspect rows.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store_with_prefix("portcullis-local-")
    }

    /// A store on the same database and keys with another table prefix.
    #[must_use]
    pub fn store_with_prefix(&self, prefix: &str) -> Store {
        let keyring = Keyring::from_single_key(&self.settings.encryption_key).expect("a random key is a key");
        let keys = Arc::new(FixedKeys::derived_from(&keyring));
        let (clock, randomness) = (Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::new(SystemRandomness));
        let options = ClientOptions::with_patience(UNHURRIED);
        let client = portcullis_store::client_with(&self.stack.environment().aws, &options);
        Store::new(client, prefix.to_owned(), keys, clock, randomness)
    }

    /// The connection to the system's own database.
    #[must_use]
    pub fn database(&self) -> &Connection {
        self.stack.database().expect("it has a database of its own").connection()
    }

    /// Total of a metric since the start.
    #[must_use]
    pub fn counted(&self, metric: Metric) -> u64 {
        self.stack.environment().metrics.total(metric)
    }

    /// Ends the system.
    pub async fn shutdown(self) {
        self.stack.shutdown().await;
    }
}

/// A client that follows no redirect and has the test's time-out.
#[must_use]
pub fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    builder.build().expect("a plain client builds")
}

/// Sends a request and reads the whole answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the system answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.expect("the answer is whole").to_vec();
    Answer { status, headers, body }
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within [`PATIENCE`], with `what` in the message.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            pause(LOOK).await;
        }
    };
    if tokio::time::timeout(PATIENCE, holds).await.is_err() {
        let warnings = logs::captured().all().into_iter().rev().filter(|line| !line.contains(r#""level":"DEBUG""#));
        let tail: Vec<_> = warnings.take(20).collect();
        panic!("not within {PATIENCE:?}: {what}; the newest log lines:\n{}", tail.join("\n"));
    }
}

/// Sleeps on the real clock, between two polls only: no result may depend on it.
#[expect(clippy::disallowed_methods, reason = "a look at another task's work needs the machine's time to pass")]
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
