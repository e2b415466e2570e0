//! Connecting a Slack channel to a bot.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId};
use secrecy::SecretString;

use super::{Channel, ChannelStatus, MAXIMUM_CHANNELS, TABLE};
use crate::{
    BotStatus, SlackId, Store, StoreError,
    attribute::{SCHEMA, attributes, names, schema, text, time},
    backoff::Backoff,
    channel_credentials::Kind,
    error::{CallError, Condition},
    revision::{BotChange, PoolChange},
    store::built,
};

/// A Slack channel to be connected, or connected again with other credentials.
#[derive(Clone, Debug)]
pub struct NewSlackChannel {
    /// Its id.
    pub id: ChannelId,
    /// The bot that it is for.
    pub bot: BotId,
    /// The team that the app is installed in, or the enterprise where it is installed org-wide.
    pub team_id: SlackId,
    /// The app.
    pub app_id: SlackId,
    /// The team's name.
    pub team_name: Option<String>,
    /// The bot's user on Slack.
    pub bot_user_id: Option<String>,
    /// What the bot speaks with; where absent, the one that is stored stays.
    pub bot_token: Option<SecretString>,
    /// What Slack signs the events of a customer's own app with; `None` for the platform's app, whose secret is in no row.
    pub signing_secret: Option<SecretString>,
    /// What deliveries to the bot's pool are signed with.
    pub delivery_secret: SecretString,
}

/// Why a channel was not connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// There is no such bot, or it is deleted.
    #[error("the bot is not known")]
    BotNotFound,
    /// The bot has [`MAXIMUM_CHANNELS`].
    #[error("the bot has its limit of {MAXIMUM_CHANNELS} channels")]
    TooManyChannels,
    /// The channel's id is in use, by another bot or for another team or app.
    #[error("the channel is another one already")]
    ChannelTaken,
    /// The team and app are connected to another channel.
    #[error("this team and app are connected to another channel")]
    RouteTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewSlackChannel {
    fn channel(&self, created_at: Timestamp, now: Timestamp) -> Channel {
        Channel {
            id: self.id.clone(),
            bot: self.bot.clone(),
            channel_type: "slack".to_owned(),
            account_id: format!("slack-{}-{}", self.app_id, self.team_id),
            status: ChannelStatus::Connected,
            team_id: self.team_id.clone(),
            app_id: self.app_id.clone(),
            team_name: self.team_name.clone(),
            bot_user_id: self.bot_user_id.clone(),
            platform_app: self.signing_secret.is_none(),
            rate_limited_at: None,
            created_at,
            updated_at: now,
        }
    }
}

impl Store {
    /// Connects a channel: its row, its credentials, its route, its bot's list and the revision of the bot's pool, in
    /// one transaction. A channel that is connected again keeps what `new` leaves out, and its credentials' revisions
    /// are raised.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing was written but where it is [`StoreError::Unavailable`], when it may have been.
    pub async fn connect_slack_channel(&self, new: NewSlackChannel) -> Result<Channel, ConnectError> {
        let mut backoff = Backoff::of_race();
        loop {
            let (bot, known) = tokio::try_join!(self.get_bot(&new.bot), self.get_channel(&new.id))?;
            let bot = bot.filter(|bot| bot.status != BotStatus::Deleted).ok_or(ConnectError::BotNotFound)?;
            if bot.channels.len() >= MAXIMUM_CHANNELS && !bot.channels.contains(&new.id) {
                return Err(ConnectError::TooManyChannels);
            }
            let now = self.now();
            let channel = new.channel(known.map_or(now, |known| known.created_at), now);
            let mut actions = vec![
                self.put_channel(&channel)?,
                self.put_route(&channel)?,
                self.change_bot(&bot, BotChange::AddChannel(&channel.id))?,
                match &new.signing_secret {
                    Some(secret) => self.seal_credential(&channel.id, Kind::SigningSecret, secret)?,
                    None => self.delete_credential(&channel.id, Kind::SigningSecret)?,
                },
                self.seal_credential(&channel.id, Kind::DeliverySecret, &new.delivery_secret)?,
            ];
            if let Some(bot_token) = &new.bot_token {
                actions.push(self.seal_credential(&channel.id, Kind::BotToken, bot_token)?);
            }
            if let Some(pool) = &bot.pool {
                actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(channel),
                Err(CallError::Conditions(conditions)) => match conditions.as_slice() {
                    [Condition::Failed(_), ..] => return Err(ConnectError::ChannelTaken),
                    [_, Condition::Failed(_), ..] => return Err(ConnectError::RouteTaken),
                    // The bot has changed since it was read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn put_channel(&self, channel: &Channel) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id) \
            OR (#schema = :schema AND #bot = :bot AND #teamId = :teamId AND #appId = :appId)";
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(&channel.id)),
            ("bot", text(&channel.bot)),
            ("channelType", text(&channel.channel_type)),
            ("accountId", text(&channel.account_id)),
            ("status", text(channel.status)),
            ("teamId", text(&channel.team_id)),
            ("appId", text(&channel.app_id)),
            ("platformApp", aws_sdk_dynamodb::types::AttributeValue::Bool(channel.platform_app)),
            ("createdAt", time(channel.created_at)),
            ("updatedAt", time(channel.updated_at)),
        ]);
        row.extend(channel.team_name.iter().map(|name| ("teamName".to_owned(), text(name))));
        row.extend(channel.bot_user_id.iter().map(|user| ("botUserId".to_owned(), text(user))));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":bot", text(&channel.bot)),
                (":teamId", text(&channel.team_id)),
                (":appId", text(&channel.app_id)),
            ])));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }
}
