//! The functions in the test's own process, on an embedded database and a manual clock.
//!
//! For suites that give a function its input directly, in the place of Lambda or another service, without our HTTP
//! server in between.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{extract::Request, handler::HandlerWithoutStateExt};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Keyring;
use portcullis_local::{
    database::{Database, create_tables},
    template::{TEMPLATE, Template},
    wal_sync::Durability,
};
use portcullis_runtime::{
    Environment, SystemRandomness,
    metrics::Metrics,
    queue::{EventQueue, NewMessage, QueueFuture, ReceivedMessage},
    secrets::SecretSource,
};
use portcullis_store::{
    BotReach, FixedKeys, NewBot, NewSlackChannel, PoolAddress, PoolReach, PoolReport, PoolStatus, SigningSource, Store,
};
use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinHandle};

/// Prefix of the table names.
const TABLE_PREFIX: &str = "portcullis-test-";

/// Encryption key of the tests, never one of a real deployment.
pub const ENCRYPTION_KEY: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A manual clock.
pub struct MovableClock(Mutex<Timestamp>);

impl MovableClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }

    /// Sets the clock to `now`, which may be earlier.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In-memory tables and an environment to start functions on.
pub struct InProcess {
    database: Database,
    /// The clock that the functions see.
    pub clock: Arc<MovableClock>,
    /// Environment that functions are started in.
    pub environment: Environment,
}

impl InProcess {
    /// Creates the tables and an environment with `settings` and the settings that every function needs. Its queue refuses
    /// every call until the test installs another.
    ///
    /// # Panics
    /// If the embedded database does not start.
    pub async fn start<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>, now: Timestamp) -> Self {
        let clock = MovableClock::at(now);
        let database = Database::start(None, Durability::default(), Arc::clone(&clock) as Arc<dyn Clock>)
            .expect("a database in memory");
        let aws = database.sdk_config();
        let tables = Template::parse(TEMPLATE).expect("our template is readable").tables;
        create_tables(&portcullis_store::client(&aws), TABLE_PREFIX, &tables).await.expect("the template's tables");
        let needed =
            [("ENCRYPTION_KEY", ENCRYPTION_KEY), ("TABLE_PREFIX", TABLE_PREFIX), ("POOL_CIDRS", "127.0.0.0/8")];
        let variables: BTreeMap<_, _> = needed
            .into_iter()
            .chain(settings)
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .collect();
        let environment = Environment {
            secrets: Arc::new(SecretSource::Environment(variables.clone())),
            variables,
            aws,
            queue: Some(Arc::new(RecordingQueue::default())),
            mailer: None,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            randomness: Arc::new(SystemRandomness),
            metrics: Metrics::new("test", Arc::clone(&clock) as Arc<dyn Clock>, None),
            patience: 1,
            delivery_patience: 1,
        };
        Self { database, clock, environment }
    }

    /// A store on the tables, with the functions' keys.
    ///
    /// # Panics
    /// Never: the key is well-formed.
    #[must_use]
    pub fn store(&self) -> Store {
        let keyring = Keyring::from_single_key(ENCRYPTION_KEY).expect("64 hex digits");
        let keys = Arc::new(FixedKeys::derived_from(&keyring));
        let client = portcullis_store::client(&self.environment.aws);
        Store::new(client, TABLE_PREFIX, keys, Arc::clone(&self.environment.clock), Arc::new(SystemRandomness))
    }

    /// Creates `pool-demo` at `address` with `bot-demo` and its connected channel `channel-demo`, as `cargo local
    /// --demo` does.
    ///
    /// # Panics
    /// If the store refuses.
    pub async fn connect_demo(&self, address: SocketAddr, signing_secret: &str, delivery_secret: &str) {
        let store = self.store();
        let pool = "pool-demo".parse().expect("a pool's id");
        let address: PoolAddress = address.to_string().parse().expect("an address");
        let report = PoolReport { address: Some(address), status: PoolStatus::Active, openclaw: None };
        store.register(&pool, report, PoolReach::Any).await.expect("the pool registers");
        let bot = NewBot {
            id: "bot-demo".parse().expect("a bot's id"),
            user: "user-demo".parse().ok(),
            name: "Demo".to_owned(),
            slug: "demo".to_owned(),
            pool: Some(pool),
            model_id: "none".to_owned(),
            system_prompt: None,
            paused: false,
        };
        let bot = store.create_bot(bot).await.expect("the bot is made").id;
        let channel = NewSlackChannel {
            id: "channel-demo".parse().expect("a channel's id"),
            bot,
            team_id: "T00DEMO".parse().expect("a team's id"),
            app_id: "A00DEMO".parse().expect("an app's id"),
            team_name: Some("Demo".to_owned()),
            bot_user_id: None,
            bot_token: None,
            signing: SigningSource::Own(signing_secret.into()),
            delivery_secret: Some(delivery_secret.into()),
        };
        store.connect_channel(BotReach::Any, channel).await.expect("the channel is connected");
    }

    /// Stops the database.
    pub async fn end(self) {
        self.database.shutdown().await;
    }
}

/// A fake queue that records the messages sent to it and delivers none.
#[derive(Default)]
pub struct RecordingQueue {
    sent: Mutex<Vec<NewMessage>>,
    dead: Mutex<Vec<ReceivedMessage>>,
}

impl RecordingQueue {
    /// Messages sent, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<NewMessage> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages moved to the dead-letter queue, in order.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<ReceivedMessage> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventQueue for RecordingQueue {
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn receive(&self, _: usize, _: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn defer<'a>(&'a self, _: &'a ReceivedMessage, _: Duration) -> QueueFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn acknowledge<'a>(&'a self, _: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A request received by a stand-in pool.
#[derive(Clone)]
pub struct Delivery {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} with {} bytes", self.path, self.body.len())
    }
}

/// A stand-in for a pool's gateway: records each delivery and gives the test's answer.
pub struct StandInPool {
    /// Address that the pool listens at.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Delivery>>>,
    server: JoinHandle<()>,
}

impl StandInPool {
    /// Starts a pool on a free loopback port; `answer` decides the status of each delivery.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(answer: impl Fn(&Delivery) -> StatusCode + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        let handler = move |request: Request| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST };
                let delivery = Delivery { path: parts.uri.path().to_owned(), headers: parts.headers, body };
                let status = answer(&delivery);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
                status
            }
        };
        let server = tokio::spawn(async move {
            // The server ends with the task; a socket error shows in the test as a missing delivery.
            drop(axum::serve(listener, handler.into_make_service()).await);
        });
        Self { address, received, server }
    }

    /// Deliveries received, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for StandInPool {
    fn drop(&mut self) {
        self.server.abort();
    }
}
