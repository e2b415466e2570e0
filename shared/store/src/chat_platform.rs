//! Chat platforms, and the ways in which their events reach a bot.

use portcullis_contract::words;

words! {
    /// A chat platform; `channelType` in the API.
    pub enum ChatPlatform {
        /// Slack.
        Slack = "slack",
        /// Discord.
        Discord = "discord",
        /// Feishu.
        Feishu = "feishu",
    }
}

/// Slack: rows older than the other platforms name none.
impl Default for ChatPlatform {
    fn default() -> Self {
        Self::Slack
    }
}

impl ChatPlatform {
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

words! {
    /// Way in which a channel's events reach its bot.
    pub enum ConnectionMode {
        /// The platform posts them to the control plane, which delivers them to the bot's pool.
        Webhook = "webhook",
        /// The bot's pool opens a connection to the platform.
        Websocket = "websocket",
    }
}
