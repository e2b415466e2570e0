//! Registration, heartbeats, token generations and termination of a pool.

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_auth::Generation;
use portcullis_store::{
    Generations, Heartbeat, OpenClawReport, PoolError, PoolReach, PoolReport, PoolStatus, PutSecretsError, StoreError,
    Table, round_trips::counted,
};

use crate::support::{World, hours, item, pool, set, text};

const HEARTBEAT: Heartbeat =
    Heartbeat { status: PoolStatus::Degraded, address: None, last_seen_version: Some(3), openclaw: None };
const REPORT: PoolReport = PoolReport { status: PoolStatus::Active, address: None, openclaw: None };

#[tokio::test]
async fn a_new_pool_starts_at_zero_and_registering_again_keeps_what_is_absent() {
    let world = World::new().await;
    let address = Some("10.0.0.7".parse().unwrap());
    let (first, calls) = counted(world.store.register(&pool(), PoolReport { address, ..REPORT }, PoolReach::Any)).await;
    let first = first.unwrap();
    assert_eq!(calls, 1);
    assert_eq!((first.revision, first.secrets_revision, first.config_version), (0, 0, 0));
    assert_eq!(first.address, address);

    world.clock.advance(hours(1));
    let report = PoolReport { status: PoolStatus::Draining, address: None, openclaw: None };
    let again = world.store.register(&pool(), report, PoolReach::Any).await.unwrap();
    assert_eq!((again.address, again.status), (address, PoolStatus::Draining));
    assert_eq!(again.created_at, first.created_at);
    assert!(again.last_seen_at > first.last_seen_at);
    assert_eq!(world.pool().await, again);
}

#[tokio::test]
async fn a_heartbeat_is_one_call_and_updates_the_row() {
    let world = World::with_pool().await;
    let (seen, calls) = counted(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::Any)).await;
    let seen = seen.unwrap();
    assert_eq!(calls, 1);
    assert_eq!((seen.status, seen.last_seen_version), (PoolStatus::Degraded, Some(3)));
    let silent = Heartbeat { last_seen_version: None, ..HEARTBEAT };
    assert_eq!(world.store.heartbeat(&pool(), silent, PoolReach::Any).await.unwrap().last_seen_version, Some(3));
}

/// Report of an `OpenClaw`; `old` is the default dialect, that of a pool that names no version.
fn openclaw(version: &str, dialect: &'static str) -> OpenClawReport {
    OpenClawReport { version: version.to_owned(), dialect, is_default_dialect: dialect == "old" }
}

#[tokio::test]
async fn another_version_raises_the_revision_only_with_another_dialect() {
    let world = World::with_pool().await;
    // Each case: version and dialect, the revision after the heartbeat, and its calls.
    for (report, revision, calls) in [
        (None, 0, 1),
        (Some(openclaw("1.0.0", "old")), 0, 1),
        (Some(openclaw("1.0.1", "old")), 0, 1),
        (Some(openclaw("2.0.0", "new")), 1, 2),
        (Some(openclaw("2.0.0", "new")), 1, 1),
        (Some(openclaw("2.0.1", "new")), 1, 1),
        (None, 1, 1),
        (Some(openclaw("1.0.1", "old")), 2, 2),
        (Some(openclaw("3.0.0", "newest")), 3, 2),
    ] {
        let known = world.pool().await.openclaw_version;
        let expected = report.as_ref().map(|report: &OpenClawReport| report.version.clone()).or(known);
        let heartbeat = Heartbeat { openclaw: report, ..HEARTBEAT };
        let (seen, counted) = counted(world.store.heartbeat(&pool(), heartbeat, PoolReach::Any)).await;
        let seen = seen.unwrap();
        assert_eq!((&seen.openclaw_version, seen.revision, counted), (&expected, revision, calls));
        assert_eq!(world.pool().await, seen);
    }
    let (again, calls) = counted(world.store.register(&pool(), REPORT, PoolReach::Any)).await;
    assert_eq!((again.unwrap().openclaw_version.as_deref(), calls), (Some("3.0.0"), 1));
    let report = PoolReport { openclaw: Some(openclaw("1.0.0", "old")), ..REPORT };
    let (again, calls) = counted(world.store.register(&pool(), report.clone(), PoolReach::While(Generation(0)))).await;
    assert_eq!((again.unwrap().revision, calls), (4, 2));
    let (again, calls) = counted(world.store.register(&pool(), report, PoolReach::Any)).await;
    assert_eq!((again.unwrap().revision, calls), (4, 1));
}

#[tokio::test]
async fn a_new_pool_with_a_version_is_registered_in_one_call() {
    for dialect in ["old", "new"] {
        let world = World::new().await;
        let report = PoolReport { openclaw: Some(openclaw("1.2.3", dialect)), ..REPORT };
        let (new, calls) = counted(world.store.register(&pool(), report.clone(), PoolReach::Any)).await;
        let new = new.unwrap();
        assert_eq!((new.openclaw_version.as_deref(), new.revision, calls), (Some("1.2.3"), 0, 1), "{dialect}");
        assert_eq!(world.store.register(&pool(), report, PoolReach::Any).await.unwrap().revision, 0, "{dialect}");
    }
}

#[tokio::test]
async fn reports_of_two_dialects_that_race_each_raise_the_revision_or_change_nothing() {
    let world = World::with_pool().await;
    let beat = async |number: u32| {
        let report = Some(openclaw("1.2.3", if number.is_multiple_of(2) { "new" } else { "newest" }));
        world.store.heartbeat(&pool(), Heartbeat { openclaw: report, ..HEARTBEAT }, PoolReach::Any).await
    };
    let seen = futures_util::future::join_all((0..16).map(beat)).await;
    let mut revisions: Vec<_> = seen.into_iter().map(|pool| pool.unwrap().revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    // Each raiser saw a revision of its own, from the first to the last.
    let last = world.pool().await.revision;
    assert_eq!(revisions, (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_report_that_is_refused_changes_neither_version_nor_revision() {
    let world = World::with_pool().await;
    let old = PoolReach::While(Generation(0));
    world.store.raise_runtime_generation(&pool(), PoolReach::Any).await.unwrap();
    let before = world.pool().await;
    let heartbeat = Heartbeat { openclaw: Some(openclaw("2.0.0", "new")), ..HEARTBEAT };
    let (refused, calls) = counted(world.store.heartbeat(&pool(), heartbeat.clone(), old)).await;
    assert_eq!((refused, calls), (Err(PoolError::Revoked), 1));
    assert_eq!(world.pool().await, before);
    world.store.terminate(&pool()).await.unwrap();
    let before = world.pool().await;
    assert_eq!(world.store.heartbeat(&pool(), heartbeat, PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(world.pool().await, before);
}

#[tokio::test]
async fn an_unknown_pool_takes_no_report_and_gets_no_row() {
    let world = World::new().await;
    assert_eq!(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(
        world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::While(Generation(0))).await,
        Err(PoolError::Revoked)
    );
    assert_eq!(world.store.register(&pool(), REPORT, PoolReach::While(Generation(0))).await, Err(PoolError::Revoked));
    assert_eq!(world.store.raise_skill_generation(&pool(), PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(world.store.terminate(&pool()).await, Err(PoolError::NotFound));
    assert_eq!(world.store.generations(&pool(), PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(world.store.generations(&pool(), PoolReach::While(Generation(0))).await, Err(PoolError::Revoked));
    assert_eq!(world.count(Table::Pools).await, 0);
}

#[tokio::test]
async fn a_revoked_runtime_token_registers_nothing_and_beats_for_nothing() {
    let world = World::with_pool().await;
    let old = PoolReach::While(Generation(0));
    assert!(world.store.register(&pool(), REPORT, old).await.is_ok());
    assert_eq!(world.store.raise_runtime_generation(&pool(), PoolReach::Any).await, Ok(Generation(1)));
    let before = world.pool().await;
    assert_eq!(world.store.register(&pool(), REPORT, old).await, Err(PoolError::Revoked));
    assert_eq!(world.store.heartbeat(&pool(), HEARTBEAT, old).await, Err(PoolError::Revoked));
    assert_eq!(world.store.raise_skill_generation(&pool(), old).await, Err(PoolError::Revoked));
    assert_eq!(world.pool().await, before);
    assert!(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::While(Generation(1))).await.is_ok());
}

#[tokio::test]
async fn raising_one_generation_leaves_the_other() {
    let world = World::with_pool().await;
    assert_eq!(world.store.raise_skill_generation(&pool(), PoolReach::Any).await, Ok(Generation(1)));
    assert_eq!(world.store.raise_skill_generation(&pool(), PoolReach::Any).await, Ok(Generation(2)));
    let known = Generations { skill: Generation(2), runtime: Generation(0) };
    assert_eq!(world.store.generations(&pool(), PoolReach::Any).await, Ok(known));
    assert_eq!(world.store.generations(&pool(), PoolReach::While(Generation(0))).await, Ok(known));
    assert_eq!(world.store.generations(&pool(), PoolReach::While(Generation(2))).await, Err(PoolError::Revoked));
}

#[tokio::test]
async fn a_terminated_pool_loses_its_secrets_and_tokens_and_takes_no_new_ones() {
    let world = World::with_pool().await;
    // More than one page of secrets.
    for call in 0..3 {
        let changes: Vec<_> = (0..50).map(|number| set("pool", &format!("N{call}_{number}"), "v")).collect();
        world.store.put_secrets(&pool(), &changes).await.unwrap();
    }
    let terminated = Heartbeat { status: PoolStatus::Terminated, ..HEARTBEAT };
    world.store.heartbeat(&pool(), terminated, PoolReach::While(Generation(0))).await.unwrap();

    assert_eq!(world.count(Table::PoolSecrets).await, 0);
    let ended = world.pool().await;
    assert_eq!(ended.status, PoolStatus::Terminated);
    assert_eq!((ended.skill_generation, ended.runtime_generation), (Generation(1), Generation(1)));
    assert_eq!(world.store.generations(&pool(), PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(world.store.generations(&pool(), PoolReach::While(Generation(0))).await, Err(PoolError::Revoked));
    let put = world.store.put_secrets(&pool(), &[set("pool", "A", "v")]).await;
    assert_eq!(put, Err(PutSecretsError::NotFound));
    assert_eq!(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::Any).await, Err(PoolError::NotFound));
    assert_eq!(world.count(Table::PoolSecrets).await, 0);
}

#[tokio::test]
async fn a_terminated_pool_that_registers_again_is_active_anew_without_its_old_tokens() {
    let world = World::with_pool().await;
    world.store.terminate(&pool()).await.unwrap();
    assert_eq!(world.store.register(&pool(), REPORT, PoolReach::While(Generation(0))).await, Err(PoolError::Revoked));
    assert_eq!(world.register(PoolStatus::Active).await.runtime_generation, Generation(1));
    world.store.put_secrets(&pool(), &[set("pool", "A", "v")]).await.unwrap();
    assert!(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::Any).await.is_ok());
}

#[tokio::test]
async fn a_termination_that_failed_half_way_ends_before_new_secrets_are_written() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "OLD", "v")]).await.unwrap();
    // State after the first step and a new registration.
    let mut row = world.engine.row(Table::Pools, item([("id", text("pool-1"))])).await.unwrap();
    row.insert("purging".to_owned(), AttributeValue::Bool(true));
    world.engine.put(Table::Pools, row).await;

    world.store.put_secrets(&pool(), &[set("pool", "NEW", "v")]).await.unwrap();
    assert_eq!(world.skill_secrets("maps").await, [("NEW".to_owned(), "v".to_owned())]);
    assert_eq!(world.pool().await.skill_generation, Generation(1));
}

#[tokio::test]
async fn a_row_of_another_layout_is_refused_by_name_and_left_as_it_is() {
    let world = World::with_pool().await;
    let key = item([("id", text("pool-1"))]);
    let mut row = world.engine.row(Table::Pools, key.clone()).await.unwrap();
    row.insert("schema".to_owned(), AttributeValue::N("2".to_owned()));
    world.engine.put(Table::Pools, row.clone()).await;
    let malformed = StoreError::Malformed { table: "pools", attribute: "schema" };
    let refused = Err(PoolError::Store(malformed.clone()));
    assert_eq!(world.store.get_pool(&pool()).await, Err(malformed));
    assert_eq!(world.store.register(&pool(), REPORT, PoolReach::Any).await, refused);
    assert_eq!(world.store.heartbeat(&pool(), HEARTBEAT, PoolReach::Any).await, refused);
    assert_eq!(world.engine.row(Table::Pools, key).await, Some(row));
}

#[tokio::test]
async fn warming_up_reads_nothing_that_could_be_there() {
    let world = World::with_pool().await;
    for table in [Table::Pools, Table::PoolSecrets, Table::WebhookRoutes, Table::EventLog] {
        assert_eq!(world.store.warm_up(table).await, Ok(()));
    }
}
