//! Putting a verified event into the queue.

use axum::extract::Request;
use portcullis_runtime::{ApiError, front::RequestId, metrics::Metric, queue::NewMessage};

use crate::{App, identity::Queued};

impl App {
    /// Queues an event durably, with the id of the request that brought it.
    ///
    /// # Errors
    /// 503, whether the queue is away or refuses: to Slack it is the same, it is to send the event again.
    pub async fn queue_event(&self, queued: Queued, request_id: String) -> Result<(), ApiError> {
        let message = message(queued, request_id)?;
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

/// The id of a request.
pub fn request_id(request: &Request) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default()
}

fn message(queued: Queued, request_id: String) -> Result<NewMessage, ApiError> {
    let Queued { mut event, conversation } = queued;
    event.request_id = request_id;
    let (body, payload) = event.to_message().map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(NewMessage { group: conversation, deduplication: event.identity, body, payload })
}
