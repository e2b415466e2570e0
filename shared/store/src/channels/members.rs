//! Members of a channel: people who added the platform's app to a workspace that another person's bot is connected to.
//!
//! A workspace and app have one channel, and so one bot. A person who adds the app there once more joins that channel
//! and sees it and whether it works, but nothing else of its owner's. The channel's row decides who is a member; the
//! person's own row lists the channels only for display, and may name one that is gone.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use portcullis_auth::{ChannelId, UserId};

use super::{Channel, ChannelError, ChannelStatus, TABLE};
use crate::{
    BotReach, BotStatus, PlatformId, Store, StoreError,
    attribute::{attributes, names, schema, size, text, text_set, time},
    backoff::Backoff,
    batch::RowKey,
    bots::{is_closed, joined_channels, owner_key},
    channel_credentials::BotToken,
    error::CallError,
    revision::{BotChange, PoolChange},
    store::built,
};

/// Most members of a channel, without its owner.
pub const MAXIMUM_MEMBERS: usize = 100;

/// Most channels of others that a person may join.
pub const MAXIMUM_JOINED_CHANNELS: usize = 100;

/// Reason why a person did not join a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The channel belongs to another bot of the same person, or to a customer's own app, which installs nothing here.
    #[error("this team and app are connected to another channel")]
    Taken,
    /// The channel has [`MAXIMUM_MEMBERS`], or the person has joined [`MAXIMUM_JOINED_CHANNELS`].
    #[error("the channel or the person has its limit of memberships")]
    TooMany,
    /// The person's account is being deleted.
    #[error("the account is being deleted")]
    Closed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Adds a person to the channel of a team and app and stores the bot token that Slack gave for their install, in
    /// one transaction that raises the revision of the bot's pool. The token is the workspace's newest, so that a
    /// channel whose token had been revoked works again. Joining again keeps the membership and stores the newer token.
    /// `None` where no channel is connected there.
    ///
    /// # Errors
    /// [`JoinError`]; after [`StoreError::Unavailable`] the person may have joined, after the others nothing was
    /// written.
    pub async fn join_slack_channel(
        &self,
        user: &UserId,
        (team, app): (&PlatformId, &PlatformId),
        bot_token: &BotToken,
    ) -> Result<Option<Channel>, JoinError> {
        let mut backoff = Backoff::of_race();
        loop {
            let Some(route) = self.slack_route(team, app).await? else { return Ok(None) };
            let (bot, known) = tokio::try_join!(self.get_bot(&route.bot), self.get_channel(&route.channel))?;
            let (Some(bot), Some(known)) = (bot.filter(|bot| bot.status != BotStatus::Deleted), known) else {
                self.wait_after_race(&mut backoff).await?;
                continue;
            };
            if !known.platform_app || bot.user.as_ref() == Some(user) {
                return Err(JoinError::Taken);
            }
            if known.members.len() >= MAXIMUM_MEMBERS && !known.members.contains(user) {
                return Err(JoinError::TooMany);
            }
            let mut actions = vec![
                self.add_member(&known, user)?,
                self.name_joined_channel(user, &known.id).await?,
                self.seal_bot_token(&known.id, bot_token, None)?,
                self.change_bot(&bot, BotChange::Nothing)?,
            ];
            if let Some(pool) = &bot.pool {
                actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(self.get_channel(&known.id).await?),
                // The channel, its bot or the person's memberships have changed since they were read.
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Disconnects a channel for a person: deletes it if one of the person's bots has it, and otherwise ends the
    /// person's membership.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn disconnect_channel(&self, user: &UserId, channel: &ChannelId) -> Result<(), ChannelError> {
        match self.delete_channel(BotReach::Owner(user), channel).await {
            Err(ChannelError::NotFound) => self.leave_channel(user, channel).await,
            outcome => outcome,
        }
    }

    /// Ends a person's membership of a channel.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub(crate) async fn leave_channel(&self, user: &UserId, channel: &ChannelId) -> Result<(), ChannelError> {
        let update = "SET #updatedAt = :now DELETE #members :members";
        let condition = "#schema = :schema AND contains(#members, :user)";
        let member = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(channel))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(self.now())),
                (":members", text_set([user])),
                (":user", text(user)),
            ])));
        let actions = vec![
            TransactWriteItem::builder().update(built(member.build())?).build(),
            self.forget_joined_channel(user, channel)?,
        ];
        match self.transact_write(actions).await {
            Ok(()) => Ok(()),
            Err(CallError::Conditions(_)) => Err(ChannelError::NotFound),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// Adds a person to a channel's members, on the condition that the channel is as it was read, and marks it as
    /// connected.
    fn add_member(&self, known: &Channel, user: &UserId) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #status = :connected, #updatedAt = :now ADD #members :members";
        let condition = "#schema = :schema AND #bot = :bot AND #status = :read AND #platformApp = :true \
            AND (attribute_not_exists(#members) OR size(#members) < :maximum OR contains(#members, :user))";
        let update_item = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&known.id))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":bot", text(&known.bot)),
                (":read", text(known.status)),
                (":true", AttributeValue::Bool(true)),
                (":connected", text(ChannelStatus::Connected)),
                (":now", time(self.now())),
                (":members", text_set([user])),
                (":user", text(user)),
                (":maximum", size(MAXIMUM_MEMBERS)),
            ])));
        Ok(TransactWriteItem::builder().update(built(update_item.build())?).build())
    }

    /// Adds a channel to a person's own row, and drops the joined channels that are gone.
    async fn name_joined_channel(&self, user: &UserId, channel: &ChannelId) -> Result<TransactWriteItem, JoinError> {
        let [owner] = self.get_rows(&[owner_key(user)]).await?.try_into().unwrap_or_default();
        if owner.as_ref().is_some_and(is_closed) {
            return Err(JoinError::Closed);
        }
        let read = joined_channels(owner.as_ref())?;
        let mut joined: Vec<_> =
            self.living_memberships(user, &read).await?.into_iter().map(|known| known.id).collect();
        if !joined.contains(channel) {
            joined.push(channel.clone());
        }
        if joined.len() > MAXIMUM_JOINED_CHANNELS {
            return Err(JoinError::TooMany);
        }
        Ok(self.set_joined_channels(user, &read, &joined)?)
    }

    /// Filters the channels that a person is a member of, by the channels' own rows: one call.
    async fn living_memberships(&self, user: &UserId, joined: &[ChannelId]) -> Result<Vec<Channel>, StoreError> {
        let keys: Vec<_> = joined.iter().map(|id| RowKey::new(TABLE, [id.as_str()])).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.get_rows(&keys).await?;
        let channels = rows.iter().flatten().map(Channel::from_item).collect::<Result<Vec<_>, _>>()?;
        Ok(channels.into_iter().filter(|channel| channel.members.contains(user)).collect())
    }
}
