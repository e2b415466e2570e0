//! What makes two requests the same event, and which events must keep their order.

use portcullis_crypto::Digest;
use portcullis_runtime::queue::{MessageFacts, QueuedEvent};
use portcullis_store::Channel;

use crate::body::{Body, Event};

/// How an event is queued: its content, and where it stands among others.
#[derive(Clone)]
pub struct Queued {
    pub event: QueuedEvent,
    /// Events of one conversation keep their order.
    pub conversation: Digest,
    /// Two requests with the same one are one event.
    pub identity: Digest,
}

/// Names an event within one of our channels, so that another of our channels in the same Slack channel gets its own.
pub fn identify(channel: &Channel, body: &Body<'_>, raw: &str, content_type: &str) -> Queued {
    let ours = channel.id.as_str();
    let event = body.event();
    let event_id = body.event_id.as_deref().map(|id| digest("event_id", &[ours, id]));
    let occurrence = event.and_then(|event| occurrence(ours, event));
    // What names itself in neither way, such as `app_rate_limited`, is the same where its bytes are.
    let identity = occurrence.or(event_id).unwrap_or_else(|| digest("body", &[ours, raw]));
    let slack_channel = event.and_then(|event| event.channel.as_deref()).unwrap_or_default();
    let thread = event.and_then(|event| event.thread_ts.as_deref()).unwrap_or_default();
    let event_id = event_id.or_else(|| occurrence.is_none().then_some(identity));
    Queued {
        event: QueuedEvent {
            channel: channel.id.clone(),
            bot: channel.bot.clone(),
            request_id: String::new(),
            event_id,
            occurrence,
            message: event.and_then(message_facts),
            content_type: content_type.to_owned(),
            body: raw.to_owned(),
        },
        conversation: digest("conversation", &[ours, slack_channel, thread]),
        identity,
    }
}

/// What an event is about, where it happened in a Slack channel at a time: Slack may tell it twice under two ids.
fn occurrence(ours: &str, event: &Event<'_>) -> Option<Digest> {
    let (slack_channel, at) = (event.channel.as_deref()?, event.event_ts.as_deref()?);
    let user = event.user.as_deref().unwrap_or_default();
    let kind = event.kind.as_deref().unwrap_or_default();
    Some(digest("occurrence", &[ours, slack_channel, user, at, kind]))
}

fn message_facts(event: &Event<'_>) -> Option<MessageFacts> {
    if !matches!(event.kind.as_deref(), Some("message" | "app_mention")) {
        return None;
    }
    let slack_channel = event.channel.as_deref()?;
    let is_direct = event.channel_type.as_deref() == Some("im");
    let direct_user = if is_direct { Some(event.user.as_deref()?.to_owned()) } else { None };
    let thread = event.thread_ts.as_deref().map(ToOwned::to_owned);
    Some(MessageFacts { slack_channel: slack_channel.to_owned(), direct_user, thread })
}

fn digest(kind: &str, parts: &[&str]) -> Digest {
    let parts: Vec<&[u8]> = std::iter::once(kind).chain(parts.iter().copied()).map(str::as_bytes).collect();
    Digest::of_parts(&parts)
}
