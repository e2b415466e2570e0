//! The idempotency key of an event, and the conversation in which its order counts.

use bytes::Bytes;
use portcullis_crypto::Digest;
use portcullis_runtime::queue::{ConversationKind, EventKind, MessageFacts, QueuedEvent};
use portcullis_store::Channel;

use crate::{
    body::{Body, Event},
    invocation_body::Invocation,
};

/// The content type of every interaction and slash command: the pool's parser goes by it.
const FORM: &str = "application/x-www-form-urlencoded";

/// An event that is ready to be queued.
#[derive(Clone)]
pub struct Queued {
    pub event: QueuedEvent,
    /// Events of one conversation are delivered in order.
    pub conversation: Digest,
}

/// Makes the queue's message of an event. Every digest includes our channel, so that another of our channels in the same
/// Slack channel gets its own copy.
pub fn identify(channel: &Channel, body: &Body<'_>, raw: &Bytes, content_type: &str) -> Queued {
    let ours = channel.id.as_str();
    let event = body.event();
    let identity = event
        .and_then(|event| occurrence(ours, event))
        .or_else(|| body.event_id.as_deref().map(|id| digest("event_id", &[ours, id])))
        // Events with neither `event_ts` nor `event_id` are deduplicated by their raw bytes.
        .unwrap_or_else(|| of_raw_body(ours, raw));
    let place = event.and_then(|event| Some((event.slack_channel()?, event.thread())));
    Queued {
        conversation: conversation(ours, place, identity),
        event: QueuedEvent {
            channel: channel.id.clone(),
            bot: channel.bot.clone(),
            request_id: String::new(),
            identity,
            kind: EventKind::Event,
            message: event.and_then(|event| message_facts(ours, event)),
            content_type: content_type.to_owned(),
            body: raw.clone(),
        },
    }
}

/// Makes the queue's message of an interaction or a slash command.
pub fn identify_invocation(channel: &Channel, invocation: &Invocation, raw: &Bytes) -> Queued {
    let ours = channel.id.as_str();
    let identity = match invocation.trigger() {
        Some(trigger) => digest("trigger_id", &[ours, trigger]),
        None => of_raw_body(ours, raw),
    };
    let place = invocation.slack_channel().map(|slack_channel| (slack_channel, invocation.thread()));
    Queued {
        conversation: conversation(ours, place, identity),
        event: QueuedEvent {
            channel: channel.id.clone(),
            bot: channel.bot.clone(),
            request_id: String::new(),
            identity,
            kind: EventKind::Invocation,
            message: None,
            content_type: FORM.to_owned(),
            body: raw.clone(),
        },
    }
}

fn of_raw_body(ours: &str, raw: &Bytes) -> Digest {
    Digest::of_parts(&[b"body", ours.as_bytes(), raw])
}

/// The conversation of a Slack channel and a thread in it.
fn conversation(ours: &str, place: Option<(&str, Option<&str>)>, identity: Digest) -> Digest {
    match place {
        Some((slack_channel, thread)) => digest("conversation", &[ours, slack_channel, thread.unwrap_or_default()]),
        // A conversation of its own: a shared one would have every event without a Slack channel wait behind the first
        // that the pool refuses.
        None => identity,
    }
}

/// The digest of what happened: Slack may report it twice under two ids, and an edited message under one `event_ts`.
fn occurrence(ours: &str, event: &Event<'_>) -> Option<Digest> {
    let (slack_channel, at) = (event.slack_channel()?, event.event_ts.as_deref()?);
    let or_empty = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let user = or_empty(event.user.as_deref());
    let kind = or_empty(event.kind.as_deref());
    let subtype = or_empty(event.subtype.as_deref());
    let edited = or_empty(event.edited_at());
    Some(digest("occurrence", &[ours, slack_channel, &user, at, &kind, &subtype, &edited]))
}

fn message_facts(ours: &str, event: &Event<'_>) -> Option<MessageFacts> {
    if !matches!(event.kind.as_deref(), Some("message" | "app_mention")) {
        return None;
    }
    let slack_channel = event.slack_channel()?;
    let kind = match event.channel_type.as_deref() {
        // The session of a direct message is named after the person; the author of the bot's own messages is the bot.
        _ if event.is_direct() && event.is_by_a_bot() => return None,
        _ if event.is_direct() => ConversationKind::Direct { user: event.author()?.to_owned() },
        Some("mpim") => ConversationKind::Group,
        _ => ConversationKind::Channel,
    };
    Some(MessageFacts {
        slack_channel: slack_channel.to_owned(),
        kind,
        thread: event.replied_thread().map(ToOwned::to_owned),
        counted_as: new_message(ours, slack_channel, event),
    })
}

/// The digest of a message that is new, the same for `message` and `app_mention`; `None` for an edit, a deletion or a
/// notice of the channel's.
fn new_message(ours: &str, slack_channel: &str, event: &Event<'_>) -> Option<Digest> {
    let is_new = matches!(
        event.subtype.as_deref(),
        None | Some("file_share" | "thread_broadcast" | "bot_message" | "me_message")
    ) && event.edited_at().is_none();
    let ts = event.ts.as_deref().or(event.event_ts.as_deref())?;
    is_new.then(|| digest("message", &[ours, slack_channel, ts]))
}

fn digest(kind: &str, parts: &[&str]) -> Digest {
    let parts: Vec<&[u8]> = std::iter::once(kind).chain(parts.iter().copied()).map(str::as_bytes).collect();
    Digest::of_parts(&parts)
}
