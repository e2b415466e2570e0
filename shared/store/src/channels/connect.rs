//! Connecting a Slack channel to a bot.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId};
use secrecy::SecretString;

use super::{Channel, ChannelStatus, MAXIMUM_CHANNELS, TABLE};
use crate::{
    Bot, BotReach, BotStatus, SlackId, Store, StoreError,
    attribute::{Item, SCHEMA, attributes, names, schema, text, time},
    backoff::Backoff,
    channel_credentials::{BotToken, Kind},
    error::{CallError, Condition},
    revision::{BotChange, PoolChange},
    store::built,
};

/// How many random bytes a delivery secret has; it is written in hex.
const DELIVERY_SECRET_BYTES: usize = 32;

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
    /// The team's name; where absent, the one that is stored stays.
    pub team_name: Option<String>,
    /// The bot's user on Slack; where absent, the one that is stored stays.
    pub bot_user_id: Option<String>,
    /// What the bot speaks with; where absent, the one that is stored stays.
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
}

/// Why a channel was not connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// There is no such bot, it is deleted, or the caller may not reach it.
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
    /// The channel has no signing secret, or the one that it had has ended with it: nothing says what its events are verified
    /// with.
    #[error("the channel needs a signing secret")]
    NoSigningSecret,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewSlackChannel {
    /// The channel as it is to be. One that stopped working stays so until it gets another bot token.
    fn channel(&self, known: Option<&Channel>, now: Timestamp) -> Result<Channel, ConnectError> {
        let platform_app = match self.signing {
            SigningSource::Platform => true,
            SigningSource::Own(_) => false,
            SigningSource::Stored => known.ok_or(ConnectError::NoSigningSecret)?.platform_app,
        };
        let kept_status = known.filter(|_| self.bot_token.is_none()).map(|known| known.status);
        Ok(Channel {
            id: self.id.clone(),
            bot: self.bot.clone(),
            channel_type: "slack".to_owned(),
            account_id: format!("slack-{}-{}", self.app_id, self.team_id),
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
    fn keeps_secret_of(&self, channel: &Channel) -> bool {
        matches!(self.signing, SigningSource::Stored)
            && !channel.platform_app
            && channel.status == ChannelStatus::Connected
    }

    fn is_again(&self, known: &Channel) -> bool {
        (&known.bot, &known.team_id, &known.app_id) == (&self.bot, &self.team_id, &self.app_id)
    }
}

impl Store {
    /// Connects a channel: its row, its credentials, its route, its bot's list and the revision of the bot's pool, in
    /// one transaction. A channel that is connected again keeps what `new` leaves out, and the revision of each credential
    /// that `new` has is raised.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing was written but where it is [`StoreError::Unavailable`], when it may have been.
    pub async fn connect_slack_channel(
        &self,
        reach: BotReach<'_>,
        new: NewSlackChannel,
    ) -> Result<Channel, ConnectError> {
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
        new: &NewSlackChannel,
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
            match &new.delivery_secret {
                Some(secret) => self.seal_credential(id, Kind::DeliverySecret, secret)?,
                None => self.seal_missing_credential(id, Kind::DeliverySecret, made_secret)?,
            },
        ];
        match &new.signing {
            SigningSource::Own(secret) => actions.push(self.seal_credential(id, Kind::SigningSecret, secret)?),
            SigningSource::Platform => actions.push(self.delete_credential(id, Kind::SigningSecret)?),
            // A channel that works again keeps the secret that was to end with it; one that stays ended loses it in time.
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

    /// Whether a channel's bot is deleted; its row then goes too, so that its id is free.
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

    /// Writes a channel's row, on the condition that it is as it was read. Its members stay as they are by then.
    fn write_channel(&self, channel: &Channel, known: Option<&Channel>) -> Result<TransactWriteItem, StoreError> {
        let mut row = attributes([
            (SCHEMA, schema()),
            ("bot", text(&channel.bot)),
            ("channelType", text(&channel.channel_type)),
            ("accountId", text(&channel.account_id)),
            ("status", text(channel.status)),
            ("teamId", text(&channel.team_id)),
            ("appId", text(&channel.app_id)),
            ("platformApp", AttributeValue::Bool(channel.platform_app)),
            ("createdAt", time(channel.created_at)),
            ("updatedAt", time(channel.updated_at)),
        ]);
        row.extend(channel.team_name.iter().map(|name| ("teamName".to_owned(), text(name))));
        row.extend(channel.bot_user_id.iter().map(|user| ("botUserId".to_owned(), text(user))));
        let assignments: Vec<_> = row.keys().map(|name| format!("#{name} = :{name}")).collect();
        let update = format!("SET {} REMOVE #rateLimitedAt", assignments.join(", "));
        let mut values: Item = row.into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
        let condition = match known {
            None => "attribute_not_exists(#id)",
            Some(known) => {
                values.extend(attributes([
                    (":readStatus", text(known.status)),
                    (":readPlatformApp", AttributeValue::Bool(known.platform_app)),
                ]));
                "#schema = :schema AND #bot = :bot AND #teamId = :teamId AND #appId = :appId AND #status = :readStatus \
                 AND #platformApp = :readPlatformApp"
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
