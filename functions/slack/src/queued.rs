//! Conversion of a verified Slack request to a queue message: its idempotency key, and the conversation within which
//! order is kept.

use bytes::Bytes;
use portcullis_crypto::Digest;
use portcullis_runtime::queue::{ConversationKind, EventKind, MessageFacts, QueuedEvent};
use portcullis_store::Channel;

use crate::{
    body::{Body, Event},
    invocation_body::Invocation,
};

/// Content type of every interaction and slash command, which the pool's parser depends on.
const FORM: &str = "application/x-www-form-urlencoded";

/// An event that is ready to be queued.
#[derive(Clone)]
pub struct Queued {
    pub event: QueuedEvent,
    /// Message group of the queue: events of one conversation are delivered in order.
    pub conversation: Digest,
}

impl Queued {
    /// Converts a Slack event. `request_id` is the id of the HTTP request that brought it.
    pub fn event(channel: &Channel, body: &Body<'_>, raw: Bytes, content_type: &str, request_id: String) -> Self {
        let (ours, event) = (channel.id.as_str(), body.event());
        let identity = body.identity(ours, &raw);
        let place = event.and_then(|event| Some((event.slack_channel()?, event.thread())));
        Self {
            conversation: conversation(ours, place, identity),
            event: QueuedEvent {
                channel: channel.id.clone(),
                bot: channel.bot.clone(),
                request_id,
                identity,
                kind: EventKind::Event,
                message: event.and_then(|event| message_facts(ours, event)),
                content_type: content_type.to_owned(),
                body: raw,
            },
        }
    }

    /// Converts an interaction or a slash command. `request_id` is the id of the HTTP request that brought it.
    pub fn invocation(channel: &Channel, invocation: &Invocation, raw: Bytes, request_id: String) -> Self {
        let ours = channel.id.as_str();
        let identity = invocation.identity(ours, &raw);
        let place = invocation.slack_channel().map(|slack_channel| (slack_channel, invocation.thread()));
        Self {
            conversation: conversation(ours, place, identity),
            event: QueuedEvent {
                channel: channel.id.clone(),
                bot: channel.bot.clone(),
                request_id,
                identity,
                kind: EventKind::Invocation,
                message: None,
                content_type: FORM.to_owned(),
                body: raw,
            },
        }
    }
}

impl Body<'_> {
    /// Idempotency key of the event within our channel `ours`: each of our channels in one Slack channel gets its own
    /// copy of the event.
    fn identity(&self, ours: &str, raw: &Bytes) -> Digest {
        let occurrence = self.event().and_then(|event| occurrence(ours, event));
        let id = || self.event_id.as_deref().map(|id| digest("event_id", &[ours, id]));
        // Events with neither `event_ts` nor `event_id` are deduplicated by their raw bytes.
        occurrence.or_else(id).unwrap_or_else(|| of_raw_body(ours, raw))
    }
}

impl Invocation {
    /// Idempotency key of the interaction or slash command within our channel `ours`.
    fn identity(&self, ours: &str, raw: &Bytes) -> Digest {
        self.trigger().map_or_else(|| of_raw_body(ours, raw), |trigger| digest("trigger_id", &[ours, trigger]))
    }
}

/// Idempotency key of an event without an id: a digest of its raw body.
pub fn of_raw_body(ours: &str, raw: &Bytes) -> Digest {
    Digest::of_parts(&[b"body", ours.as_bytes(), raw])
}

/// Message group of a Slack channel and a thread in it.
fn conversation(ours: &str, place: Option<(&str, Option<&str>)>, identity: Digest) -> Digest {
    match place {
        Some((slack_channel, thread)) => digest("conversation", &[ours, slack_channel, thread.unwrap_or_default()]),
        // A group of its own: a shared one would suffer head-of-line blocking behind the first event that the pool
        // refuses.
        None => identity,
    }
}

/// Digest of an occurrence: Slack may report one occurrence under two event ids, and edits of a message under one
/// `event_ts`.
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
        // A direct message's session is named after the person, but the author of the bot's own messages is the bot.
        _ if event.is_direct() && event.is_by_a_bot() => return None,
        _ if event.is_direct() => ConversationKind::Direct { user: event.author()?.to_owned() },
        Some("mpim") => ConversationKind::Group,
        _ => ConversationKind::Channel,
    };
    Some(MessageFacts {
        chat: slack_channel.to_owned(),
        kind,
        thread: event.replied_thread().map(ToOwned::to_owned),
        counted_as: new_message(ours, slack_channel, event),
    })
}

/// Digest of a new message, the same for `message` and `app_mention`; `None` for an edit, a deletion or a notice of
/// the Slack channel.
fn new_message(ours: &str, slack_channel: &str, event: &Event<'_>) -> Option<Digest> {
    let is_new = matches!(
        event.subtype.as_deref(),
        None | Some("file_share" | "thread_broadcast" | "bot_message" | "me_message")
    ) && event.edited_at().is_none();
    let ts = event.ts.as_deref().or(event.event_ts.as_deref())?;
    is_new.then(|| digest("message", &[ours, slack_channel, ts]))
}

/// Digest of a kind and its parts: digests of different kinds never collide.
pub fn digest(kind: &str, parts: &[&str]) -> Digest {
    let parts: Vec<&[u8]> = std::iter::once(kind).chain(parts.iter().copied()).map(str::as_bytes).collect();
    Digest::of_parts(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(event: &str) -> Option<MessageFacts> {
        let json = format!(r#"{{"type":"event_callback","event":{event}}}"#);
        let body = Body::parse(&json).unwrap();
        message_facts("ours", body.event().unwrap())
    }

    fn occurred(event: &str) -> Option<Digest> {
        let json = format!(r#"{{"type":"event_callback","event":{event}}}"#);
        let body = Body::parse(&json).unwrap();
        occurrence("ours", body.event().unwrap())
    }

    /// Returns a message in a Slack channel of this type, with further fields.
    fn message(channel_type: &str, more: &str) -> String {
        format!(
            r#"{{"type":"message","channel":"C1","channel_type":"{channel_type}","user":"U1","ts":"1.1","event_ts":"1.1"{more}}}"#
        )
    }

    #[test]
    fn the_kind_of_a_conversation_is_its_channels() {
        let kind = |channel_type: &str| facts(&message(channel_type, "")).map(|facts| facts.kind);
        assert_eq!(kind("channel"), Some(ConversationKind::Channel));
        assert_eq!(kind("group"), Some(ConversationKind::Channel));
        assert_eq!(kind("mpim"), Some(ConversationKind::Group));
        assert_eq!(kind("im"), Some(ConversationKind::Direct { user: "U1".to_owned() }));
    }

    #[test]
    fn only_messages_have_facts_and_the_bots_own_direct_ones_have_none() {
        assert!(facts(&message("channel", r#","bot_id":"B1""#)).is_some(), "another bot's in a channel");
        assert_eq!(facts(&message("im", r#","bot_id":"B1""#)), None);
        assert_eq!(facts(r#"{"type":"reaction_added","channel":"C1","user":"U1","event_ts":"1.1"}"#), None);
        assert!(facts(r#"{"type":"app_mention","channel":"C1","user":"U1","ts":"1.1","event_ts":"1.1"}"#).is_some());
        assert_eq!(facts(r#"{"type":"message","user":"U1","ts":"1.1"}"#), None, "without a channel");
    }

    #[test]
    fn a_new_message_counts_once_also_as_a_mention_and_an_edit_does_not() {
        let counted = |event: &str| facts(event).and_then(|facts| facts.counted_as);
        let new = counted(&message("channel", ""));
        assert!(new.is_some());
        let mention = r#"{"type":"app_mention","channel":"C1","user":"U1","ts":"1.1","event_ts":"1.1"}"#;
        assert_eq!(counted(mention), new);
        assert_ne!(counted(&message("channel", "").replace("1.1", "1.2")), new);
        for subtype in ["file_share", "thread_broadcast", "bot_message", "me_message"] {
            assert_eq!(counted(&message("channel", &format!(r#","subtype":"{subtype}""#))), new, "{subtype}");
        }
        for other in [r#","subtype":"message_changed""#, r#","subtype":"channel_join""#, r#","edited":{"ts":"1.2"}"#] {
            assert_eq!(counted(&message("channel", other)), None, "{other}");
        }
    }

    #[test]
    fn an_occurrence_is_one_digest_of_place_time_person_and_kind() {
        let first = occurred(&message("channel", ""));
        assert!(first.is_some());
        assert_eq!(occurred(&message("channel", "")), first);
        for other in [
            message("channel", "").replace("C1", "C2"),
            message("channel", "").replace("U1", "U2"),
            message("channel", "").replace("1.1", "1.2"),
            message("channel", r#","subtype":"file_share""#),
            message("channel", r#","edited":{"ts":"1.2"}"#),
        ] {
            assert_ne!(occurred(&other), first, "{other}");
        }
        assert_eq!(occurred(r#"{"type":"message","channel":"C1"}"#), None, "without its time");
        assert_eq!(occurred(r#"{"type":"team_join","event_ts":"1.1"}"#), None, "without a channel");
    }
}
