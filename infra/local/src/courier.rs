//! What Lambda's event source mapping does on AWS: hands each message of the queue to the relay, and removes what is done.

use std::{sync::Arc, time::Duration};

use portcullis_runtime::queue::{EventQueue, ReceivedMessage};
use relay::{Relay, Settlement};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How many deliveries run at once: the template's `RelayConcurrency` by default.
const CONCURRENCY: usize = 50;
/// How long one receive waits for a message.
const WAIT: Duration = Duration::from_secs(20);
/// How long a queue that does not answer is left alone.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest that a delivery takes, with what is recorded about it.
const GRACE: Duration = Duration::from_secs(15);

/// Hands messages to the relay, until it is shut down.
pub(crate) struct Courier {
    stop: CancellationToken,
    runner: JoinHandle<()>,
}

impl Courier {
    pub(crate) fn start(relay: Relay, queue: Arc<dyn EventQueue>) -> Self {
        let stop = CancellationToken::new();
        Self { runner: tokio::spawn(run(Arc::new(relay), queue, stop.clone())), stop }
    }

    /// Takes nothing new and lets deliveries under way end; what they leave behind is due at the next start.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.runner.await {
            tracing::error!(%error, "the relay failed");
        }
    }
}

async fn run(relay: Arc<Relay>, queue: Arc<dyn EventQueue>, stop: CancellationToken) {
    let mut deliveries = tokio::task::JoinSet::new();
    loop {
        while deliveries.len() >= CONCURRENCY {
            report(deliveries.join_next().await);
        }
        while let Some(ended) = deliveries.try_join_next() {
            report(Some(ended));
        }
        let free = CONCURRENCY - deliveries.len();
        // What a receive that is broken off here had taken is due again after its visibility, and at the next start.
        match stop.run_until_cancelled(queue.receive(free.min(10), WAIT)).await {
            None => break,
            Some(Ok(messages)) => {
                for message in messages {
                    deliveries.spawn(deliver(Arc::clone(&relay), Arc::clone(&queue), message));
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the queue could not be received from");
                let _ = timeout(PAUSE, stop.cancelled()).await;
            }
        }
    }
    let rest = async {
        while let Some(ended) = deliveries.join_next().await {
            report(Some(ended));
        }
    };
    if timeout(GRACE, rest).await.is_err() {
        tracing::warn!("deliveries that took too long were broken off");
    }
}

async fn deliver(relay: Arc<Relay>, queue: Arc<dyn EventQueue>, message: ReceivedMessage) {
    if relay.process(&message).await == Settlement::Remove
        && let Err(error) = queue.acknowledge(&message).await
    {
        // It comes back and is found to be delivered already.
        tracing::warn!(%error, "a message that is done with was not removed");
    }
}

fn report(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        tracing::error!(%error, "a delivery failed; its message comes back");
    }
}
