//! New channels, platform by platform.

use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, FeishuSecrets};
use secrecy::SecretString;

use super::{Channel, ChannelStatus, ConnectError};
use crate::{ChatPlatform, ConnectionMode, PlatformId, channel_credentials::BotToken};

/// A Slack channel to connect, or to reconnect with other credentials.
#[derive(Clone, Debug)]
pub struct NewSlackChannel {
    /// Id of the channel.
    pub id: ChannelId,
    /// Bot that it will belong to.
    pub bot: BotId,
    /// Team that the app is installed in, or the enterprise where it is installed org-wide.
    pub team_id: PlatformId,
    /// Slack app.
    pub app_id: PlatformId,
    /// Name of the team; where absent, the stored one stays.
    pub team_name: Option<String>,
    /// User of the bot on Slack; where absent, the stored one stays.
    pub bot_user_id: Option<String>,
    /// Token of the bot; where absent, the stored one stays.
    pub bot_token: Option<BotToken>,
    /// Source of the secret that verifies its app's events.
    pub signing: SigningSource,
    /// Secret that signs deliveries to the bot's pool; where absent, the stored one stays, and a channel without one
    /// gets a random one.
    pub delivery_secret: Option<SecretString>,
}

/// Source of the secret that verifies a channel's events.
#[derive(Clone, Debug)]
pub enum SigningSource {
    /// The platform's own signing secret, which is in no row.
    Platform,
    /// The secret of a customer's own app.
    Own(SecretString),
    /// The one that the channel has already.
    Stored,
    /// No secret: its events don't come by webhook.
    None,
}

/// A Discord channel to connect or reconnect: the bot's pool opens the connection.
#[derive(Clone, Debug)]
pub struct NewDiscordChannel {
    /// Id of the channel.
    pub id: ChannelId,
    /// Bot that it will belong to.
    pub bot: BotId,
    /// Discord application.
    pub app_id: PlatformId,
    /// Guild that the person named.
    pub guild_id: Option<PlatformId>,
    /// Name of the guild; where absent, the stored one stays.
    pub guild_name: Option<String>,
    /// User of the bot on Discord.
    pub bot_user_id: String,
    /// Token of the bot.
    pub bot_token: SecretString,
}

/// A Feishu channel to connect or reconnect.
#[derive(Clone, Debug)]
pub struct NewFeishuChannel {
    /// Id of the channel.
    pub id: ChannelId,
    /// Bot that it will belong to.
    pub bot: BotId,
    /// Feishu app.
    pub app_id: PlatformId,
    /// Name of the app, where Feishu gives it.
    pub app_name: Option<String>,
    /// `open_id` of the bot, where Feishu gives it.
    pub bot_user_id: Option<String>,
    /// Secret of the app.
    pub app_secret: SecretString,
    /// Secrets that verify webhook events; `None` where the bot's pool opens a connection to Feishu.
    pub webhook: Option<FeishuSecrets>,
}

/// A channel of any platform to connect.
#[derive(Clone, Debug)]
pub struct NewChannel {
    pub(super) id: ChannelId,
    pub(super) bot: BotId,
    platform: ChatPlatform,
    pub(super) connection_mode: ConnectionMode,
    team_id: Option<PlatformId>,
    app_id: PlatformId,
    account_id: String,
    team_name: Option<String>,
    bot_user_id: Option<String>,
    pub(super) bot_token: Option<BotToken>,
    pub(super) signing: SigningSource,
    pub(super) delivery_secret: Option<SecretString>,
}

impl From<NewSlackChannel> for NewChannel {
    fn from(new: NewSlackChannel) -> Self {
        Self {
            id: new.id,
            bot: new.bot,
            platform: ChatPlatform::Slack,
            connection_mode: ConnectionMode::Webhook,
            account_id: format!("slack-{}-{}", new.app_id, new.team_id),
            team_id: Some(new.team_id),
            app_id: new.app_id,
            team_name: new.team_name,
            bot_user_id: new.bot_user_id,
            bot_token: new.bot_token,
            signing: new.signing,
            delivery_secret: new.delivery_secret,
        }
    }
}

impl From<NewDiscordChannel> for NewChannel {
    fn from(new: NewDiscordChannel) -> Self {
        Self {
            id: new.id,
            bot: new.bot,
            platform: ChatPlatform::Discord,
            connection_mode: ConnectionMode::Websocket,
            account_id: format!("discord-{}", new.app_id),
            team_id: new.guild_id,
            app_id: new.app_id,
            team_name: new.guild_name,
            bot_user_id: Some(new.bot_user_id),
            bot_token: Some(new.bot_token.into()),
            signing: SigningSource::None,
            delivery_secret: None,
        }
    }
}

impl From<NewFeishuChannel> for NewChannel {
    fn from(new: NewFeishuChannel) -> Self {
        let (connection_mode, signing) = match &new.webhook {
            Some(secrets) => (ConnectionMode::Webhook, SigningSource::Own(secrets.to_json())),
            None => (ConnectionMode::Websocket, SigningSource::None),
        };
        Self {
            id: new.id,
            bot: new.bot,
            platform: ChatPlatform::Feishu,
            connection_mode,
            account_id: format!("feishu-{}", new.app_id),
            team_id: None,
            app_id: new.app_id,
            team_name: new.app_name,
            bot_user_id: new.bot_user_id,
            bot_token: Some(new.app_secret.into()),
            signing,
            // Generated by the store when the channel first takes events by webhook.
            delivery_secret: None,
        }
    }
}

impl NewChannel {
    /// Builds the channel's new row. A channel that stopped working stays so until it gets another bot token.
    pub(super) fn channel(&self, known: Option<&Channel>, now: Timestamp) -> Result<Channel, ConnectError> {
        let platform_app = match self.signing {
            SigningSource::Platform => true,
            SigningSource::Own(_) | SigningSource::None => false,
            SigningSource::Stored => known.ok_or(ConnectError::NoSigningSecret)?.platform_app,
        };
        let kept_status = known.filter(|_| self.bot_token.is_none()).map(|known| known.status);
        Ok(Channel {
            id: self.id.clone(),
            bot: self.bot.clone(),
            platform: self.platform,
            connection_mode: self.connection_mode,
            account_id: self.account_id.clone(),
            status: kept_status.unwrap_or(ChannelStatus::Connected),
            team_id: self.team_id.clone(),
            app_id: self.app_id.clone(),
            team_name: self.team_name.clone().or_else(|| known?.team_name.clone()),
            bot_user_id: self.bot_user_id.clone().or_else(|| known?.bot_user_id.clone()),
            platform_app,
            rate_limited_at: None,
            members: known.map(|known| known.members.clone()).unwrap_or_default(),
            created_at: known.map_or(now, |known| known.created_at),
            updated_at: now,
        })
    }

    /// Returns whether the channel keeps its stored signing secret.
    pub(super) fn keeps_secret_of(&self, channel: &Channel) -> bool {
        matches!(self.signing, SigningSource::Stored)
            && !channel.platform_app
            && channel.status == ChannelStatus::Connected
    }

    /// Returns whether a known channel of this id is the same one: same bot and app, and for Slack the same team.
    pub(super) fn is_again(&self, known: &Channel) -> bool {
        let is_of_team = self.platform != ChatPlatform::Slack || known.team_id == self.team_id;
        is_of_team && (&known.bot, known.platform, &known.app_id) == (&self.bot, self.platform, &self.app_id)
    }
}
