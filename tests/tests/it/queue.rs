//! This machine's queue passes the conformance tests of an event queue.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use portcullis_local::{queue::SqliteQueue, wal_sync::Durability};
use portcullis_tests::queue_promises::{Time, keeps_the_queues_promises};

struct MovableClock(Mutex<Timestamp>);

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl Time for MovableClock {
    async fn pass(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(duration).unwrap();
    }

    fn can_leap(&self) -> bool {
        true
    }
}

/// Deterministic bytes, different at each call.
#[derive(Default)]
struct Counting(AtomicU64);

impl Randomness for Counting {
    fn fill(&self, destination: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, value) in destination.iter_mut().zip(count.iter().cycle()) {
            *byte = *value;
        }
    }
}

#[tokio::test]
async fn the_queue_in_memory_keeps_the_queues_promises() {
    let clock = clock();
    let queue = SqliteQueue::open(None, Durability::PowerCut, clock.clone()).unwrap();
    keeps_the_queues_promises(&queue, &*clock, &Counting::default()).await;
}

#[tokio::test]
async fn the_queue_in_a_file_keeps_the_queues_promises() {
    for durability in [Durability::PowerCut, Durability::ProcessDeath] {
        let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
        let file = folder.path().join("queue.db");
        let queue = SqliteQueue::open(file.to_str(), durability, clock.clone()).unwrap();
        keeps_the_queues_promises(&queue, &*clock, &Counting::default()).await;
    }
}

fn clock() -> Arc<MovableClock> {
    Arc::new(MovableClock(Mutex::new(Timestamp::from_second(1_800_000_000).unwrap())))
}
