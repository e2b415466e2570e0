//! `channels`: each bot's connected channels.

mod connect;
mod delete;
mod end;
mod list;
mod members;
mod new;
mod owned;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, FeishuSecrets, SigningSecret, UserId};
use portcullis_contract::words;

use crate::{
    ChatPlatform, ConnectionMode, PlatformId, Store, StoreError, Table,
    attribute::{Item, attributes, names, schema, text, time},
    backoff::Backoff,
    channel_credentials::Kind,
    error::{CallError, Condition},
    row::Row,
    store::built,
};
pub use connect::ConnectError;
pub use end::{ChannelEnd, ENDED_SECRET_RETENTION, EndOutcome};
pub use members::{JoinError, MAXIMUM_JOINED_CHANNELS, MAXIMUM_MEMBERS};
pub use new::{NewChannel, NewDiscordChannel, NewFeishuChannel, NewSlackChannel, SigningSource};
pub use owned::ChannelState;

const TABLE: Table = Table::Channels;

/// Most channels of one bot.
pub const MAXIMUM_CHANNELS: usize = 20;

words! {
    /// Status of a channel: only a connected one works.
    pub enum ChannelStatus {
        /// It is being connected.
        Pending = "pending",
        /// It works.
        Connected = "connected",
        /// Its owner or its platform has disconnected it.
        Disconnected = "disconnected",
        /// Its platform no longer accepts its credential.
        Error = "error",
    }
}

/// A channel as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Id of the channel.
    pub id: ChannelId,
    /// Bot that it belongs to.
    pub bot: BotId,
    /// Chat platform.
    pub platform: ChatPlatform,
    /// Way in which its events reach the bot.
    pub connection_mode: ConnectionMode,
    /// Account name under which the bot's pool knows it.
    pub account_id: String,
    /// Status: only a connected channel works.
    pub status: ChannelStatus,
    /// Slack: the team that the app is installed in, or the enterprise where it is installed org-wide. Discord: the
    /// guild that the person named.
    pub team_id: Option<PlatformId>,
    /// App on the platform.
    pub app_id: PlatformId,
    /// Slack and Discord: the name of the team or guild. Feishu: the app's name.
    pub team_name: Option<String>,
    /// User of the bot on the platform.
    pub bot_user_id: Option<String>,
    /// Whether it was installed through the platform's own Slack app, whose signing secret is `SLACK_SIGNING_SECRET`.
    pub platform_app: bool,
    /// Time of Slack's latest notice that it holds back events of the channel's app.
    pub rate_limited_at: Option<Timestamp>,
    /// People who added the platform's app to a workspace that another person's bot is connected to: they see the
    /// channel.
    pub members: Vec<UserId>,
    /// Time of the first connection.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
}

/// Reason why an operation on a channel failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No such channel, or the caller may not reach it.
    #[error("the channel is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Channel {
    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let platform = row.parsed("channelType")?;
        // Slack rows are older than the attribute.
        let connection_mode = row.optional_parsed("connectionMode")?.unwrap_or(ConnectionMode::Webhook);
        let team_id = match platform {
            ChatPlatform::Slack => Some(row.parsed("teamId")?),
            ChatPlatform::Discord | ChatPlatform::Feishu => row.optional_parsed("teamId")?,
        };
        Ok(Self {
            id: row.parsed("id")?,
            bot: row.parsed("bot")?,
            platform,
            connection_mode,
            account_id: row.text("accountId")?.to_owned(),
            status: row.parsed("status")?,
            team_id,
            app_id: row.parsed("appId")?,
            team_name: row.optional_text("teamName")?.map(str::to_owned),
            bot_user_id: row.optional_text("botUserId")?.map(str::to_owned),
            platform_app: row.boolean("platformApp")?,
            rate_limited_at: row.optional_parsed("rateLimitedAt")?,
            members: row.set("members")?,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
        })
    }
}

impl Store {
    /// Reads a channel's row consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_channel(&self, channel: &ChannelId) -> Result<Option<Channel>, StoreError> {
        let item = self.get_row(TABLE, [("id", text(channel))]).await?;
        item.as_ref().map(Channel::from_item).transpose()
    }

    /// Reads a channel and the secret that Slack signs its own app's events with, side by side. The secret is `None`
    /// for a channel of the platform's app, whose secret is in no row. The result is `None` where the channel is
    /// unknown or lacks the secret that it needs, or the secret has expired: nothing can then be verified.
    ///
    /// # Errors
    /// [`StoreError`], also where the secret does not open.
    pub async fn slack_channel_for_verification(
        &self,
        channel: &ChannelId,
    ) -> Result<Option<(Channel, Option<SigningSecret>)>, StoreError> {
        let kind = Kind::SigningSecret;
        let (known, credential) = tokio::try_join!(self.get_channel(channel), self.credential_row(channel, kind))?;
        let credential = credential.map(|row| self.unexpired(row)).transpose()?.flatten();
        let known = known.filter(|known| known.platform == ChatPlatform::Slack);
        Ok(match (known, credential) {
            // An earlier copy of the secret is ignored: it would outlive a rotation.
            (Some(known), _) if known.platform_app => Some((known, None)),
            (Some(known), Some(credential)) => {
                let secret = self.open_signing_secret(channel, kind, &credential).await?;
                Some((known, Some(secret)))
            }
            _ => None,
        })
    }

    /// Reads a Feishu channel that takes events by webhook, and the secrets that verify them, side by side. `None`
    /// where the channel is unknown or lacks them.
    ///
    /// # Errors
    /// [`StoreError`], also where the secrets do not open.
    pub async fn feishu_channel_for_verification(
        &self,
        channel: &ChannelId,
    ) -> Result<Option<(Channel, FeishuSecrets)>, StoreError> {
        let kind = Kind::SigningSecret;
        let (known, credential) = tokio::try_join!(self.get_channel(channel), self.credential_row(channel, kind))?;
        let credential = credential.map(|row| self.unexpired(row)).transpose()?.flatten();
        let (Some(known), Some(credential)) = (known, credential) else { return Ok(None) };
        if known.platform != ChatPlatform::Feishu || known.connection_mode != ConnectionMode::Webhook {
            return Ok(None);
        }
        let sealed = self.open_credential(channel, kind, &credential).await?;
        let malformed = StoreError::Malformed { table: Table::ChannelCredentials.name(), attribute: "value" };
        Ok(Some((known, FeishuSecrets::from_json(&sealed).ok_or(malformed)?)))
    }

    /// Records that Slack holds back events of a channel's app: one call.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn record_rate_limit(&self, channel: &ChannelId) -> Result<(), ChannelError> {
        let update = "SET #rateLimitedAt = :now";
        let condition = "#schema = :schema";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(channel))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([(":schema", schema()), (":now", time(self.now()))])));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(()),
            Err(CallError::Conditions(_)) => Err(ChannelError::NotFound),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// Sets a channel's status and raises the revision of its bot's pool, in one transaction.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn set_channel_status(&self, channel: &ChannelId, status: ChannelStatus) -> Result<(), ChannelError> {
        self.change_status(channel, status, None).await.map(|_| ())
    }

    /// Marks a connected channel as broken because its bot token is invalid, unless the token of `revision` has been
    /// replaced since. Returns whether it did.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn invalidate_channel(&self, channel: &ChannelId, revision: u64) -> Result<bool, ChannelError> {
        self.change_status(channel, ChannelStatus::Error, Some(revision)).await
    }

    /// Sets a channel's status. With a bot token's revision, only if the channel is connected and still has that token.
    async fn change_status(
        &self,
        channel: &ChannelId,
        status: ChannelStatus,
        bot_token: Option<u64>,
    ) -> Result<bool, ChannelError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_channel(channel).await?.ok_or(ChannelError::NotFound)?;
            if bot_token.is_some() && known.status != ChannelStatus::Connected {
                return Ok(false);
            }
            let mut actions = vec![self.update_channel_status(&known, status)?];
            if let Some(revision) = bot_token {
                actions.push(self.check_bot_token(channel, revision)?);
            }
            actions.extend(self.raise_revision_of_bots_pool(&known.bot).await?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(true),
                Err(CallError::Conditions(conditions))
                    if bot_token.is_some() && matches!(conditions.get(1), Some(Condition::Failed(_))) =>
                {
                    return Ok(false);
                }
                // The channel changed or went away, or its bot was deleted or moved, since they were read.
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn update_channel_status(&self, channel: &Channel, status: ChannelStatus) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #status = :status, #updatedAt = :now";
        let condition = "#schema = :schema AND #bot = :bot AND #status = :read";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&channel.id))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":bot", text(&channel.bot)),
                (":status", text(status)),
                (":read", text(channel.status)),
                (":now", time(self.now())),
            ])));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
