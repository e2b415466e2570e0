//! Connection of a channel to a bot.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use secrecy::SecretString;

use super::{
    Channel, MAXIMUM_CHANNELS, TABLE,
    new::{NewChannel, SigningSource},
};
use crate::{
    Bot, BotReach, BotStatus, ChatPlatform, ConnectionMode, Store, StoreError,
    attribute::{Item, SCHEMA, attributes, names, schema, text, time},
    backoff::Backoff,
    channel_credentials::Kind,
    error::{CallError, Condition},
    revision::{BotChange, PoolChange},
    store::built,
};

/// Random bytes of a delivery secret, which is written in hex.
const DELIVERY_SECRET_BYTES: usize = 32;

/// Reason why a channel was not connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No such bot, it is deleted, or the caller may not reach it.
    #[error("the bot is not known")]
    BotNotFound,
    /// The bot has [`MAXIMUM_CHANNELS`].
    #[error("the bot has its limit of {MAXIMUM_CHANNELS} channels")]
    TooManyChannels,
    /// Another bot uses the channel's id, or the channel has another team or app.
    #[error("the channel is another one already")]
    ChannelTaken,
    /// Another channel has this team and app.
    #[error("this team and app are connected to another channel")]
    RouteTaken,
    /// The channel has no signing secret, or its secret has expired: its events cannot be verified.
    #[error("the channel needs a signing secret")]
    NoSigningSecret,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Connects a channel in one transaction: its row, its credentials, its route, its bot's list and the revision of
    /// the bot's pool. A reconnected channel keeps what `new` leaves out, and the revision of each credential that
    /// `new` has is raised.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`StoreError::Unavailable`] the channel may have been connected, after the others
    /// nothing was written.
    pub async fn connect_channel(
        &self,
        reach: BotReach<'_>,
        new: impl Into<NewChannel>,
    ) -> Result<Channel, ConnectError> {
        let new = new.into();
        let made_secret = self.new_delivery_secret();
        let mut backoff = Backoff::of_race();
        loop {
            let (bot, known) = tokio::try_join!(self.get_bot(&new.bot), self.get_channel(&new.id))?;
            let bot = bot
                .filter(|bot| bot.status != BotStatus::Deleted && reach.admits(bot))
                .ok_or(ConnectError::BotNotFound)?;
            if let Some(other) = known.as_ref().filter(|known| !new.is_again(known)) {
                if !self.goes_with_deleted_bot(other).await? {
                    return Err(ConnectError::ChannelTaken);
                }
                self.wait_after_race(&mut backoff).await?;
                continue;
            }
            if bot.channels.len() >= MAXIMUM_CHANNELS && !bot.channels.contains(&new.id) {
                return Err(ConnectError::TooManyChannels);
            }
            let channel = new.channel(known.as_ref(), self.now())?;
            let actions = self.connect_actions(&new, &bot, known.as_ref(), &channel, &made_secret)?;
            match self.transact_write(actions).await {
                Ok(()) => return Ok(channel),
                Err(CallError::Conditions(conditions)) => match conditions.as_slice() {
                    [Condition::Held, Condition::Failed(_), ..] => return Err(ConnectError::RouteTaken),
                    [Condition::Held, Condition::Held, Condition::Held, Condition::Held, Condition::Failed(_), ..]
                        if new.keeps_secret_of(&channel) =>
                    {
                        return Err(ConnectError::NoSigningSecret);
                    }
                    // The channel or the bot has changed since it was read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn connect_actions(
        &self,
        new: &NewChannel,
        bot: &Bot,
        known: Option<&Channel>,
        channel: &Channel,
        made_secret: &SecretString,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let id = &channel.id;
        let mut actions = vec![
            self.write_channel(channel, known)?,
            self.put_route(channel)?,
            self.change_bot(bot, BotChange::AddChannel(id))?,
            match (new.connection_mode, &new.delivery_secret) {
                (ConnectionMode::Websocket, _) => self.delete_credential(id, Kind::DeliverySecret)?,
                (ConnectionMode::Webhook, Some(secret)) => self.seal_credential(id, Kind::DeliverySecret, secret)?,
                (ConnectionMode::Webhook, None) => {
                    self.seal_missing_credential(id, Kind::DeliverySecret, made_secret)?
                }
            },
        ];
        match &new.signing {
            SigningSource::Own(secret) => actions.push(self.seal_credential(id, Kind::SigningSecret, secret)?),
            SigningSource::Platform | SigningSource::None => {
                actions.push(self.delete_credential(id, Kind::SigningSecret)?);
            }
            // A channel that works again keeps the secret that was to expire with it; one that stays ended loses it in
            // time.
            SigningSource::Stored if new.keeps_secret_of(channel) => {
                actions.push(self.keep_credential(id, Kind::SigningSecret)?);
            }
            SigningSource::Stored => {}
        }
        if let Some(bot_token) = &new.bot_token {
            actions.push(self.seal_bot_token(id, bot_token, None)?);
        }
        if let Some(pool) = &bot.pool {
            actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
        }
        Ok(actions)
    }

    /// Returns whether a channel's bot is deleted; the channel's row is then deleted too, which frees its id.
    async fn goes_with_deleted_bot(&self, channel: &Channel) -> Result<bool, StoreError> {
        match self.get_bot(&channel.bot).await? {
            Some(bot) if bot.status == BotStatus::Deleted => {
                self.delete_channels_of_deleted(&bot).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn new_delivery_secret(&self) -> SecretString {
        let mut bytes = [0; DELIVERY_SECRET_BYTES];
        self.randomness().fill(&mut bytes);
        hex::encode(bytes).into()
    }

    /// Writes a channel's row, on the condition that it is as it was read. The members stay as they are at that time.
    fn write_channel(&self, channel: &Channel, known: Option<&Channel>) -> Result<TransactWriteItem, StoreError> {
        let mut row = attributes([
            (SCHEMA, schema()),
            ("bot", text(&channel.bot)),
            ("channelType", text(channel.platform)),
            ("connectionMode", text(channel.connection_mode)),
            ("accountId", text(&channel.account_id)),
            ("status", text(channel.status)),
            ("appId", text(&channel.app_id)),
            ("platformApp", AttributeValue::Bool(channel.platform_app)),
            ("createdAt", time(channel.created_at)),
            ("updatedAt", time(channel.updated_at)),
        ]);
        row.extend(channel.team_id.iter().map(|team| ("teamId".to_owned(), text(team))));
        row.extend(channel.team_name.iter().map(|name| ("teamName".to_owned(), text(name))));
        row.extend(channel.bot_user_id.iter().map(|user| ("botUserId".to_owned(), text(user))));
        let assignments: Vec<_> = row.keys().map(|name| format!("#{name} = :{name}")).collect();
        let removed = if channel.team_id.is_none() { ", #teamId" } else { "" };
        let update = format!("SET {} REMOVE #rateLimitedAt{removed}", assignments.join(", "));
        let mut values: Item = row.into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
        let condition = match known {
            None => "attribute_not_exists(#id)",
            Some(known) => {
                values.extend(attributes([
                    (":readStatus", text(known.status)),
                    (":readPlatformApp", AttributeValue::Bool(known.platform_app)),
                ]));
                match channel.platform {
                    ChatPlatform::Slack => {
                        "#schema = :schema AND #bot = :bot AND #channelType = :channelType AND #teamId = :teamId \
                         AND #appId = :appId AND #status = :readStatus AND #platformApp = :readPlatformApp"
                    }
                    // The guild may change: the app alone identifies the channel.
                    ChatPlatform::Discord | ChatPlatform::Feishu => {
                        "#schema = :schema AND #bot = :bot AND #channelType = :channelType AND #appId = :appId \
                         AND #status = :readStatus AND #platformApp = :readPlatformApp"
                    }
                }
            }
        };
        let update_item = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&channel.id))
            .set_expression_attribute_names(names(&[&update, condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition);
        Ok(TransactWriteItem::builder().update(built(update_item.build())?).build())
    }
}
