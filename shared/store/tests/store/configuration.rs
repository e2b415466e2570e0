//! A pool's configuration: its records, its snapshots, and their publishers.

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_crypto::Digest;
use portcullis_store::{
    BotReach, BotStatus, ChannelStatus, CredentialId, CredentialKind, ModelsKey, ModelsKeyChange, PoolConfiguration,
    PoolError, PoolReach, PoolStatus, Publication, PublishError, Published, Snapshot, Store, StoreError, Table,
    round_trips::counted,
};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use crate::support::{World, bot, channel, fixed_keys, item, new_bot, new_channel, pool, revisions, text};

const GENERATOR: &str = "1";

async fn read(store: &Store) -> PoolConfiguration {
    store.pool_configuration(&pool(), PoolReach::Any).await.expect("reads")
}

/// A publication with only a configuration.
fn publication(config: &[u8]) -> Publication<'static> {
    Publication {
        generator: GENERATOR,
        hash: Digest::of(config),
        config: config.to_vec(),
        gateway_token: None,
        models_key: ModelsKeyChange::Keep,
        tokens_due_at: None,
    }
}

async fn publish(store: &Store, read: &PoolConfiguration, config: &str) -> Published {
    store.publish_snapshot(read, &publication(config.as_bytes())).await.expect("no failure")
}

fn snapshot(published: Published) -> Snapshot {
    match published {
        Published::As(snapshot) => snapshot,
        Published::Overtaken => panic!("nobody else publishes"),
    }
}

#[tokio::test]
async fn a_first_snapshot_is_version_1_and_an_unchanged_one_makes_no_version() {
    let world = World::with_bot().await;
    let before = read(&world.store).await;
    assert_eq!((before.newest.as_ref(), before.current(GENERATOR)), (None, None));
    let (published, calls) = counted(publish(&world.store, &before, "one")).await;
    let first = snapshot(published);
    assert_eq!((first.version, first.config.as_slice(), calls), (1, b"one".as_slice(), 1));

    let (now, calls) = counted(read(&world.store)).await;
    assert_eq!((now.current(GENERATOR), calls), (Some(&first), 1));
    assert_eq!(world.store.snapshot(&pool(), 1).await, Ok(Some(first.clone())));

    // A change that leaves the configuration equal.
    world.store.set_bot_status(&bot(), BotStatus::Active).await.unwrap();
    let changed = read(&world.store).await;
    assert_eq!((changed.newest.as_ref(), changed.current(GENERATOR)), (Some(&first), None));
    assert_eq!(snapshot(publish(&world.store, &changed, "one").await), first);
    let now = read(&world.store).await;
    assert_eq!((now.current(GENERATOR), now.pool.config_version), (Some(&first), 1));
    assert_eq!(world.store.snapshot(&pool(), 2).await, Ok(None));
}

#[tokio::test]
async fn a_snapshot_is_not_right_for_another_generator() {
    let world = World::with_pool().await;
    publish(&world.store, &read(&world.store).await, "one").await;
    let pool = read(&world.store).await.pool;
    assert!(pool.is_configured_by(GENERATOR) && !pool.is_configured_by("2"));
    assert_eq!((pool.expected_config_version(GENERATOR), pool.expected_config_version("2")), (1, 2));
}

#[tokio::test]
async fn records_read_before_a_change_or_another_publication_are_not_published() {
    let world = World::with_bot().await;
    let early = read(&world.store).await;
    world.store.set_bot_status(&bot(), BotStatus::Paused).await.unwrap();
    assert_eq!(publish(&world.store, &early, "old").await, Published::Overtaken);

    let late = read(&world.store).await;
    assert_eq!(snapshot(publish(&world.store, &late, "new").await).version, 1);
    assert_eq!(publish(&world.store, &late, "another").await, Published::Overtaken);
    assert_eq!(world.count(Table::PoolConfigSnapshots).await, 2);
}

#[tokio::test]
async fn versions_have_no_gap_and_no_twin_however_many_publish() {
    let world = World::with_bot().await;
    let mut tasks = JoinSet::new();
    for writer in 0..8 {
        let store = world.with_keys(fixed_keys());
        tasks.spawn(async move {
            for round in 0..4 {
                store.set_bot_status(&bot(), BotStatus::Active).await.expect("a status");
                let read = read(&store).await;
                if let Some(newest) = &read.newest {
                    assert_eq!(newest.version, read.pool.config_version);
                }
                publish(&store, &read, &format!("{writer} {round}")).await;
            }
        });
    }
    tasks.join_all().await;
    let newest = read(&world.store).await.newest.unwrap();
    assert!(newest.version >= 4, "{newest:?}");
    let mut contents = Vec::new();
    for version in 1..=newest.version {
        contents.push(world.store.snapshot(&pool(), version).await.unwrap().expect("no gap").config);
    }
    assert_eq!(contents.last(), Some(&newest.config));
    assert_eq!(world.count(Table::PoolConfigSnapshots).await, contents.len() + 1);
}

#[tokio::test]
async fn the_gateway_token_is_made_once_and_sealed() {
    let world = World::with_bot().await;
    let first = read(&world.store).await;
    assert!(world.store.gateway_token(&first).await.unwrap().is_none());
    let (token, other) = ("gateway token".into(), "other".into());
    let with_token = Publication { gateway_token: Some(&token), ..publication(b"one") };
    world.store.publish_snapshot(&first, &with_token).await.unwrap();

    let second = read(&world.store).await;
    let kept = world.store.gateway_token(&second).await.unwrap().unwrap();
    assert_eq!(kept.expose_secret(), "gateway token");
    let with_other = Publication { gateway_token: Some(&other), ..publication(b"one") };
    let again = world.store.publish_snapshot(&second, &with_other).await;
    assert_eq!(again, Ok(Published::Overtaken));

    let key = item([("id", text("pool-1"))]);
    let mut row = world.engine.row(Table::Pools, key).await.unwrap();
    assert!(!format!("{row:?}").contains("gateway token"));
    // Moved to another pool's row, it does not open.
    row.insert("id".to_owned(), text("pool-2"));
    world.engine.put(Table::Pools, row).await;
    let mut moved = world.engine.row(Table::PoolConfigSnapshots, newest_key("pool-1")).await.unwrap();
    moved.insert("pool".to_owned(), text("pool-2"));
    world.engine.put(Table::PoolConfigSnapshots, moved).await;
    let stolen = world.store.pool_configuration(&"pool-2".parse().unwrap(), PoolReach::Any).await.unwrap();
    let opened = world.store.gateway_token(&stolen).await;
    assert!(matches!(opened, Err(StoreError::Unopened { table: "pools", .. })), "{opened:?}");
}

fn newest_key(pool: &str) -> crate::support::Item {
    item([("pool", text(pool)), ("version", text("newest"))])
}

#[tokio::test]
async fn a_configuration_too_large_for_a_row_is_refused_before_it_is_written() {
    let world = World::with_pool().await;
    let before = read(&world.store).await;
    let config = vec![b'x'; 380_001];
    let refused = world.store.publish_snapshot(&before, &publication(&config)).await;
    assert_eq!(refused, Err(PublishError::TooLarge(380_001)));
    let config = vec![b'x'; 380_000];
    let taken = world.store.publish_snapshot(&before, &publication(&config)).await;
    assert_eq!(snapshot(taken.unwrap()).version, 1);
}

#[tokio::test]
async fn the_records_are_the_active_bots_and_connected_channels_in_order() {
    let world = World::with_bot().await;
    for id in ["bot-3", "bot-2", "bot-4"] {
        world.store.create_bot(new_bot(id)).await.unwrap();
    }
    world.store.set_bot_status(&"bot-4".parse().unwrap(), BotStatus::Paused).await.unwrap();
    for (id, team) in [("channel-2", "T2"), ("channel-1", "T1"), ("channel-3", "T3")] {
        world.store.connect_channel(BotReach::Any, new_channel(id, team)).await.unwrap();
    }
    world.store.connect_channel(BotReach::Any, new_channel("channel-2", "T2")).await.unwrap();
    world.store.set_channel_status(&"channel-3".parse().unwrap(), ChannelStatus::Error).await.unwrap();

    let known = read(&world.store).await.pool;
    let (records, calls) = counted(world.store.pool_records(&known)).await;
    let records = records.unwrap();
    assert_eq!(calls, 2);
    let ids: Vec<_> = records.iter().map(|records| records.bot.id.as_str()).collect();
    assert_eq!(ids, ["bot-1", "bot-2", "bot-3"]);
    let channels: Vec<_> = records[0].channels.iter().map(|known| known.channel.id.as_str()).collect();
    assert_eq!(channels, ["channel-1", "channel-2"]);
    for channel in &records[0].channels {
        let known = channel.credentials.iter();
        let credentials: Vec<_> = known.map(|(kind, credential)| (*kind, credential.value.expose_secret())).collect();
        let expected = [(CredentialKind::BotToken, "bot token"), (CredentialKind::DeliverySecret, "delivery secret")];
        assert_eq!(credentials, expected);
    }
    let of_first = records[0].channels[0].credentials.iter().map(|(_, credential)| credential.revision);
    let [_, delivery_secret, bot_token] = revisions(&world).await;
    assert_eq!(of_first.collect::<Vec<_>>(), [bot_token, delivery_secret]);
    assert!(records[1].channels.is_empty());
}

#[tokio::test]
async fn credentials_come_opened_in_the_order_that_they_are_asked_for() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let id = |channel: &str, kind| CredentialId { channel: channel.parse().unwrap(), kind };
    let ids = [
        id("channel-1", CredentialKind::DeliverySecret),
        id("channel-9", CredentialKind::BotToken),
        id("channel-1", CredentialKind::BotToken),
    ];
    let (read, calls) = counted(world.store.credentials(&ids)).await;
    let values: Vec<_> = read
        .unwrap()
        .into_iter()
        .map(|known| known.map(|known| (known.revision, known.value.expose_secret().to_owned())))
        .collect();
    assert_eq!(calls, 1);
    let [_, secret, token] = revisions(&world).await;
    assert_eq!(values, [Some((secret, "delivery secret".to_owned())), None, Some((token, "bot token".to_owned()))]);

    let key = item([("channel", text(channel().as_str())), ("kind", text("bot_token"))]);
    let mut row = world.engine.row(Table::ChannelCredentials, key).await.unwrap();
    row.insert("value".to_owned(), AttributeValue::B(b"cut".to_vec().into()));
    world.engine.put(Table::ChannelCredentials, row).await;
    let refused = world.store.credentials(&ids).await.err();
    assert!(matches!(refused, Some(StoreError::Unopened { table: "channel_credentials", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_terminated_pool_has_no_configuration_and_one_registered_anew_goes_on_counting() {
    let world = World::with_bot().await;
    let before = read(&world.store).await;
    publish(&world.store, &before, "one").await;
    let before = read(&world.store).await;
    world.store.terminate(&pool()).await.unwrap();
    assert_eq!(world.store.pool_configuration(&pool(), PoolReach::Any).await.err(), Some(PoolError::NotFound));
    assert_eq!(world.count(Table::PoolConfigSnapshots).await, 0);
    assert_eq!(publish(&world.store, &before, "late").await, Published::Overtaken);
    assert_eq!(world.count(Table::PoolConfigSnapshots).await, 0);

    world.register(PoolStatus::Active).await;
    let anew = read(&world.store).await;
    assert!(anew.newest.is_none() && world.store.gateway_token(&anew).await.unwrap().is_none());
    assert_eq!(snapshot(publish(&world.store, &anew, "two").await).version, 2);
}

#[tokio::test]
async fn a_termination_that_failed_half_way_is_ended_before_a_configuration_is_read() {
    let world = World::with_bot().await;
    publish(&world.store, &read(&world.store).await, "one").await;
    let mut row = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    row.insert("purging".to_owned(), AttributeValue::Bool(true));
    world.engine.put(Table::Pools, row).await;
    let anew = read(&world.store).await;
    assert!(anew.newest.is_none());
    assert_eq!(world.count(Table::PoolConfigSnapshots).await, 0);
    assert_eq!(snapshot(publish(&world.store, &anew, "two").await).version, 2);
}

fn models_key(alias: &str, base_url: &str) -> ModelsKey {
    ModelsKey { alias: alias.to_owned(), base_url: base_url.to_owned(), key: format!("the key of {alias}").into() }
}

async fn publish_key(store: &Store, read: &PoolConfiguration, config: &str, key: ModelsKeyChange<'_>) -> Published {
    let publication = Publication { models_key: key, ..publication(config.as_bytes()) };
    store.publish_snapshot(read, &publication).await.expect("no failure")
}

const MODELS: &str = "https://models.example.com";

/// Alias and text of the pool's key to the models at this address.
async fn key_at(store: &Store, base_url: &str) -> Option<(String, String)> {
    let key = store.models_key(&read(store).await, base_url).await.unwrap()?;
    Some((key.alias, key.key.expose_secret().to_owned()))
}

#[tokio::test]
async fn a_key_to_models_is_sealed_for_its_pool_and_good_for_one_address() {
    let world = World::with_bot().await;
    let first = read(&world.store).await;
    assert_eq!(first.models_key_alias(), None);
    let key = models_key("a-1", MODELS);
    let (published, calls) = counted(publish_key(&world.store, &first, "one", ModelsKeyChange::Set(&key))).await;
    assert_eq!((snapshot(published).version, calls), (1, 1));
    assert_eq!(key_at(&world.store, MODELS).await, Some(("a-1".to_owned(), "the key of a-1".to_owned())));
    assert_eq!(key_at(&world.store, "https://elsewhere.example.com").await, None);

    let mut row = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    assert!(!format!("{row:?}").contains("the key of"));
    row.insert("id".to_owned(), text("pool-2"));
    world.engine.put(Table::Pools, row).await;
    let mut moved = world.engine.row(Table::PoolConfigSnapshots, newest_key("pool-1")).await.unwrap();
    moved.insert("pool".to_owned(), text("pool-2"));
    world.engine.put(Table::PoolConfigSnapshots, moved).await;
    let stolen = world.store.pool_configuration(&"pool-2".parse().unwrap(), PoolReach::Any).await.unwrap();
    let opened = world.store.models_key(&stolen, MODELS).await;
    assert!(matches!(opened, Err(StoreError::Unopened { table: "pools", .. })), "{opened:?}");
}

#[tokio::test]
async fn one_key_of_those_that_race_becomes_the_pools() {
    let world = World::with_bot().await;
    let early = read(&world.store).await;
    let (one, other) = (models_key("a-1", MODELS), models_key("a-2", MODELS));
    publish_key(&world.store, &early, "one", ModelsKeyChange::Set(&one)).await;
    assert_eq!(publish_key(&world.store, &early, "two", ModelsKeyChange::Set(&other)).await, Published::Overtaken);
    assert_eq!(key_at(&world.store, MODELS).await.unwrap().0, "a-1");
    assert_eq!(read(&world.store).await.pool.models_key_aliases, ["a-1"]);
}

#[tokio::test]
async fn a_key_that_was_replaced_or_removed_is_left_over_until_it_is_forgotten() {
    let world = World::with_bot().await;
    let (one, other) = (models_key("a-1", MODELS), models_key("a-2", "https://elsewhere.example.com"));
    publish_key(&world.store, &read(&world.store).await, "one", ModelsKeyChange::Set(&one)).await;
    assert!(read(&world.store).await.left_over_models_keys().is_empty());
    publish_key(&world.store, &read(&world.store).await, "two", ModelsKeyChange::Set(&other)).await;
    let now = read(&world.store).await;
    assert_eq!((now.left_over_models_keys(), now.pool.models_key_aliases.len()), (vec!["a-1".to_owned()], 2));
    world.store.forget_models_keys(&pool(), &["a-1".to_owned()]).await.unwrap();
    assert_eq!(read(&world.store).await.pool.models_key_aliases, ["a-2"]);

    publish_key(&world.store, &read(&world.store).await, "three", ModelsKeyChange::Remove).await;
    let now = read(&world.store).await;
    assert_eq!(now.models_key_alias(), None);
    assert_eq!(now.left_over_models_keys(), ["a-2"]);
    world.store.forget_models_keys(&pool(), &["a-2".to_owned()]).await.unwrap();
    assert!(read(&world.store).await.pool.models_key_aliases.is_empty());
    world.store.forget_models_keys(&pool(), &["a-2".to_owned()]).await.unwrap();
}

#[tokio::test]
async fn a_terminated_pool_loses_its_key_and_keeps_the_alias_to_end_it_by() {
    let world = World::with_bot().await;
    publish_key(&world.store, &read(&world.store).await, "one", ModelsKeyChange::Set(&models_key("a-1", MODELS))).await;
    world.store.terminate(&pool()).await.unwrap();
    let row = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    for attribute in ["modelsKey", "modelsKeyAlias", "modelsKeyUrl"] {
        assert!(!row.contains_key(attribute), "{attribute}");
    }
    world.register(PoolStatus::Active).await;
    assert_eq!(read(&world.store).await.left_over_models_keys(), ["a-1"]);
    // The setter of a new key has revoked the left-over ones.
    publish_key(&world.store, &read(&world.store).await, "two", ModelsKeyChange::Set(&models_key("a-2", MODELS))).await;
    assert_eq!(read(&world.store).await.pool.models_key_aliases, ["a-2"]);
}

#[tokio::test]
async fn a_key_that_was_ruled_out_is_never_published() {
    let world = World::with_bot().await;
    let early = read(&world.store).await;
    let key = models_key("a-1", MODELS);
    assert_eq!(world.store.rule_out_models_key(&pool(), "a-1").await, Ok(true));
    assert_eq!(publish_key(&world.store, &early, "one", ModelsKeyChange::Set(&key)).await, Published::Overtaken);
    // The pool's current key cannot be ruled out.
    publish_key(&world.store, &read(&world.store).await, "one", ModelsKeyChange::Set(&key)).await;
    assert_eq!(world.store.rule_out_models_key(&pool(), "a-1").await, Ok(false));
    assert_eq!(world.store.rule_out_models_key(&pool(), "a-2").await, Ok(true));
}
