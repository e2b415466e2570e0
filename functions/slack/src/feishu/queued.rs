//! Conversion of a verified Feishu event to a queue message: its idempotency key, and the chat within which order is
//! kept.

use bytes::Bytes;
use portcullis_crypto::Digest;
use portcullis_runtime::queue::{ConversationKind, EventKind, MessageFacts, QueuedEvent};
use portcullis_store::Channel;

use super::body::Body;
use crate::queued::{Queued, digest, of_raw_body};

/// Converts an event or a card's action. `delivered` is the body for the pool; `request_id` is the id of the HTTP
/// request.
pub fn queued(channel: &Channel, body: &Body<'_>, delivered: String, kind: EventKind, request_id: String) -> Queued {
    let ours = channel.id.as_str();
    let delivered = Bytes::from(delivered);
    let identity = body.identity(ours, &delivered);
    // An event without a chat gets a message group of its own, so that it blocks no other event.
    let conversation = body.chat().map_or(identity, |chat| digest("conversation", &[ours, chat]));
    let message = body.received_message().map(|received| MessageFacts {
        chat: received.chat.to_owned(),
        kind: match received.direct {
            Some(person) => ConversationKind::Direct { user: person.to_owned() },
            None => ConversationKind::Group,
        },
        thread: None,
        counted_as: Some(digest("message", &[ours, received.chat, received.message])),
    });
    Queued {
        conversation,
        event: QueuedEvent {
            channel: channel.id.clone(),
            bot: channel.bot.clone(),
            request_id,
            identity,
            kind,
            message,
            content_type: "application/json".to_owned(),
            body: delivered,
        },
    }
}

impl Body<'_> {
    /// Idempotency key of the event within our channel `ours`.
    fn identity(&self, ours: &str, delivered: &Bytes) -> Digest {
        self.event_id().map_or_else(|| of_raw_body(ours, delivered), |id| digest("event_id", &[ours, id]))
    }
}
