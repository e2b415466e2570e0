//! Deletion of one channel.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use portcullis_auth::ChannelId;

use super::{Channel, ChannelError, ChannelStatus, TABLE};
use crate::{
    BotReach, BotStatus, Store, StoreError,
    attribute::{names, text},
    backoff::Backoff,
    channel_credentials::Kind,
    error::CallError,
    revision::{BotChange, PoolChange},
    store::built,
};

impl Store {
    /// Deletes a channel in one transaction: its row, its credentials, its route and its entry in its bot's list;
    /// raises the revision of the bot's pool.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn delete_channel(&self, reach: BotReach<'_>, channel: &ChannelId) -> Result<(), ChannelError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_channel(channel).await?.ok_or(ChannelError::NotFound)?;
            if self.try_to_delete(reach, &known).await? {
                return Ok(());
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Deletes a channel of any bot if its app was uninstalled, so that the workspace's next install may connect
    /// another bot. Returns whether the channel is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_channel(&self, channel: &ChannelId) -> Result<bool, StoreError> {
        let mut backoff = Backoff::of_race();
        loop {
            let Some(known) = self.get_channel(channel).await? else { return Ok(true) };
            if known.status != ChannelStatus::Disconnected {
                return Ok(false);
            }
            match self.try_to_delete(BotReach::Any, &known).await {
                Ok(true) | Err(ChannelError::NotFound) => return Ok(true),
                Ok(false) => self.wait_after_race(&mut backoff).await?,
                Err(ChannelError::Store(error)) => return Err(error),
            }
        }
    }

    /// Deletes a channel on the condition that it and its bot are as they were read; returns whether they were.
    async fn try_to_delete(&self, reach: BotReach<'_>, known: &Channel) -> Result<bool, ChannelError> {
        let bot = self.get_bot(&known.bot).await?;
        if !bot.as_ref().map_or(reach == BotReach::Any, |bot| reach.admits(bot)) {
            return Err(ChannelError::NotFound);
        }
        if let Some(bot) = bot.as_ref().filter(|bot| bot.status == BotStatus::Deleted) {
            self.delete_channels_of_deleted(bot).await?;
            return Err(ChannelError::NotFound);
        }
        let mut actions = vec![self.delete_row(known)?, self.delete_route(known)?];
        for kind in Kind::ALL {
            actions.push(self.delete_credential(&known.id, kind)?);
        }
        if let Some(bot) = &bot {
            actions.push(self.change_bot(bot, BotChange::RemoveChannel(&known.id))?);
            if let Some(pool) = &bot.pool {
                actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
            }
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(true),
            // Another writer deleted the channel or changed its status, or its bot was deleted or moved, since they
            // were read.
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    fn delete_row(&self, known: &Channel) -> Result<TransactWriteItem, StoreError> {
        let condition = "#bot = :bot AND #status = :status";
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&known.id))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":bot", text(&known.bot))
            .expression_attribute_values(":status", text(known.status));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}
