//! The queue of this machine keeps every promise of an event queue.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use local::{database::Database, queue::TableQueue};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
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

/// Different bytes at each call, the same in each run.
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
async fn the_table_keeps_the_queues_promises() {
    let clock = Arc::new(MovableClock(Mutex::new(Timestamp::from_second(1_800_000_000).unwrap())));
    let database = Database::start(None, clock.clone()).unwrap();
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    let queue = TableQueue::open(client, clock.clone()).await.unwrap();
    keeps_the_queues_promises(&queue, &*clock, &Counting::default()).await;
    database.shutdown().await;
}
