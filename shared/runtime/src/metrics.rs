//! Counters in CloudWatch's embedded metric format: a line on standard output is a metric, so a request waits for no
//! API call.
//!
//! Source: Amazon CloudWatch, "Specification: Embedded metric format".

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use portcullis_auth::Clock;
use serde_json::json;

use crate::logging::LineSink;

/// Namespace that the template's alarms watch.
pub const NAMESPACE: &str = "Portcullis";

/// A counted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A sealed value did not open: its key is unknown, or its cell was moved or damaged. Any count raises an alarm.
    SealedValueUnopened,
    /// The store or the queue throttled, timed out or could not be reached, and a request got a 503.
    DependencyUnavailable,
    /// A credential was refused.
    Unauthenticated,
    /// An event was accepted and durably queued.
    EventAccepted,
    /// The queue dropped a repeated event within its deduplication window.
    EventRepeated,
    /// Slack reported that it holds back events of an app that exceeded its rate limit.
    AppRateLimited,
    /// An event reached its pool.
    EventDelivered,
    /// An event was delivered before and was not delivered again.
    EventDuplicate,
    /// A queued event was dropped, because its bot or channel is inactive or no longer exists, or it is an expired
    /// interaction.
    EventsDropped,
    /// A delivery failed and will be tried again.
    DeliveryFailed,
    /// An event was moved to the dead-letter queue.
    EventDeadLettered,
    /// A secret could not be looked up again; the last good value stays in use.
    SecretLookupFailed,
    /// A password was hashed, to store it or to compare it.
    PasswordHashed,
    /// The mail service did not accept a mail.
    MailFailed,
    /// A handler panicked.
    Panic,
}

impl Metric {
    const ALL: [Self; 15] = [
        Self::SealedValueUnopened,
        Self::DependencyUnavailable,
        Self::Unauthenticated,
        Self::EventAccepted,
        Self::EventRepeated,
        Self::AppRateLimited,
        Self::EventDelivered,
        Self::EventDuplicate,
        Self::EventsDropped,
        Self::DeliveryFailed,
        Self::EventDeadLettered,
        Self::SecretLookupFailed,
        Self::PasswordHashed,
        Self::MailFailed,
        Self::Panic,
    ];

    /// Returns the metric's name in CloudWatch.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SealedValueUnopened => "SealedValueUnopened",
            Self::DependencyUnavailable => "DependencyUnavailable",
            Self::Unauthenticated => "Unauthenticated",
            Self::EventAccepted => "EventAccepted",
            Self::EventRepeated => "EventRepeated",
            Self::AppRateLimited => "AppRateLimited",
            Self::EventDelivered => "EventDelivered",
            Self::EventDuplicate => "EventDuplicate",
            Self::EventsDropped => "EventsDropped",
            Self::DeliveryFailed => "DeliveryFailed",
            Self::EventDeadLettered => "EventDeadLettered",
            Self::SecretLookupFailed => "SecretLookupFailed",
            Self::PasswordHashed => "PasswordHashed",
            Self::MailFailed => "MailFailed",
            Self::Panic => "Panic",
        }
    }
}

/// Counters that write each count to the function's log.
#[derive(Clone)]
pub struct Metrics {
    sink: Option<Arc<dyn LineSink>>,
    clock: Arc<dyn Clock>,
    function: Arc<str>,
    totals: Arc<[AtomicU64; Metric::ALL.len()]>,
}

impl Metrics {
    /// Creates the counters of this function. They write each count to `sink`; without a sink they only add up.
    #[must_use]
    pub fn new(function: &str, clock: Arc<dyn Clock>, sink: Option<Arc<dyn LineSink>>) -> Self {
        Self { sink, clock, function: function.into(), totals: Arc::default() }
    }

    /// Adds one to a counter.
    pub fn count(&self, metric: Metric) {
        self.counter(metric).fetch_add(1, Ordering::Relaxed);
        let Some(sink) = &self.sink else { return };
        let line = json!({
            "_aws": {
                "Timestamp": self.clock.now().as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [{ "Name": metric.name(), "Unit": "Count" }],
                }],
            },
            "FunctionName": &*self.function,
            metric.name(): 1,
        });
        sink.write_line(&line.to_string());
    }

    /// Returns the count since the start.
    #[must_use]
    pub fn total(&self, metric: Metric) -> u64 {
        self.counter(metric).load(Ordering::Relaxed)
    }

    #[expect(clippy::indexing_slicing, reason = "there is a counter for each metric")]
    fn counter(&self, metric: Metric) -> &AtomicU64 {
        &self.totals[metric as usize]
    }
}
