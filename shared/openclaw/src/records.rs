//! Records that a configuration is built from.

use std::collections::BTreeMap;

use portcullis_auth::{BotId, ChannelId};

use crate::reference::CredentialKind;

/// All records of one pool's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRecords {
    /// Active bots of the pool.
    pub bots: Vec<BotRecord>,
    /// Ids of all bots of the pool, paused ones too: agents' names must be unique among all of them.
    pub bot_ids: Vec<BotId>,
    /// `LiteLLM` proxy of all models; if absent, each model's id names its own provider.
    pub lite_llm: Option<LiteLlm>,
}

/// An active bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotRecord {
    /// Id of the bot.
    pub id: BotId,
    /// Display name.
    pub name: String,
    /// Id of its model.
    pub model: String,
    /// The owner's instructions to the model.
    pub system_prompt: Option<String>,
    /// Connected channels.
    pub channels: Vec<ChannelRecord>,
}

/// A connected channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Id of the channel.
    pub id: ChannelId,
    /// Account name of the channel, unique in its pool.
    pub account: String,
    /// Platform of the channel.
    pub platform: PlatformApp,
    /// Revisions of the credentials that the channel has.
    pub credentials: BTreeMap<CredentialKind, u64>,
}

/// Platform of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformApp {
    /// Slack. Its events reach the pool over HTTP, signed with the delivery secret.
    Slack,
    /// Discord. The pool opens a connection to it.
    Discord {
        /// Id of the application.
        application_id: String,
    },
    /// Feishu. Its events reach the pool by webhook, or over a connection that the pool opens.
    Feishu {
        /// Id of the app.
        app_id: String,
        /// Port on which the pool receives the app's events, encrypted and signed with the delivery secret; `None` if
        /// the pool opens a connection to Feishu instead.
        webhook_port: Option<u16>,
    },
}

impl PlatformApp {
    /// Name of the platform in `OpenClaw`'s configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord { .. } => "discord",
            Self::Feishu { .. } => "feishu",
        }
    }
}

/// A `LiteLLM` proxy that provides the models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteLlm {
    /// Base URL of the proxy.
    pub base_url: String,
    /// Revision of the key: distinguishes keys without revealing them.
    pub key_revision: u64,
}
