//! References that stand in for credentials in a stored configuration.

use portcullis_auth::ChannelId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The only key of a reference's object. A record's text never becomes an object.
pub(crate) const CREDENTIAL: &str = "$credential";

/// Kind of a channel's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Credential of the bot at the platform: Slack's and Discord's bot token, Feishu's app secret.
    BotToken,
    /// Secret that signs deliveries to the pool: Slack's, and Feishu's where its events come by webhook.
    DeliverySecret,
}

/// Reference to a credential of a certain revision: another revision makes another configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Reference {
    /// A channel's credential.
    Channel {
        /// Id of the channel.
        channel: ChannelId,
        /// Kind of the credential.
        kind: CredentialKind,
        /// Revision, raised at each replacement.
        revision: u64,
    },
    /// Token of the pool's gateway, which never changes.
    Gateway,
    /// Key of the `LiteLLM` proxy.
    LiteLlm {
        /// Revision of the key.
        revision: u64,
    },
}

impl Reference {
    pub(crate) fn placed(&self) -> Value {
        json!({ CREDENTIAL: self })
    }

    /// Parses the reference in this place, if it is one.
    pub(crate) fn at(place: &Value) -> Option<Self> {
        let object = place.as_object().filter(|object| object.len() == 1)?;
        Self::deserialize(object.get(CREDENTIAL)?).ok()
    }
}
