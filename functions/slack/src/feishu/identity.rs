//! The idempotency key of a Feishu event, and the chat in which its order counts.

use bytes::Bytes;
use portcullis_runtime::queue::{ConversationKind, EventKind, MessageFacts, QueuedEvent};
use portcullis_store::Channel;

use super::body::Body;
use crate::identity::{Queued, digest, of_raw_body};

/// Makes the queue's message of an event. `delivered` is the body that goes to the pool.
pub fn identify(channel: &Channel, body: &Body<'_>, delivered: String, kind: EventKind) -> Queued {
    let ours = channel.id.as_str();
    let delivered = Bytes::from(delivered);
    let identity = match body.event_id() {
        Some(id) => digest("event_id", &[ours, id]),
        None => of_raw_body(ours, &delivered),
    };
    // An event without a chat is a conversation of its own, so that it holds up nothing.
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
            request_id: String::new(),
            identity,
            kind,
            message,
            content_type: "application/json".to_owned(),
            body: delivered,
        },
    }
}
