//! An engine with the tables, a store over it, and the clock, randomness and keys that a test owns.

mod engine;
mod stand_in;

use std::collections::BTreeMap;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{Timestamp, ToSpan};
use portcullis_auth::{BotId, ChannelId, Clock, PoolId};
use portcullis_crypto::{Domain, Keyring, Randomness};
use portcullis_store::{
    ClientOptions, FixedKeys, KeySource, KeyringFuture, NewBot, NewSlackChannel, Pool, PoolError, PoolReach,
    PoolReport, PoolStatus, SealedSecrets, SecretChange, SigningSource, Store, Table,
};
use secrecy::{ExposeSecret, SecretString};

pub use engine::{Engine, PREFIX, patient};
pub use stand_in::{Answer, StandIn};

/// A clock that moves when a test moves it.
pub struct MockClock(Mutex<Timestamp>);

impl MockClock {
    pub fn advance(&self, span: jiff::Span) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(span).expect("a span of hours");
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that differ at each draw and are the same in each run (`SplitMix64`).
pub struct SeededRandomness(AtomicU64);

impl Randomness for SeededRandomness {
    fn fill(&self, destination: &mut [u8]) {
        for chunk in destination.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Keys that are the first keyring until the source is read again, then the second.
pub struct RotatingKeys {
    keyrings: [Arc<Keyring>; 2],
    pub looks: AtomicUsize,
}

impl RotatingKeys {
    pub fn new(before: Keyring, after: Keyring) -> Self {
        Self { keyrings: [Arc::new(before), Arc::new(after)], looks: AtomicUsize::new(0) }
    }
}

impl KeySource for RotatingKeys {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        let keyring = &self.keyrings[usize::from(self.looks.load(Ordering::SeqCst) > 0)];
        Some(Arc::new(keyring.for_domain(domain)))
    }

    fn refreshed(&self, domain: Domain) -> KeyringFuture<'_> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(self.keyring(domain)))
    }
}

/// A key whose bytes are all `byte`.
pub fn key(byte: u8) -> String {
    hex::encode([byte; 32])
}

pub fn keyring(byte: u8) -> Keyring {
    Keyring::from_single_key(&key(byte)).expect("64 hex digits")
}

pub fn fixed_keys() -> Arc<dyn KeySource> {
    Arc::new(FixedKeys::derived_from(&keyring(1)))
}

/// A store over an engine of its own.
pub struct World {
    pub store: Store,
    pub engine: Engine,
    pub clock: Arc<MockClock>,
}

impl World {
    pub async fn new() -> Self {
        let engine = Engine::start().await;
        let clock = Arc::new(MockClock(Mutex::new("2026-02-03T04:05:06.789Z".parse().expect("a time"))));
        let client = engine.client(&engine::patient());
        let store = store(client, PREFIX, fixed_keys(), Arc::clone(&clock));
        Self { store, engine, clock }
    }

    pub async fn with_pool() -> Self {
        let world = Self::new().await;
        world.register(PoolStatus::Active).await;
        world
    }

    pub async fn with_bot() -> Self {
        let world = Self::with_pool().await;
        world.store.create_bot(new_bot("bot-1")).await.expect("a first bot");
        world
    }

    pub async fn register(&self, status: PoolStatus) -> Pool {
        self.store
            .register(&pool(), PoolReport { status, address: None, openclaw: None }, PoolReach::Any)
            .await
            .expect("registers")
    }

    pub async fn pool(&self) -> Pool {
        self.store.get_pool(&pool()).await.expect("reads").expect("is there")
    }

    /// A store over the same tables and clock with other keys.
    pub fn with_keys(&self, keys: Arc<dyn KeySource>) -> Store {
        store(self.engine.client(&engine::patient()), PREFIX, keys, Arc::clone(&self.clock))
    }

    /// A store that reaches the engine through a stand-in.
    pub fn through(&self, stand_in: &StandIn, options: &ClientOptions) -> Store {
        store(engine::client(stand_in.port, options), PREFIX, fixed_keys(), Arc::clone(&self.clock))
    }

    /// Opened secrets that a skill may read.
    pub async fn skill_secrets(&self, skill: &str) -> Vec<(String, String)> {
        let skill = skill.parse().expect("a skill's name");
        let cache = SealedSecrets::default();
        let secrets = match self.store.secrets_for_skill(&pool(), &skill, PoolReach::Any, &cache).await {
            Err(PoolError::NotFound) => BTreeMap::new(),
            secrets => secrets.expect("opens"),
        };
        secrets.into_iter().map(|(name, value)| (name.to_string(), value.expose_secret().to_owned())).collect()
    }

    /// Number of rows of a table.
    pub async fn count(&self, table: Table) -> usize {
        self.engine.rows(table).await.len()
    }
}

pub fn store(client: aws_sdk_dynamodb::Client, prefix: &str, keys: Arc<dyn KeySource>, clock: Arc<MockClock>) -> Store {
    Store::new(client, prefix, keys, clock, Arc::new(SeededRandomness(AtomicU64::new(7))))
}

pub fn pool() -> PoolId {
    "pool-1".parse().expect("a pool's id")
}

pub fn bot() -> BotId {
    "bot-1".parse().expect("a bot's id")
}

pub fn channel() -> ChannelId {
    "channel-1".parse().expect("a channel's id")
}

pub fn new_bot(id: &str) -> NewBot {
    NewBot {
        id: id.parse().expect("a bot's id"),
        user: "user-1".parse().ok(),
        name: "Bot".to_owned(),
        slug: id.to_owned(),
        pool: Some(pool()),
        model_id: "model-1".to_owned(),
        system_prompt: None,
        paused: false,
    }
}

pub fn new_channel(id: &str, team: &str) -> NewSlackChannel {
    NewSlackChannel {
        id: id.parse().expect("a channel's id"),
        bot: bot(),
        team_id: team.parse().expect("a team's id"),
        app_id: "A1".parse().expect("an app's id"),
        team_name: Some("Team".to_owned()),
        bot_user_id: None,
        bot_token: Some("bot token".into()),
        signing: SigningSource::Own("signing secret".into()),
        delivery_secret: Some("delivery secret".into()),
    }
}

/// Report of an active pool.
pub fn report() -> PoolReport {
    PoolReport { status: PoolStatus::Active, address: None, openclaw: None }
}

/// Change that writes a secret.
pub fn set(scope: &str, name: &str, value: &str) -> SecretChange {
    SecretChange { value: Some(SecretString::from(value)), ..delete(scope, name) }
}

/// Change that deletes a secret.
pub fn delete(scope: &str, name: &str) -> SecretChange {
    SecretChange { scope: scope.parse().expect("a scope"), name: name.parse().expect("a name"), value: None }
}

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub type Item = HashMap<String, AttributeValue>;

pub fn item<const N: usize>(pairs: [(&str, AttributeValue); N]) -> Item {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Billed size of an item of a write, in bytes: names and values.
///
/// Source: DynamoDB, "`DynamoDB` item sizes and formats".
pub fn size(item: &Item) -> usize {
    fn of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len() / 2 + 2,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
            AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
            AttributeValue::L(values) => 3 + values.iter().map(|value| of(value) + 1).sum::<usize>(),
            AttributeValue::M(values) => {
                3 + values.iter().map(|(name, value)| name.len() + of(value) + 1).sum::<usize>()
            }
            other => panic!("no size is known of {other:?}"),
        }
    }
    item.iter().map(|(name, value)| name.len() + of(value)).sum()
}

pub fn hours(hours: i64) -> jiff::Span {
    hours.hours()
}

/// Revisions of `channel-1`'s signing secret, delivery secret and bot token.
pub async fn revisions(world: &World) -> [u64; 3] {
    let mut found = [0; 3];
    for (revision, kind) in found.iter_mut().zip(["signing_secret", "delivery_secret", "bot_token"]) {
        let key = item([("channel", text("channel-1")), ("kind", text(kind))]);
        let row = world.engine.row(Table::ChannelCredentials, key).await.unwrap();
        *revision = row["revision"].as_n().unwrap().parse().unwrap();
    }
    found
}
