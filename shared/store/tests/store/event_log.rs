//! Leases on events: one owner at a time, and delivered for good.

use std::time::Duration;

use portcullis_crypto::Digest;
use portcullis_store::{EventIdentity, Lease, Table, round_trips::counted};

use crate::support::{World, hours, item, text};

const MINUTE: Duration = Duration::from_mins(1);

fn identity(event_id: Option<&str>, occurrence: Option<&str>) -> EventIdentity {
    let digest = |text: &str| Digest::of(text.as_bytes());
    EventIdentity::new(event_id.map(digest), occurrence.map(digest)).unwrap()
}

fn both() -> EventIdentity {
    identity(Some("Ev1"), Some("C1/U1/1.0/message"))
}

async fn lease(world: &World, identity: &EventIdentity, owner: &str) -> Lease {
    world.store.lease(identity, owner, MINUTE).await.unwrap()
}

#[test]
fn an_event_without_any_identity_is_none() {
    assert_eq!(EventIdentity::new(None, None), None);
}

#[tokio::test]
async fn an_event_is_one_owners_until_its_lease_ends() {
    let world = World::new().await;
    let (taken, calls) = counted(lease(&world, &both(), "one")).await;
    assert_eq!((taken, calls), (Lease::Taken, 1));
    assert_eq!(lease(&world, &both(), "two").await, Lease::HeldByAnother);
    assert_eq!(lease(&world, &both(), "one").await, Lease::Taken, "an owner may ask again");
    world.clock.advance(jiff::Span::new().milliseconds(59_999));
    assert_eq!(lease(&world, &both(), "two").await, Lease::HeldByAnother);
    world.clock.advance(jiff::Span::new().milliseconds(1));
    assert_eq!(lease(&world, &both(), "two").await, Lease::Taken);
    assert_eq!(lease(&world, &both(), "one").await, Lease::HeldByAnother);
}

#[tokio::test]
async fn a_delivered_event_is_a_duplicate_for_each_owner_until_it_is_forgotten() {
    let world = World::new().await;
    assert_eq!(lease(&world, &both(), "one").await, Lease::Taken);
    let (marked, calls) = counted(world.store.mark_delivered(&both(), "one")).await;
    assert_eq!((marked, calls), (Ok(()), 1));
    assert_eq!(lease(&world, &both(), "one").await, Lease::AlreadyDelivered);
    world.clock.advance(hours(15 * 24 - 1));
    assert_eq!(lease(&world, &both(), "two").await, Lease::AlreadyDelivered);
    world.clock.advance(hours(1));
    assert_eq!(world.count(Table::EventLog).await, 2, "its rows are still there");
    assert_eq!(lease(&world, &both(), "two").await, Lease::Taken);
}

#[tokio::test]
async fn the_same_event_under_another_of_its_identities_is_found() {
    let world = World::new().await;
    let other_id = identity(Some("Ev2"), Some("C1/U1/1.0/message"));
    let other_occurrence = identity(Some("Ev1"), Some("C1/U1/2.0/message"));
    lease(&world, &both(), "one").await;
    for twin in [&other_id, &other_occurrence, &identity(Some("Ev1"), None)] {
        assert_eq!(lease(&world, twin, "two").await, Lease::HeldByAnother);
    }
    world.store.mark_delivered(&both(), "one").await.unwrap();
    for twin in [&other_id, &other_occurrence, &identity(Some("Ev1"), None)] {
        assert_eq!(lease(&world, twin, "two").await, Lease::AlreadyDelivered);
    }
    assert_eq!(world.count(Table::EventLog).await, 2, "a refused lease leaves no row");
    let neither = identity(Some("Ev2"), Some("C1/U1/2.0/message"));
    assert_eq!(lease(&world, &neither, "two").await, Lease::Taken);
}

#[tokio::test]
async fn an_event_id_and_an_occurrence_of_one_digest_are_not_taken_for_each_other() {
    let world = World::new().await;
    assert_eq!(lease(&world, &identity(Some("same"), None), "one").await, Lease::Taken);
    assert_eq!(lease(&world, &identity(None, Some("same")), "two").await, Lease::Taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_that_race_for_an_event_exactly_one_takes_it() {
    let world = World::new().await;
    let racers: Vec<_> = (0..20)
        .map(|racer| {
            let store = world.store.clone();
            tokio::spawn(async move { store.lease(&both(), &format!("racer-{racer}"), MINUTE).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Lease::Taken => taken += 1,
            other => assert_eq!(other, Lease::HeldByAnother),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn rows_expire_fifteen_days_after_they_were_touched() {
    let world = World::new().await;
    world.store.mark_delivered(&identity(Some("Ev1"), None), "one").await.unwrap();
    let key = format!("event#{}", Digest::of(b"Ev1").to_hex());
    let row = world.engine.row(Table::EventLog, item([("identity", text(&key))])).await.unwrap();
    let expected = jiff::Timestamp::as_second("2026-02-18T04:05:06Z".parse().unwrap());
    assert_eq!(row["expiresAt"].as_n().unwrap(), &expected.to_string());
}
