//! Takes accepted events off the queue and delivers them to their bots' pools.
//!
//! Delivery is at least once, in order within a conversation, for up to 24 hours. Only this function reaches pools. It
//! has no route and never sees the platforms' signing secrets: it signs with a channel's delivery secret.

mod backoff;
mod deliver;
mod post;
mod session;
mod slow_pools;
pub mod sqs_event;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Domain;
use portcullis_runtime::{
    Environment, lambda,
    metrics::{Metric, Metrics},
    network::PoolNetworks,
    queue::{EventKind, EventQueue, QueueError, QueuedEvent, ReceivedMessage},
    settings::{SettingsError, SettingsReader},
};
use portcullis_store::{PoolGuesses, Store, Table};
use tracing::Instrument;

use crate::{deliver::DeliveryOutcome, post::Poster, slow_pools::SlowPools};

/// Age at which an event is moved to the dead-letter queue.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// Age at which an interaction or a slash command is dropped. Its `trigger_id` expires after 3 s; its `response_url`,
/// the last means to answer the user, after this time.
///
/// Source: Slack, "Handling user interaction", "Message responses": "up to 5 times within 30 minutes".
pub const INVOCATION_LIFETIME: Duration = Duration::from_mins(30);

/// Deadline of one try: below the function's time-out of 30 s by the time that deferring the message takes.
pub const DEADLINE: Duration = Duration::from_secs(25);

/// Duration of a delivery's lease: above the function's time-out of 30 s, so that no second delivery starts beside a
/// live one.
pub const LEASE: Duration = Duration::from_mins(1);

/// Next step for a message of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Remove the message: it is settled.
    Remove,
    /// Leave the message: it is deferred, and comes back when its visibility time-out ends.
    Leave,
}

/// Delivers queued events to pools.
pub struct Relay {
    store: Store,
    queue: Arc<dyn EventQueue>,
    networks: PoolNetworks,
    poster: Poster,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    pool_guesses: PoolGuesses,
    slow_pools: SlowPools,
    deadline: Duration,
}

impl Relay {
    /// Reads the settings and opens the connection to the store.
    ///
    /// # Errors
    /// [`SettingsError`], which names every setting that is missing or malformed.
    pub async fn start(environment: &Environment) -> Result<Self, SettingsError> {
        let settings = SettingsReader::new(environment);
        let domain = Domain::DeliverySecrets;
        let keyring = settings.keyring(domain).await;
        let store = settings.store([(domain, &keyring)]);
        let queue = settings.queue();
        let networks = settings.pool_networks();
        let relay = settings.finish(|| {
            Ok(Self {
                store: store?,
                queue: queue?,
                networks: networks?,
                poster: Poster::new(
                    Arc::clone(&environment.clock),
                    Arc::clone(&environment.randomness),
                    environment.delivery_patience,
                ),
                clock: Arc::clone(&environment.clock),
                metrics: environment.metrics.clone(),
                pool_guesses: PoolGuesses::default(),
                slow_pools: SlowPools::default(),
                deadline: DEADLINE * environment.patience,
            })
        })?;
        lambda::warm_up(&relay.store, Table::EventLog).await;
        Ok(relay)
    }

    /// Tries to deliver one message and settles it: a failed message is deferred, a message that is too old or
    /// unreadable goes to the dead-letter queue.
    ///
    /// Calls `on_slow` when a pool leaves the post unanswered for longer than it should, so that the caller can start
    /// another delivery in parallel.
    pub async fn process(&self, message: &ReceivedMessage, on_slow: &mut (dyn FnMut() + Send)) -> Settlement {
        let event = QueuedEvent::from_message(&message.body, &message.payload);
        let request_id = event.as_ref().map_or("-", |event| event.request_id.as_str());
        let span = tracing::info_span!("delivery", requestId = request_id, attempt = message.receive_count);
        self.settle(message, event.as_ref().ok(), on_slow).instrument(span).await
    }

    async fn settle(
        &self,
        message: &ReceivedMessage,
        event: Option<&QueuedEvent>,
        on_slow: &mut (dyn FnMut() + Send),
    ) -> Settlement {
        let Some(event) = event else {
            tracing::error!(message = message.id, "a message in the queue is not an event");
            return self.dead_letter(message).await;
        };
        // Checked before another try: otherwise a hanging pool would keep an expired event alive for ever.
        if event.kind == EventKind::Invocation && is_older_than(INVOCATION_LIFETIME, message, self.clock.now()) {
            let reason = "the interaction or slash command can't be answered any more";
            return self.drop(event, reason);
        }
        if is_older_than(GIVE_UP_AFTER, message, self.clock.now()) {
            tracing::error!(channel = %event.channel, "not delivered within 24 hours");
            return self.dead_letter(message).await;
        }
        let started = self.clock.now();
        let delivered = tokio::time::timeout(self.deadline, self.deliver(message, event, on_slow)).await;
        // A timed-out message keeps its lease and resumes under it.
        match delivered.unwrap_or_else(|_elapsed| DeliveryOutcome::Failed("the try took too long".to_owned())) {
            DeliveryOutcome::Delivered => {
                self.metrics.count(Metric::EventDelivered);
                let took = self.clock.now().duration_since(started).as_millis_f64();
                tracing::info!(channel = %event.channel, durationMs = took, "delivered");
                Settlement::Remove
            }
            DeliveryOutcome::Duplicate => {
                self.metrics.count(Metric::EventDuplicate);
                tracing::info!(channel = %event.channel, "was delivered before");
                Settlement::Remove
            }
            DeliveryOutcome::Dropped(reason) => self.drop(event, reason),
            DeliveryOutcome::Failed(reason) => {
                self.metrics.count(Metric::DeliveryFailed);
                let next_try = backoff::delay(message.receive_count).as_secs();
                tracing::warn!(channel = %event.channel, reason, nextTrySeconds = next_try, "not delivered, to be tried again");
                self.defer(message).await
            }
            DeliveryOutcome::Undeliverable(reason) => {
                tracing::error!(channel = %event.channel, reason, "not delivered, and no further try can succeed");
                self.dead_letter(message).await
            }
        }
    }

    fn drop(&self, event: &QueuedEvent, reason: &'static str) -> Settlement {
        self.metrics.count(Metric::EventsDropped);
        tracing::warn!(channel = %event.channel, reason, "dropped");
        Settlement::Remove
    }

    async fn defer(&self, message: &ReceivedMessage) -> Settlement {
        let delay = backoff::delay(message.receive_count);
        if let Err(error) = self.queue.defer(message, delay).await {
            // Not an error: the message comes back when its visibility time-out ends.
            report(&error, "the message was not deferred");
        }
        Settlement::Leave
    }

    async fn dead_letter(&self, message: &ReceivedMessage) -> Settlement {
        match self.queue.dead_letter(message).await {
            Ok(()) => {
                self.metrics.count(Metric::EventDeadLettered);
                Settlement::Remove
            }
            Err(error) => {
                report(&error, "the message was not moved to the dead letters");
                self.defer(message).await
            }
        }
    }
}

fn is_older_than(age: Duration, message: &ReceivedMessage, now: Timestamp) -> bool {
    now.duration_since(message.sent_at).unsigned_abs() >= age && now > message.sent_at
}

fn report(error: &QueueError, what: &str) {
    tracing::error!(%error, what, "queue");
}
