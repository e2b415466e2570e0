//! What stands in the queue: an accepted Slack event, and what was found out about it before it was accepted.

use portcullis_auth::{BotId, ChannelId};
use portcullis_crypto::Digest;
use serde::{Deserialize, Serialize};

/// An accepted Slack event on its way to its bot's pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedEvent {
    /// The connected channel that it was verified for; nothing is looked up again from the body.
    pub channel: ChannelId,
    /// The channel's bot.
    pub bot: BotId,
    /// The id of the request that brought it, which goes with it to the pool.
    pub request_id: String,
    /// The digest of our channel and Slack's `event_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Digest>,
    /// The digest of what the event is about: our channel, and Slack's channel, user, `event_ts` and type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<Digest>,
    /// What a message event says of its conversation; `None` for other events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageFacts>,
    /// The content type that Slack sent.
    pub content_type: String,
    /// The raw body, to the byte.
    pub body: String,
}

/// What a message event says of its conversation, with Slack's own ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageFacts {
    /// Slack's id of the channel.
    pub slack_channel: String,
    /// The other person in a direct message; `None` in a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_user: Option<String>,
    /// The thread that the message stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}
