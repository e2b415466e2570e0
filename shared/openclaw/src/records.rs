//! The records that a configuration is built from.

use std::collections::BTreeMap;

use portcullis_auth::{BotId, ChannelId};

use crate::reference::CredentialKind;

/// The records that a pool's configuration is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRecords {
    /// Its active bots.
    pub bots: Vec<BotRecord>,
    /// The ids of every bot of the pool, paused ones too: agents are named among all of them.
    pub bot_ids: Vec<BotId>,
    /// The models that all of them speak through; where absent, each model's id names its own provider.
    pub lite_llm: Option<LiteLlm>,
}

/// An active bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotRecord {
    /// Its id.
    pub id: BotId,
    /// Its name, as people read it.
    pub name: String,
    /// The model that it speaks with.
    pub model: String,
    /// What its owner tells the model.
    pub system_prompt: Option<String>,
    /// Its connected channels.
    pub channels: Vec<ChannelRecord>,
}

/// A connected channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its id.
    pub id: ChannelId,
    /// The account under which the pool knows it; no two channels of a pool share one.
    pub account: String,
    /// Where it is.
    pub platform: Platform,
    /// The credentials that it has, with their revisions.
    pub credentials: BTreeMap<CredentialKind, u64>,
}

/// Where a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Slack, whose events come to the pool over HTTP, signed with the delivery secret.
    Slack,
    /// Discord, which the pool connects to.
    Discord {
        /// The application's id.
        application_id: String,
    },
    /// Feishu.
    Feishu {
        /// The app's id.
        app_id: String,
        /// Port at which the pool takes the app's events, encrypted and signed with the delivery secret; `None` where the pool
        /// opens a connection to Feishu instead.
        webhook_port: Option<u16>,
    },
}

impl Platform {
    /// What `OpenClaw` calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord { .. } => "discord",
            Self::Feishu { .. } => "feishu",
        }
    }
}

/// Models by way of `LiteLLM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteLlm {
    /// Where it listens.
    pub base_url: String,
    /// Tells one key from another, and nothing of either.
    pub key_revision: u64,
}
