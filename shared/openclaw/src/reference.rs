//! What stands in a credential's place.

use portcullis_auth::ChannelId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The one key of the object that stands in a credential's place. A record's text never becomes an object.
pub(crate) const CREDENTIAL: &str = "$credential";

/// Which of a channel's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Credential of the bot at the platform: Slack's and Discord's bot token, Feishu's app secret.
    BotToken,
    /// Secret that signs deliveries to the pool: Slack's, and Feishu's where its events come by webhook.
    DeliverySecret,
}

/// Which credential, of which revision: another revision is another configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Reference {
    /// One of a channel's.
    Channel {
        /// The channel.
        channel: ChannelId,
        /// Which of its credentials.
        kind: CredentialKind,
        /// Raised each time that it is replaced.
        revision: u64,
    },
    /// The token of the pool's gateway, which is made once.
    Gateway,
    /// `LiteLLM`'s key.
    LiteLlm {
        /// Tells one key from another.
        revision: u64,
    },
}

impl Reference {
    pub(crate) fn placed(&self) -> Value {
        json!({ CREDENTIAL: self })
    }

    /// The reference that stands here, if one does.
    pub(crate) fn at(place: &Value) -> Option<Self> {
        let object = place.as_object().filter(|object| object.len() == 1)?;
        Self::deserialize(object.get(CREDENTIAL)?).ok()
    }
}
