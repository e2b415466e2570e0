//! Leases on events: one owner at a time, and final after the delivery.

use std::time::Duration;

use portcullis_auth::Clock as _;
use portcullis_crypto::Digest;
use portcullis_store::{BotReach, Lease, MessageSeen, PoolGuesses, Table, round_trips::counted};

use crate::support::{World, bot, channel, hours, item, new_channel, pool, size, text};

const MINUTE: Duration = Duration::from_mins(1);
const TAKEN: Lease = Lease::Taken { refusals: 0 };

fn event() -> Digest {
    Digest::of(b"C1/U1/1.0/message")
}

async fn lease(world: &World, owner: &str) -> Lease {
    world.store.lease(&event(), owner, MINUTE).await.unwrap()
}

#[tokio::test]
async fn an_event_is_one_owners_until_its_lease_ends() {
    let world = World::new().await;
    let (taken, calls) = counted(lease(&world, "one")).await;
    assert_eq!((taken, calls), (TAKEN, 1));
    assert_eq!(lease(&world, "two").await, Lease::HeldByAnother);
    assert_eq!(lease(&world, "one").await, TAKEN, "an owner may ask again");
    world.clock.advance(jiff::Span::new().milliseconds(59_999));
    assert_eq!(lease(&world, "two").await, Lease::HeldByAnother);
    world.clock.advance(jiff::Span::new().milliseconds(1));
    assert_eq!(lease(&world, "two").await, TAKEN);
    assert_eq!(lease(&world, "one").await, Lease::HeldByAnother);
}

#[tokio::test]
async fn a_delivered_event_is_a_duplicate_for_each_owner_until_it_is_forgotten() {
    let world = World::new().await;
    assert_eq!(lease(&world, "one").await, TAKEN);
    let (marked, calls) = counted(world.store.mark_delivered(&event(), "one")).await;
    assert_eq!((marked, calls), (Ok(()), 1));
    assert_eq!(lease(&world, "one").await, Lease::AlreadyDelivered);
    world.clock.advance(hours(15 * 24 - 1));
    assert_eq!(lease(&world, "two").await, Lease::AlreadyDelivered);
    world.clock.advance(hours(1));
    assert_eq!(world.count(Table::EventLog).await, 1, "its row is still there");
    assert_eq!(lease(&world, "two").await, TAKEN);
    assert_eq!(lease(&world, "three").await, Lease::HeldByAnother, "it is not taken for delivered again");
}

#[tokio::test]
async fn refusals_are_counted_for_the_owner_that_met_them() {
    let world = World::new().await;
    lease(&world, "one").await;
    world.store.record_refusals(&event(), "one", 7).await.unwrap();
    assert_eq!(lease(&world, "one").await, Lease::Taken { refusals: 7 });
    world.clock.advance(hours(1));
    assert_eq!(lease(&world, "redriven").await, TAKEN, "a message that is sent again has all its tries");
    world.store.record_refusals(&event(), "one", 8).await.unwrap();
    assert_eq!(lease(&world, "redriven").await, TAKEN, "an owner that lost its lease records nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_twenty_that_race_for_an_event_takes_it() {
    let world = World::new().await;
    let racers: Vec<_> = (0..20)
        .map(|racer| {
            let store = world.store.clone();
            tokio::spawn(async move { store.lease(&event(), &format!("racer-{racer}"), MINUTE).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Lease::Taken { .. } => taken += 1,
            other => assert_eq!(other, Lease::HeldByAnother),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn rows_expire_fifteen_days_after_they_were_touched() {
    let world = World::new().await;
    world.store.mark_delivered(&event(), "one").await.unwrap();
    let row = world.engine.row(Table::EventLog, item([("identity", text(&event().to_hex()))])).await.unwrap();
    let expected = jiff::Timestamp::as_second("2026-02-18T04:05:06Z".parse().unwrap());
    assert_eq!(row["expiresAt"].as_n().unwrap(), &expected.to_string());
}

#[tokio::test]
async fn a_message_event_costs_five_write_units() {
    let world = World::with_bot().await;
    let bot = bot();
    let message = |number: u8| MessageSeen {
        bot: &bot,
        session_key: "agent:bot-1:slack:channel:c0123456789:thread:1800014400.000100",
        channel_type: "slack",
        channel_id: "C0123456789",
        at: "2026-02-03T04:05:06Z".parse().unwrap(),
        counted_as: Some(Digest::of(&[number])),
        title: "Slack #C0123456789",
    };
    for number in 1..=9 {
        world.store.record_message(&message(number)).await.unwrap();
    }
    let owner = "6c1c1d1e-0000-4000-8000-000000000000";
    let (_, leases) = counted(lease(&world, owner)).await;
    let ((), sessions) = counted(async { world.store.record_message(&message(10)).await.unwrap() }).await;
    let (_, deliveries) = counted(world.store.mark_delivered(&event(), owner)).await;
    // Each is a single write, not a transaction, which would cost twice as much.
    assert_eq!((leases, sessions, deliveries), (1, 1, 1));
    let units = |row: &crate::support::Item| size(row).div_ceil(1024);
    let event = units(&world.engine.rows(Table::EventLog).await[0]);
    let session = world.engine.rows(Table::ChatSessions).await.into_iter().find(|row| row.contains_key("bot")).unwrap();
    // The index is ordered by the time that each message changes: its old entry is deleted and a new one put.
    let index = 2 * units(&session);
    assert_eq!(event + event + units(&session) + index, 5);
}

#[tokio::test]
async fn an_open_circuit_is_seen_by_all_and_its_probe_is_claimed_by_one() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let guesses = PoolGuesses::default();
    let target = async || world.store.delivery_target(&channel(), &bot(), &guesses).await.unwrap();
    let (found, calls) = counted(target()).await;
    assert_eq!((found.stall, found.pool.map(|pool| pool.id), calls), (None, Some(pool()), 2));
    let (_, calls) = counted(target()).await;
    assert_eq!(calls, 1, "the pool is guessed from the time before");

    let until = world.clock.now() + MINUTE;
    world.store.record_stall(&pool(), until).await.unwrap();
    let seen = target().await.stall.unwrap();
    assert_eq!(seen.until, until);
    let later = until + MINUTE;
    assert!(world.store.claim_probe(&pool(), seen, later).await.unwrap());
    assert!(!world.store.claim_probe(&pool(), seen, later).await.unwrap(), "another has it");
    world.store.clear_stall(&pool()).await.unwrap();
    assert_eq!(target().await.stall, None);
}
