//! Permanent deletion of a bot, with its channels' credentials and routes.
//!
//! One transaction marks the row as deleted, removes the bot from its pool, frees its slug, and deletes the credentials
//! and the routes of all its channels. The channels' own rows hold no secret and go in a second transaction. A channel
//! whose bot is deleted counts as gone, so that a failure of the second transaction leaves nothing visible; deleting
//! the bot again repeats it.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem, Update};
use portcullis_auth::{BotId, ChannelId};

use super::{Bot, BotStatus, TABLE, slug_claim::SlugClaim};
use crate::{
    BotReach, Channel, MAXIMUM_CHANNELS, Store, StoreError, Table,
    attribute::{Item, attributes, names, schema, text, text_set, time},
    backoff::Backoff,
    batch::RowKey,
    channel_credentials::Kind,
    error::CallError,
    revision::PoolChange,
    store::built,
};

/// Most actions of a transaction.
///
/// Source: DynamoDB, "`TransactWriteItems`".
const MAXIMUM_ACTIONS: usize = 100;

// Actions for the bot, its pool, its slug and its owner's row, and for each channel three credentials and a route.
const _: () = assert!(4 + 4 * MAXIMUM_CHANNELS <= MAXIMUM_ACTIONS);

/// Reason why a bot was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteBotError {
    /// No such bot, it is deleted already, or the caller may not reach it.
    #[error("the bot is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Deletes a bot for good. A deletion that failed half way can be repeated.
    ///
    /// # Errors
    /// [`DeleteBotError`].
    pub async fn delete_bot(&self, reach: BotReach<'_>, bot: &BotId) -> Result<(), DeleteBotError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_bot(bot).await?.filter(|bot| reach.admits(bot)).ok_or(DeleteBotError::NotFound)?;
            if known.status == BotStatus::Deleted {
                self.delete_channels_of_deleted(&known).await?;
                return Err(DeleteBotError::NotFound);
            }
            match self.transact_write(self.delete_actions(&known).await?).await {
                Ok(()) => {
                    self.delete_channels_of_deleted(&known).await?;
                    return Ok(());
                }
                // The bot was moved, renamed or deleted, or one of its channels connected or deleted, since it was
                // read.
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    async fn delete_actions(&self, known: &Bot) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut actions = vec![self.mark_deleted(known)?];
        if let Some(pool) = &known.pool {
            actions.push(self.raise_pool_revision(pool, PoolChange::RemoveBot(&known.id))?);
        }
        if let Some(claim) = SlugClaim::of(known.user.as_ref(), &known.slug) {
            actions.push(self.free_slug(claim, &known.id)?);
        }
        if let Some(user) = &known.user {
            actions.push(self.leave_owner(user, &known.id)?);
        }
        let keys: Vec<_> = known.channels.iter().map(channel_key).collect();
        let rows = self.get_rows(&keys).await?;
        for (id, row) in known.channels.iter().zip(rows) {
            for kind in Kind::ALL {
                actions.push(self.delete_credential(id, kind)?);
            }
            if let Some(row) = row {
                actions.push(self.delete_route(&Channel::from_item(&row)?)?);
            }
        }
        Ok(actions)
    }

    /// Marks the row as deleted, on the condition that nothing that the other actions depend on has changed. The row
    /// keeps its channels' ids until their rows are gone.
    fn mark_deleted(&self, known: &Bot) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #updatedAt = :now, #status = :deleted REMOVE #pool";
        let mut condition = "#schema = :schema AND #status <> :deleted AND #slug = :slug".to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":now", time(self.now())),
            (":deleted", text(BotStatus::Deleted)),
            (":slug", text(&known.slug)),
        ]);
        let channels = (!known.channels.is_empty()).then(|| text_set(&known.channels));
        let reads =
            [("pool", known.pool.as_ref().map(text)), ("user", known.user.as_ref().map(text)), ("channels", channels)];
        for (attribute, read) in reads {
            match read {
                Some(read) => {
                    condition = format!("{condition} AND #{attribute} = :{attribute}");
                    values.insert(format!(":{attribute}"), read);
                }
                None => condition = format!("{condition} AND attribute_not_exists(#{attribute})"),
            }
        }
        self.update_of(&known.id, update, &condition, values)
    }

    /// Deletes the rows of a deleted bot's channels. Idempotent.
    pub(crate) async fn delete_channels_of_deleted(&self, bot: &Bot) -> Result<(), StoreError> {
        if bot.channels.is_empty() {
            return Ok(());
        }
        let condition = "#schema = :schema AND #status = :deleted";
        let values = attributes([(":schema", schema()), (":deleted", text(BotStatus::Deleted))]);
        let mut actions = vec![self.update_of(&bot.id, "REMOVE #channels", condition, values)?];
        for channel in &bot.channels {
            actions.push(self.delete_channel_row(channel, &bot.id)?);
        }
        match self.transact_write(actions).await {
            // Condition failed: one of these ids is another bot's channel by now, so another call has done this
            // already.
            Ok(()) | Err(CallError::Conditions(_)) => Ok(()),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    fn update_of(
        &self,
        bot: &BotId,
        update: &str,
        condition: &str,
        values: Item,
    ) -> Result<TransactWriteItem, StoreError> {
        let update_item = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(bot))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().update(built(update_item.build())?).build())
    }

    /// Action that deletes a channel's row, on the condition that it is absent or this bot's.
    fn delete_channel_row(&self, channel: &ChannelId, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id) OR #bot = :bot";
        let delete = Delete::builder()
            .table_name(self.table_name(Table::Channels))
            .key("id", text(channel))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":bot", text(bot));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

fn channel_key(channel: &ChannelId) -> RowKey {
    RowKey::new(Table::Channels, [channel.as_str()])
}
