//! Writing and reading a pool's secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_store::{
    FixedKeys, PoolError, PoolReach, PoolStatus, PutSecretsError, SealedSecrets, Table, round_trips::counted,
};
use secrecy::ExposeSecret;

use crate::support::{Item, World, delete, item, keyring, pool, set, text};

fn usage_key() -> Item {
    item([("pool", text("pool-1")), ("scopeName", text("#usage"))])
}

/// Names and bytes of a scope, from the usage row.
async fn usage(world: &World, scope: &str) -> Option<(String, String)> {
    let row = world.engine.row(Table::PoolSecrets, usage_key()).await?;
    let held = row["scopes"].as_m().unwrap().get(scope)?.as_m().unwrap();
    Some((held["names"].as_n().unwrap().clone(), held["bytes"].as_n().unwrap().clone()))
}

fn pair(left: &str, right: &str) -> (String, String) {
    (left.to_owned(), right.to_owned())
}

#[tokio::test]
async fn a_skill_reads_the_pools_secrets_and_its_own_which_win() {
    let world = World::with_pool().await;
    let changes = [
        set("pool", "SHARED", "of the pool"),
        set("pool", "BOTH", "of the pool"),
        set("skill:maps", "BOTH", "of maps"),
        set("skill:maps", "MAPS_KEY", "of maps"),
        set("skill:maps-2", "OTHER", "of maps-2"),
        set("skill:mail", "BOTH", "of mail"),
    ];
    let (written, calls) = counted(world.store.put_secrets(&pool(), &changes)).await;
    assert_eq!((written, calls), (Ok(()), 2));
    let maps = [pair("BOTH", "of maps"), pair("MAPS_KEY", "of maps"), pair("SHARED", "of the pool")];
    assert_eq!(world.skill_secrets("maps").await, maps);
    assert_eq!(world.skill_secrets("none").await, [pair("BOTH", "of the pool"), pair("SHARED", "of the pool")]);
    let of_pool = world.store.secrets_of_pool(&pool()).await.unwrap();
    assert_eq!(of_pool.keys().map(ToString::to_string).collect::<Vec<_>>(), ["BOTH", "SHARED"]);
}

/// A reader of the secrets of skill `maps` with a cache, as one instance of a function has.
struct Instance<'a> {
    world: &'a World,
    cache: SealedSecrets,
}

impl<'a> Instance<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, cache: SealedSecrets::default() }
    }

    /// Secrets, and the number of sequential calls.
    async fn read(&self) -> (Vec<(String, String)>, u32) {
        let (pool, skill) = (pool(), "maps".parse().unwrap());
        let (found, calls) =
            counted(self.world.store.secrets_for_skill(&pool, &skill, PoolReach::Any, &self.cache)).await;
        let found = match found {
            Err(PoolError::NotFound) => BTreeMap::new(),
            found => found.unwrap(),
        };
        let secrets = found.into_iter().map(|(name, value)| pair(name.as_str(), value.expose_secret()));
        (secrets.collect(), calls)
    }
}

#[tokio::test]
async fn unchanged_secrets_take_one_call_and_a_change_is_seen_at_once() {
    let world = World::with_pool().await;
    let instance = Instance::of(&world);
    for changes in [
        &[set("pool", "A", "1"), set("skill:maps", "B", "2")] as &[_],
        &[set("pool", "A", "3")],
        &[delete("skill:maps", "B")],
        &[set("skill:maps", "A", "4")],
    ] {
        world.store.put_secrets(&pool(), changes).await.unwrap();
        let expected = world.skill_secrets("maps").await;
        let (read, calls) = instance.read().await;
        assert_eq!(read, expected);
        assert!(calls <= 2, "{calls} calls");
        for _ in 0..3 {
            assert_eq!(instance.read().await, (expected.clone(), 1));
        }
    }
}

#[tokio::test]
async fn each_request_for_known_secrets_reads_the_pools_row_and_no_secret() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "A", "1")]).await.unwrap();
    let instance = Instance::of(&world);
    for _ in 0..2 {
        instance.read().await;
    }
    // Damages the row: a read of it would fail.
    world.engine.put(Table::PoolSecrets, item([("pool", text("pool-1")), ("scopeName", text("pool#A"))])).await;
    assert_eq!(instance.read().await, (vec![pair("A", "1")], 1));
}

#[tokio::test]
async fn a_terminated_pools_secrets_end_at_once_also_where_they_are_known() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "A", "1")]).await.unwrap();
    let instance = Instance::of(&world);
    for _ in 0..3 {
        assert_eq!(instance.read().await.0, [pair("A", "1")]);
    }
    world.store.terminate(&pool()).await.unwrap();
    assert_eq!(instance.read().await, (vec![], 1));
    world.register(PoolStatus::Active).await;
    assert_eq!(instance.read().await.0, [], "a new registration starts without them");
}

#[tokio::test]
async fn known_secrets_whose_key_is_gone_are_read_again() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "A", "1")]).await.unwrap();
    let instance = Instance::of(&world);
    for _ in 0..2 {
        instance.read().await;
    }
    let before = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    // The value is sealed anew by another key, at the same revision, and the old key is dropped.
    let rotated = world.with_keys(Arc::new(FixedKeys::derived_from(&keyring(2))));
    rotated.put_secrets(&pool(), &[set("pool", "A", "1")]).await.unwrap();
    world.engine.put(Table::Pools, before).await;
    let read = rotated.secrets_for_skill(&pool(), &"maps".parse().unwrap(), PoolReach::Any, &instance.cache).await;
    let secrets = read.unwrap();
    assert_eq!(secrets.values().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn secrets_of_a_pool_that_is_still_being_purged_are_not_served() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "A", "1")]).await.unwrap();
    let instance = Instance::of(&world);
    let mut row = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    row.insert("purging".to_owned(), AttributeValue::Bool(true));
    world.engine.put(Table::Pools, row).await;
    for _ in 0..3 {
        assert_eq!(instance.read().await.0, []);
    }
}

#[tokio::test]
async fn secrets_of_an_unknown_pool_are_none_and_cannot_be_written() {
    let world = World::new().await;
    assert!(world.skill_secrets("maps").await.is_empty());
    let put = world.store.put_secrets(&pool(), &[set("pool", "A", "v")]).await;
    assert_eq!(put, Err(PutSecretsError::NotFound));
    assert_eq!(world.count(Table::PoolSecrets).await, 0);
}

#[tokio::test]
async fn usage_follows_what_is_written_replaced_and_deleted() {
    let world = World::with_pool().await;
    let put = async |changes: &[_]| world.store.put_secrets(&pool(), changes).await.unwrap();
    put(&[set("pool", "A", "12345"), set("pool", "B", ""), set("skill:maps", "A", "é")]).await;
    assert_eq!(usage(&world, "pool").await, Some(pair("2", "5")));
    assert_eq!(usage(&world, "skill:maps").await, Some(pair("1", "2")));
    put(&[set("pool", "A", "1"), delete("pool", "NOT_THERE"), delete("skill:maps", "A")]).await;
    assert_eq!(usage(&world, "pool").await, Some(pair("2", "1")));
    assert_eq!(usage(&world, "skill:maps").await, None);
    assert_eq!(world.skill_secrets("maps").await, [pair("A", "1"), pair("B", "")]);
    assert_eq!(world.pool().await.secrets_revision, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_of_the_same_names_all_succeed_one_after_another() {
    let world = World::with_pool().await;
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (store, value) = (world.store.clone(), format!("{writer:04}"));
            let changes: Vec<_> = (0..10).map(|name| set("pool", &format!("N{name}"), &value)).collect();
            tokio::spawn(async move { store.put_secrets(&pool(), &changes).await })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Ok(()));
    }
    assert_eq!(world.pool().await.secrets_revision, 16);
    assert_eq!(usage(&world, "pool").await, Some(pair("10", "40")));
    let values: Vec<_> = world.skill_secrets("maps").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values.len(), 10);
    assert!(values.iter().all(|value| *value == values[0]), "one writer's values alone: {values:?}");
}

#[tokio::test]
async fn a_call_over_a_limit_is_refused_and_nothing_is_written() {
    let world = World::with_pool().await;
    let many: Vec<_> = (0..51).map(|number| set("pool", &format!("N{number}"), "v")).collect();
    let long = set("pool", "LONG", &"v".repeat(64 * 1024 + 1));
    let twice = [set("pool", "A", "1"), set("pool", "A", "2")];
    let put = async |changes: &[_]| world.store.put_secrets(&pool(), changes).await.unwrap_err();
    assert_eq!(put(&many).await, PutSecretsError::TooManyChanges);
    assert!(matches!(put(&[set("pool", "A", "v"), long]).await, PutSecretsError::ValueTooLong { .. }));
    assert!(matches!(put(&twice).await, PutSecretsError::NamedTwice { .. }));
    assert_eq!(world.count(Table::PoolSecrets).await, 0);
    let at_the_limit = [set("pool", "LONG", &"v".repeat(64 * 1024))];
    assert_eq!(world.store.put_secrets(&pool(), &at_the_limit).await, Ok(()));
    let many = &many[..50];
    assert_eq!(world.store.put_secrets(&pool(), many).await, Ok(()));
}

#[tokio::test]
async fn a_scope_holds_a_thousand_names_and_not_one_more() {
    let world = World::with_pool().await;
    for call in 0..20 {
        let changes: Vec<_> = (0..50).map(|number| set("skill:maps", &format!("N{call}_{number}"), "v")).collect();
        world.store.put_secrets(&pool(), &changes).await.unwrap();
    }
    let refused = world.store.put_secrets(&pool(), &[set("pool", "A", "v"), set("skill:maps", "B", "v")]).await;
    let scope = "skill:maps".parse().unwrap();
    assert_eq!(refused, Err(PutSecretsError::TooManyNames { scope }));
    assert_eq!(refused.unwrap_err().to_string(), "scope skill:maps would hold more than its limit of 1000 secrets");
    assert_eq!(world.pool().await.secrets_revision, 20);
    assert_eq!(world.skill_secrets("maps").await.len(), 1000);
    let swap = [set("skill:maps", "B", "v"), delete("skill:maps", "N0_0")];
    assert_eq!(world.store.put_secrets(&pool(), &swap).await, Ok(()));
}

#[tokio::test]
async fn a_scope_holds_half_a_mebibyte_of_values_and_not_one_byte_more() {
    let world = World::with_pool().await;
    let value = "v".repeat(64 * 1024);
    let changes: Vec<_> = (0..8).map(|number| set("pool", &format!("N{number}"), &value)).collect();
    world.store.put_secrets(&pool(), &changes).await.unwrap();
    let refused = world.store.put_secrets(&pool(), &[set("pool", "A", "v")]).await;
    assert_eq!(refused, Err(PutSecretsError::TooManyBytes { scope: "pool".parse().unwrap() }));
    assert_eq!(world.pool().await.secrets_revision, 1);
    assert_eq!(world.skill_secrets("maps").await.len(), 8);
    assert_eq!(world.store.put_secrets(&pool(), &[set("skill:maps", "A", "v")]).await, Ok(()));
    assert_eq!(world.store.put_secrets(&pool(), &[set("pool", "N0", "short")]).await, Ok(()));
}
