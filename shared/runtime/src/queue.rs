//! The queue between accepting a Slack event and delivering it.
//!
//! First in, first out within a group; a group whose first message waits holds up no other group. It is SQS FIFO on AWS
//! ([`SqsQueue`]) and a SQLite file on this machine; the same tests hold for both.

mod event;
mod sqs;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use portcullis_crypto::Digest;

pub use event::{ConversationKind, EventKind, MessageFacts, QueuedEvent, UnreadableEvent};
pub use sqs::{PAYLOAD_ATTRIBUTE, SqsQueue};

/// How long a queue remembers a deduplication id. Source: Amazon SQS, "Exactly-once processing in Amazon SQS".
pub const DEDUPLICATION_WINDOW: Duration = Duration::from_mins(5);

/// How long a received message stays invisible unless it is deferred: 6 × the relay's time-out of 30 s, as AWS advises
/// for an event source mapping.
pub const VISIBILITY: Duration = Duration::from_mins(3);

/// The future that a queue's operation returns.
pub type QueueFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Messages of one group are delivered in the order in which they were sent.
    pub group: Digest,
    /// A second message with the same id within [`DEDUPLICATION_WINDOW`] is accepted and dropped.
    pub deduplication: Digest,
    /// Text of characters that XML allows (<https://www.w3.org/TR/REC-xml/#charsets>), not empty.
    pub body: String,
    /// Bytes that travel beside the text; both together up to 1 MiB.
    pub payload: Bytes,
}

/// A message that was received and is now invisible to others.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    /// The message's own id: the same at each receipt.
    pub id: String,
    /// What names this receipt.
    pub receipt: String,
    /// The group, as hex.
    pub group: String,
    /// The deduplication id, as hex.
    pub deduplication: String,
    /// The text that was sent.
    pub body: String,
    /// The bytes that were sent.
    pub payload: Bytes,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How often it has been received, this time included.
    pub receive_count: u32,
}

/// Why the queue did not do what it was asked. No variant holds anything of a message.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It could not be reached, was slow, or throttled: worth another try.
    #[error("the queue is unavailable: {0}")]
    Unavailable(String),
    /// It refused: the same call would be refused again.
    #[error("the queue refused: {0}")]
    Refused(String),
}

/// A first-in-first-out queue by groups.
pub trait EventQueue: Send + Sync {
    /// Opens the connection, so that the first message doesn't wait for it. A failure is left to the first call.
    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    /// Stores a message. Once this returns, the message survives the death of this process.
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()>;

    /// Up to `limit` (1–10) messages that are due, at most one a group here unless the queue hands out more; waits up to
    /// `wait` for the first.
    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>>;

    /// Makes a received message due again after `delay`; its group waits for it.
    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()>;

    /// Removes a received message for good.
    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()>;

    /// Copies a received message into the dead-letter queue. It is then still to be acknowledged.
    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()>;
}
