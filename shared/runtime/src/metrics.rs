//! Counters, written in CloudWatch's embedded metric format.
//!
//! Source: Amazon CloudWatch, "Specification: Embedded metric format". A line on standard output is a metric, with no
//! call to any API on the way of a request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use portcullis_auth::Clock;
use serde_json::json;

use crate::logging::LineSink;

/// The namespace that the template's alarms watch.
pub const NAMESPACE: &str = "Portcullis";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A sealed value did not open: an unknown key, a moved or damaged cell. Any is an alarm.
    SealedValueUnopened,
    /// The store or the queue throttled, timed out or could not be reached, and a request was answered 503.
    DependencyUnavailable,
    /// A credential was refused.
    Unauthenticated,
    /// A Slack event was accepted and durably queued.
    EventAccepted,
    /// Slack sent an event again that was accepted within the queue's memory, and the queue dropped it.
    EventRepeated,
    /// Slack told that it holds back events of an app that exceeded its rate limit.
    AppRateLimited,
    /// A Slack event reached its pool.
    EventDelivered,
    /// A Slack event was delivered before and was not delivered again.
    EventDuplicate,
    /// A queued event was dropped, because its bot, channel or pool is no more.
    EventsDropped,
    /// A delivery failed and will be tried again.
    DeliveryFailed,
    /// An event was moved to the dead-letter queue.
    EventDeadLettered,
    /// A secret could not be looked up again; the last good value serves on.
    SecretLookupFailed,
    /// A password was hashed, to be kept or to be compared.
    PasswordHashed,
    /// A mail was not taken for delivery.
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

    /// The metric's name in CloudWatch.
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

/// Counts, and writes each count where the function's log goes.
#[derive(Clone)]
pub struct Metrics {
    sink: Option<Arc<dyn LineSink>>,
    clock: Arc<dyn Clock>,
    function: Arc<str>,
    totals: Arc<[AtomicU64; Metric::ALL.len()]>,
}

impl Metrics {
    /// Counters of this function that write each count to `sink`, or that only add up where there is none.
    #[must_use]
    pub fn new(function: &str, clock: Arc<dyn Clock>, sink: Option<Arc<dyn LineSink>>) -> Self {
        Self { sink, clock, function: function.into(), totals: Arc::default() }
    }

    /// Counts one.
    pub fn count(&self, metric: Metric) {
        self.totals[metric as usize].fetch_add(1, Ordering::Relaxed);
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

    /// How often this has been counted since the start.
    #[must_use]
    pub fn total(&self, metric: Metric) -> u64 {
        self.totals[metric as usize].load(Ordering::Relaxed)
    }
}
