//! Chat platforms, and the ways in which their events reach a bot.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A chat platform; `channelType` in the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum ChatPlatform {
    #[default]
    Slack,
    Discord,
    Feishu,
}

impl ChatPlatform {
    const ALL: [Self; 3] = [Self::Slack, Self::Discord, Self::Feishu];

    /// Word in the API, in session keys and in OpenClaw's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Feishu => "feishu",
        }
    }

    /// Name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Feishu => "Feishu",
        }
    }
}

impl fmt::Display for ChatPlatform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Error: not a chat platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be slack, discord or feishu")]
pub struct InvalidChatPlatform;

impl FromStr for ChatPlatform {
    type Err = InvalidChatPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidChatPlatform> {
        Self::ALL.into_iter().find(|platform| platform.as_str() == text).ok_or(InvalidChatPlatform)
    }
}

/// Way in which a channel's events reach its bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionMode {
    /// The platform posts them to the control plane, which delivers them to the bot's pool.
    Webhook,
    /// The bot's pool opens a connection to the platform.
    Websocket,
}

impl ConnectionMode {
    /// Word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Websocket => "websocket",
        }
    }
}

impl fmt::Display for ConnectionMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Error: not a connection mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be webhook or websocket")]
pub struct InvalidConnectionMode;

impl FromStr for ConnectionMode {
    type Err = InvalidConnectionMode;

    fn from_str(text: &str) -> Result<Self, InvalidConnectionMode> {
        [Self::Webhook, Self::Websocket].into_iter().find(|mode| mode.as_str() == text).ok_or(InvalidConnectionMode)
    }
}
