//! Deleting one channel.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use portcullis_auth::ChannelId;

use super::{Channel, ChannelError, TABLE};
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
    /// Deletes a channel: its row, its credentials, its route, its place among its bot's channels, and the revision of the
    /// bot's pool, in one transaction.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn delete_channel(&self, reach: BotReach<'_>, channel: &ChannelId) -> Result<(), ChannelError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_channel(channel).await?.ok_or(ChannelError::NotFound)?;
            let bot = self.get_bot(&known.bot).await?;
            if !bot.as_ref().map_or(reach == BotReach::Any, |bot| reach.admits(bot)) {
                return Err(ChannelError::NotFound);
            }
            if let Some(bot) = bot.as_ref().filter(|bot| bot.status == BotStatus::Deleted) {
                self.delete_channels_of_deleted(bot).await?;
                return Err(ChannelError::NotFound);
            }
            let mut actions = vec![self.delete_row(&known)?, self.delete_route(&known)?];
            for kind in Kind::ALL {
                actions.push(self.delete_credential(channel, kind)?);
            }
            if let Some(bot) = &bot {
                actions.push(self.change_bot(bot, BotChange::RemoveChannel(channel))?);
                if let Some(pool) = &bot.pool {
                    actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
                }
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                // Another deleted it, or its bot was deleted or moved, since they were read.
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn delete_row(&self, known: &Channel) -> Result<TransactWriteItem, StoreError> {
        let condition = "#bot = :bot";
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(&known.id))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":bot", text(&known.bot));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}
