//! A value that does not open is an error that names table and key, never a value that is left out.

use std::sync::{Arc, atomic::Ordering};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use portcullis_crypto::{Domain, Keyring, OpenError};
use portcullis_store::{
    BotReach, ClientOptions, CredentialId, CredentialKind, FixedKeys, KeySource, KeyringFuture, PoolError, PoolGuesses,
    PoolReach, SealedSecrets, StoreError, Table,
};
use secrecy::ExposeSecret;

use crate::support::{
    Item, RotatingKeys, World, bot, channel, fixed_keys, item, key, keyring, new_channel, pool, set, store, text,
};

async fn world() -> World {
    let world = World::with_bot().await;
    let changes = [set("pool", "A", "of a"), set("pool", "B", "of b"), set("skill:maps", "A", "of maps")];
    world.store.put_secrets(&pool(), &changes).await.unwrap();
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    world
}

fn secret_key(scope_name: &str) -> Item {
    item([("pool", text("pool-1")), ("scopeName", text(scope_name))])
}

async fn sealed(world: &World, scope_name: &str) -> AttributeValue {
    world.engine.row(Table::PoolSecrets, secret_key(scope_name)).await.unwrap()["value"].clone()
}

async fn overwrite(world: &World, scope_name: &str, value: AttributeValue) {
    let mut row = world.engine.row(Table::PoolSecrets, secret_key(scope_name)).await.unwrap();
    row.insert("value".to_owned(), value);
    world.engine.put(Table::PoolSecrets, row).await;
}

/// Error of reading the secrets of skill `maps`.
async fn failure(world: &World) -> StoreError {
    let skill = "maps".parse().unwrap();
    let cache = SealedSecrets::default();
    match world.store.secrets_for_skill(&pool(), &skill, PoolReach::Any, &cache).await.unwrap_err() {
        PoolError::Store(error) => error,
        error => panic!("{error}"),
    }
}

fn not_authentic(table: &'static str) -> StoreError {
    let id = keyring(1).current();
    StoreError::Unopened { table, key_id: Some(id), reason: OpenError::NotAuthentic(id) }
}

#[tokio::test]
async fn a_value_moved_to_another_row_does_not_open_and_hides_no_other() {
    let world = world().await;
    let moved = sealed(&world, "pool#A").await;
    overwrite(&world, "pool#B", moved).await;
    assert_eq!(failure(&world).await, not_authentic("pool_secrets"));
    assert_eq!(world.store.secrets_of_pool(&pool()).await.unwrap_err(), not_authentic("pool_secrets"));
}

#[tokio::test]
async fn a_value_moved_to_another_scope_pool_or_table_does_not_open() {
    let world = world().await;
    let moved = sealed(&world, "pool#A").await;
    overwrite(&world, "skill:maps#A", moved.clone()).await;
    assert_eq!(failure(&world).await, not_authentic("pool_secrets"));

    let mut other_pool = world.engine.row(Table::PoolSecrets, secret_key("pool#A")).await.unwrap();
    other_pool.insert("pool".to_owned(), text("pool-2"));
    world.engine.put(Table::PoolSecrets, other_pool).await;
    let read = world.store.secrets_of_pool(&"pool-2".parse().unwrap()).await;
    assert_eq!(read.unwrap_err(), not_authentic("pool_secrets"));

    let credential = item([("channel", text("channel-1")), ("kind", text("signing_secret"))]);
    let mut row = world.engine.row(Table::ChannelCredentials, credential).await.unwrap();
    row.insert("value".to_owned(), moved);
    world.engine.put(Table::ChannelCredentials, row).await;
    let verification = world.store.slack_channel_for_verification(&channel()).await;
    assert_eq!(verification.unwrap_err(), not_authentic("channel_credentials"));
}

#[tokio::test]
async fn one_credential_in_anothers_place_does_not_open() {
    let world = world().await;
    let kind = |kind: &str| item([("channel", text("channel-1")), ("kind", text(kind))]);
    let mut row = world.engine.row(Table::ChannelCredentials, kind("signing_secret")).await.unwrap();
    row.insert("kind".to_owned(), text("delivery_secret"));
    world.engine.put(Table::ChannelCredentials, row).await;
    let delivery = world.store.delivery_target(&channel(), &bot(), &PoolGuesses::default()).await;
    assert_eq!(delivery.unwrap_err(), not_authentic("channel_credentials"));
}

#[tokio::test]
async fn a_value_cut_short_or_of_another_type_is_told() {
    let world = world().await;
    let whole = sealed(&world, "pool#A").await.as_b().unwrap().clone().into_inner();
    let cut = AttributeValue::B(Blob::new(&whole[..whole.len() - 1]));
    overwrite(&world, "pool#A", cut).await;
    assert_eq!(failure(&world).await, not_authentic("pool_secrets"));
    overwrite(&world, "pool#A", AttributeValue::B(Blob::new(&whole[..20]))).await;
    let too_short = StoreError::Unopened { table: "pool_secrets", key_id: None, reason: OpenError::TooShort };
    assert_eq!(failure(&world).await, too_short);
    overwrite(&world, "pool#A", text("in the clear")).await;
    let malformed = StoreError::Malformed { table: "pool_secrets", attribute: "value" };
    assert_eq!(failure(&world).await, malformed);
}

#[tokio::test]
async fn a_value_on_a_later_page_that_does_not_open_is_not_left_out() {
    let world = world().await;
    // More than the 1 MB of rows that a query returns at a time, and only the last does not open.
    for name in ["N1", "N2", "N3", "Z"] {
        world.store.put_secrets(&pool(), &[set("pool", name, "v")]).await.unwrap();
        let mut row = world.engine.row(Table::PoolSecrets, secret_key(&format!("pool#{name}"))).await.unwrap();
        row.insert("padding".to_owned(), text(&"x".repeat(390_000)));
        world.engine.put(Table::PoolSecrets, row).await;
    }
    assert_eq!(world.store.secrets_of_pool(&pool()).await.unwrap().len(), 6);
    overwrite(&world, "pool#Z", AttributeValue::B(Blob::new(b"cut"))).await;
    let too_short = StoreError::Unopened { table: "pool_secrets", key_id: None, reason: OpenError::TooShort };
    assert_eq!(world.store.secrets_of_pool(&pool()).await.unwrap_err(), too_short);
}

#[tokio::test]
async fn a_value_under_an_unknown_key_is_told_with_that_key_after_one_look() {
    let world = world().await;
    let keys = Arc::new(RotatingKeys::new(keyring(2), keyring(3)));
    let store = world.with_keys(keys.clone());
    let id = keyring(1).current();
    let unknown = StoreError::Unopened { table: "pool_secrets", key_id: Some(id), reason: OpenError::UnknownKey(id) };
    assert_eq!(store.secrets_of_pool(&pool()).await.unwrap_err(), unknown);
    assert_eq!(keys.looks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_key_that_another_instance_rotated_in_is_found_by_looking_again_once() {
    let world = world().await;
    let (old, new) = (keyring(1).current(), keyring(2).current());
    let both = format!(r#"{{"current":"{new}","keys":{{"{old}":"{}","{new}":"{}"}}}}"#, key(1), key(2));
    let both = || Keyring::from_json(&both).unwrap();
    let ahead = world.with_keys(Arc::new(FixedKeys::derived_from(&both())));
    ahead.put_secrets(&pool(), &[set("pool", "A", "new a"), set("pool", "C", "new c")]).await.unwrap();

    let keys = Arc::new(RotatingKeys::new(keyring(1), both()));
    let secrets = world.with_keys(keys.clone()).secrets_of_pool(&pool()).await.unwrap();
    let values: Vec<_> = secrets.values().map(|value| value.expose_secret().to_owned()).collect();
    assert_eq!(values, ["new a", "of b", "new c"]);
    assert_eq!(keys.looks.load(Ordering::SeqCst), 1);
}

/// Keys of some domains only, as a function has them.
struct Held(FixedKeys, &'static [Domain]);

impl KeySource for Held {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        self.0.keyring(domain).filter(|_| self.1.contains(&domain))
    }

    fn refreshed(&self, domain: Domain) -> KeyringFuture<'_> {
        Box::pin(std::future::ready(self.keyring(domain)))
    }
}

#[tokio::test]
async fn who_holds_the_keys_of_other_domains_opens_and_seals_nothing_and_is_told() {
    let world = world().await;
    let with = |domains| world.with_keys(Arc::new(Held(FixedKeys::derived_from(&keyring(1)), domains)));
    let of_slack = with(&[Domain::SigningSecrets]);
    assert!(of_slack.slack_channel_for_verification(&channel()).await.unwrap().is_some());
    let lacking = |domain| StoreError::NoKeys { domain };
    assert_eq!(of_slack.secrets_of_pool(&pool()).await.unwrap_err(), lacking(Domain::PoolSecrets));
    let target = of_slack.delivery_target(&channel(), &bot(), &PoolGuesses::default()).await;
    assert_eq!(target.unwrap_err(), lacking(Domain::DeliverySecrets));
    let token = CredentialId { channel: channel(), kind: CredentialKind::BotToken };
    assert_eq!(of_slack.credentials(&[token]).await.unwrap_err(), lacking(Domain::Configuration));

    let of_skills = with(&[Domain::PoolSecrets]);
    assert!(!of_skills.secrets_of_pool(&pool()).await.unwrap().is_empty());
    let connected = of_skills.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await;
    assert_eq!(connected.unwrap_err().to_string(), "the keys of delivery-secrets are not held here");
}

#[tokio::test]
async fn a_table_restored_under_another_prefix_opens() {
    let world = world().await;
    world.engine.create_tables("restored-").await;
    for table in [Table::PoolSecrets, Table::Pools] {
        for row in world.engine.rows(table).await {
            world.engine.put_into("restored-", table, row).await;
        }
    }
    let client = world.engine.client(&ClientOptions::default());
    let restored = store(client, "restored-", fixed_keys(), Arc::clone(&world.clock));
    let found =
        restored.secrets_for_skill(&pool(), &"maps".parse().unwrap(), PoolReach::Any, &SealedSecrets::default()).await;
    let secrets = found.unwrap();
    assert_eq!(secrets.values().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["of maps", "of b"]);
}

#[tokio::test]
async fn no_value_lies_in_a_table_in_the_clear() {
    let world = world().await;
    for table in [Table::PoolSecrets, Table::ChannelCredentials] {
        let rows = world.engine.rows(table).await;
        assert!(rows.len() >= 3);
        let blobs = rows.iter().filter_map(|row| row.get("value")).map(|value| value.as_b().unwrap().as_ref().to_vec());
        for blob in blobs {
            let found = [&b"of "[..], b"secret", b"token"]
                .into_iter()
                .any(|needle| blob.windows(needle.len()).any(|window| window == needle));
            assert!(!found);
        }
    }
}
