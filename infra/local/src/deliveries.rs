//! Delivery loop: takes messages off the queue and passes them to the relay, as Lambda's event source mapping does on
//! AWS.

use std::{sync::Arc, time::Duration};

use portcullis_runtime::queue::{EventQueue, ReceivedMessage};
use relay::{Relay, Settlement};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Most concurrent deliveries, as the template's maximum concurrency.
const CONCURRENCY: usize = 32;
/// Long-poll time of one receive.
const WAIT: Duration = Duration::from_secs(10);
/// Most messages of one receive.
const BATCH: usize = 10;
/// Pause of the loop after a failure of the queue.
const REST: Duration = Duration::from_millis(500);
/// Time that a shutdown waits for deliveries in flight: as long as one may take.
const GRACE: Duration = Duration::from_secs(12);

/// The running delivery loop.
pub struct Deliveries {
    stop: CancellationToken,
    running: JoinHandle<()>,
    tasks: TaskTracker,
}

impl Deliveries {
    /// Starts the loop.
    #[must_use]
    pub fn start(relay: Arc<Relay>, queue: Arc<dyn EventQueue>) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let running = tokio::spawn(run(relay, queue, stop.clone(), tasks.clone()));
        Self { stop, running, tasks }
    }

    /// Stops the loop: it takes no further message and waits for deliveries in flight. Unfinished messages are due
    /// again at the next start.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.running.await {
            tracing::error!(%error, "deliveries failed");
        }
        self.tasks.close();
        if timeout(GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!("deliveries under way were left; they are tried again at the next start");
        }
    }
}

async fn run(relay: Arc<Relay>, queue: Arc<dyn EventQueue>, stop: CancellationToken, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    while !stop.is_cancelled() {
        // Acquire a place first: the visibility time-out of a message without one would already run.
        let Ok(first) = Arc::clone(&places).acquire_owned().await else { return };
        let limit = BATCH.min(places.available_permits() + 1);
        let received = tokio::select! {
            received = queue.receive(limit, WAIT) => received,
            () = stop.cancelled() => return,
        };
        let messages = match received {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "nothing could be taken off the queue");
                // Ends early at a shutdown.
                let _rested = timeout(REST, stop.cancelled()).await;
                continue;
            }
        };
        let mut first = Some(first);
        for message in messages {
            let place = match first.take() {
                Some(place) => place,
                None => match Arc::clone(&places).acquire_owned().await {
                    Ok(place) => place,
                    Err(_) => return,
                },
            };
            let (relay, queue) = (Arc::clone(&relay), Arc::clone(&queue));
            tasks.spawn(async move {
                deliver(&relay, &*queue, &message, place).await;
            });
        }
    }
}

/// Delivers a message. A delivery that takes longer than a pool should releases its place and goes on, so that hanging
/// pools hold places for no longer than that.
async fn deliver(relay: &Relay, queue: &dyn EventQueue, message: &ReceivedMessage, place: OwnedSemaphorePermit) {
    let mut place = Some(place);
    let settlement = relay.process(message, &mut || drop(place.take())).await;
    if settlement == Settlement::Remove
        && let Err(error) = queue.acknowledge(message).await
    {
        // The message returns after its visibility time-out, and is then deduplicated as delivered.
        tracing::error!(%error, "a message was not removed from the queue");
    }
}
