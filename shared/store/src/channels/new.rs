//! A channel as it is to be, platform by platform.

use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, FeishuSecrets};
use secrecy::SecretString;

use super::{Channel, ChannelStatus, ConnectError};
use crate::{ChatPlatform, ConnectionMode, PlatformId, channel_credentials::BotToken};

/// A Slack channel to be connected, or connected again with other credentials.
#[derive(Clone, Debug)]
pub struct NewSlackChannel {
    /// Its id.
    pub id: ChannelId,
    /// The bot that it is for.
    pub bot: BotId,
    /// The team that the app is installed in, or the enterprise where it is installed org-wide.
    pub team_id: PlatformId,
    /// The app.
    pub app_id: PlatformId,
    /// The team's name; where absent, the one that is stored stays.
    pub team_name: Option<String>,
    /// The bot's user on Slack; where absent, the one that is stored stays.
    pub bot_user_id: Option<String>,
    /// Token of the bot; where absent, the one that is stored stays.
    pub bot_token: Option<BotToken>,
    /// Source of the secret that verifies its app's events.
    pub signing: SigningSource,
    /// Secret that signs deliveries to the bot's pool; where absent, the stored one stays, and a channel that has
    /// none gets a random one.
    pub delivery_secret: Option<SecretString>,
}

/// Source of the secret that verifies a channel's events.
#[derive(Clone, Debug)]
pub enum SigningSource {
    /// The platform's own signing secret, which is in no row.
    Platform,
    /// The secret of a customer's own app.
    Own(SecretString),
    /// Whichever of the two the channel has already.
    Stored,
    /// None: its events don't come by webhook.
    None,
}

/// A Discord channel to be connected, or connected again: the bot's pool opens the connection.
#[derive(Clone, Debug)]
pub struct NewDiscordChannel {
    /// Its id.
    pub id: ChannelId,
    /// The bot that it is for.
    pub bot: BotId,
    /// The application.
    pub app_id: PlatformId,
    /// The guild that the person named.
    pub guild_id: Option<PlatformId>,
    /// The guild's name; where absent, the one that is stored stays.
    pub guild_name: Option<String>,
    /// The bot's user on Discord.
    pub bot_user_id: String,
    /// Token that the bot speaks with.
    pub bot_token: SecretString,
}

/// A Feishu channel to be connected, or connected again.
#[derive(Clone, Debug)]
pub struct NewFeishuChannel {
    /// Its id.
    pub id: ChannelId,
    /// The bot that it is for.
    pub bot: BotId,
    /// The app.
    pub app_id: PlatformId,
    /// The app's name, where Feishu tells it.
    pub app_name: Option<String>,
    /// The bot's `open_id`, where Feishu tells it.
    pub bot_user_id: Option<String>,
    /// Secret of the app.
    pub app_secret: SecretString,
    /// Secrets that verify events which come by webhook; `None` where the bot's pool opens a connection to Feishu.
    pub webhook: Option<FeishuSecrets>,
}

/// A channel of any platform.
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
            // Made by the store when the channel first takes events by webhook.
            delivery_secret: None,
        }
    }
}

impl NewChannel {
    /// The channel as it is to be. One that stopped working stays so until it gets another bot token.
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

    /// Whether the channel goes on with the signing secret that is stored.
    pub(super) fn keeps_secret_of(&self, channel: &Channel) -> bool {
        matches!(self.signing, SigningSource::Stored)
            && !channel.platform_app
            && channel.status == ChannelStatus::Connected
    }

    /// Whether a channel with this id is the same one: of the same bot and app, and of Slack's in the same team.
    pub(super) fn is_again(&self, known: &Channel) -> bool {
        let is_of_team = self.platform != ChatPlatform::Slack || known.team_id == self.team_id;
        is_of_team && (&known.bot, known.platform, &known.app_id) == (&self.bot, self.platform, &self.app_id)
    }
}
