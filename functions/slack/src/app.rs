//! State that all endpoints share, and the queueing of a verified event.

use std::sync::Arc;

use portcullis_auth::Clock;
use portcullis_runtime::{
    ApiError,
    cache::Cache,
    metrics::{Metric, Metrics},
    queue::{EventQueue, NewMessage},
};
use portcullis_store::Store;

use crate::queued::Queued;

/// Capacity of the cache of idempotency keys.
pub const QUEUED_CAPACITY: usize = 10_000;

/// Dependencies of the handlers.
pub struct App {
    pub store: Store,
    pub queue: Arc<dyn EventQueue>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    /// Idempotency keys of the events that this instance queued within the queue's deduplication window. A hit is only
    /// logged and counted: the queue itself deduplicates.
    pub queued: Cache<[u8; 32], ()>,
}

impl App {
    /// Queues an event durably.
    ///
    /// # Errors
    /// 503 if the queue cannot be reached or refuses the message: the platform sends the event again.
    pub async fn queue_event(&self, queued: Queued) -> Result<(), ApiError> {
        let Queued { event, conversation } = queued;
        let (body, payload) = event.to_message().map_err(|error| ApiError::internal(error.to_string()))?;
        let message = NewMessage { group: conversation, deduplication: event.identity, body, payload };
        self.queue.send(&message).await.map_err(|error| ApiError::unavailable(error.to_string()))?;
        let (key, now) = (*message.deduplication.as_bytes(), self.clock.now());
        if self.queued.get(&key, now).is_some() {
            self.metrics.count(Metric::EventRepeated);
            tracing::info!("deduplicated: the event was queued before");
        } else {
            self.queued.insert(key, (), now);
            self.metrics.count(Metric::EventAccepted);
        }
        Ok(())
    }
}
