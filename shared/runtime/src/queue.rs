//! The queue between the acceptance of an event and its delivery.
//!
//! Order is first in, first out within a group; groups do not block each other. On AWS it is SQS FIFO ([`SqsQueue`]),
//! on a developer's machine a SQLite file; the same tests cover both.

mod event;
mod sqs;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use portcullis_crypto::Digest;

pub use event::{ConversationKind, EventKind, MessageFacts, QueuedEvent, UnreadableEvent};
pub use sqs::{PAYLOAD_ATTRIBUTE, SqsQueue};

/// Time for which a queue remembers a deduplication id. Source: Amazon SQS, "Exactly-once processing in Amazon SQS".
pub const DEDUPLICATION_WINDOW: Duration = Duration::from_mins(5);

/// Visibility time-out of a received message: 6 × the relay's time-out of 30 s, as AWS advises for an event source
/// mapping.
pub const VISIBILITY: Duration = Duration::from_mins(3);

/// Future of a queue's operation.
pub type QueueFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// A message to send.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Message group: its messages are delivered in the order in which they were sent.
    pub group: Digest,
    /// Deduplication id: a second message with the same id within [`DEDUPLICATION_WINDOW`] is accepted and dropped.
    pub deduplication: Digest,
    /// Text of characters that XML allows (<https://www.w3.org/TR/REC-xml/#charsets>), not empty.
    pub body: String,
    /// Bytes beside the text; both together up to 1 MiB.
    pub payload: Bytes,
}

/// A received message, which is now invisible to other receivers.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    /// Id of the message, the same at each receipt.
    pub id: String,
    /// Handle of this receipt.
    pub receipt: String,
    /// Message group, in hex.
    pub group: String,
    /// Deduplication id, in hex.
    pub deduplication: String,
    /// Text of the message.
    pub body: String,
    /// Bytes beside the text.
    pub payload: Bytes,
    /// Time at which the message was sent.
    pub sent_at: Timestamp,
    /// Number of receipts, including this one.
    pub receive_count: u32,
}

/// Reason for which a queue's operation failed. No variant contains any part of a message.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue could not be reached, was slow, or throttled: a retry may succeed.
    #[error("the queue is unavailable: {0}")]
    Unavailable(String),
    /// The queue refused the call: a retry would fail again.
    #[error("the queue refused: {0}")]
    Refused(String),
}

/// A queue that is first in, first out within a group.
pub trait EventQueue: Send + Sync {
    /// Opens the connection, so that the first message does not wait for it. A failure is left to the first call.
    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    /// Stores a message. Once this returns, the message survives the death of this process.
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()>;

    /// Returns up to `limit` (1–10) due messages, at most one per group unless the queue hands out more. Waits up to
    /// `wait` for the first.
    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>>;

    /// Makes a received message due again after `delay`. The messages behind it in its group wait.
    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()>;

    /// Removes a received message.
    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()>;

    /// Copies a received message to the dead-letter queue. The caller must still acknowledge it.
    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()>;
}
