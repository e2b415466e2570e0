//! Owner row: one row for each owner, which lists the owner's bots.
//!
//! The row lies in `bots` under an id that no bot can have, beside the slugs' claim rows. Each transaction that gives a
//! bot an owner or takes it away writes the row too, so that it is always exact, which an index is not. An owner whose
//! account is being deleted gets no further bot: the row is closed before its bots are deleted.
//!
//! The row also lists the channels of others that the owner has joined. The channel's own row decides on the
//! membership.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use portcullis_auth::{BotId, ChannelId, UserId};

use super::TABLE;
use crate::{
    Store, StoreError,
    attribute::{Item, attributes, names, schema, size, text, text_set, time},
    batch::RowKey,
    row::Row,
    store::built,
};

/// Most bots of one person.
pub const MAXIMUM_OWNED_BOTS: usize = 50;

/// Contents of an owner's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belongings {
    /// The owner's bots.
    pub bots: Vec<BotId>,
    /// Channels of others that the owner has joined; some may be gone.
    pub joined_channels: Vec<ChannelId>,
}

/// Key of an owner's row. A user's id holds no control character, so no bot's id and no claim's equals it.
fn id(user: &UserId) -> String {
    format!("\u{1}owner\u{1}{user}")
}

pub(crate) fn owner_key(user: &UserId) -> RowKey {
    RowKey::new(TABLE, [&id(user)])
}

/// Ids of an owner's bots, in order; empty without a row.
pub(crate) fn owned_bots(row: Option<&Item>) -> Result<Vec<BotId>, StoreError> {
    row.map_or_else(|| Ok(Vec::new()), |item| Row::new(TABLE, item)?.set("ownedBots"))
}

/// Ids of the channels of others that an owner has joined, in order; empty without a row.
pub(crate) fn joined_channels(row: Option<&Item>) -> Result<Vec<ChannelId>, StoreError> {
    row.map_or_else(|| Ok(Vec::new()), |item| Row::new(TABLE, item)?.set("joinedChannels"))
}

/// Returns whether the owner's account is being deleted, by the row that refused a further bot.
pub(crate) fn is_closed(row: &Item) -> bool {
    row.contains_key("closedAt")
}

impl Store {
    /// Action that adds a bot to its owner's row, on the condition that the owner may have it.
    pub(super) fn join_owner(&self, user: &UserId, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #updatedAt = :now ADD #ownedBots :bots";
        let condition = "attribute_not_exists(#closedAt) AND (attribute_not_exists(#ownedBots) \
            OR size(#ownedBots) < :maximum OR contains(#ownedBots, :bot))";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(id(user)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(self.now())),
                (":bots", text_set([bot])),
                (":bot", text(bot)),
                (":maximum", size(MAXIMUM_OWNED_BOTS)),
            ])))
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Action that removes a bot from its owner's row.
    pub(super) fn leave_owner(&self, user: &UserId, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #updatedAt = :now DELETE #ownedBots :bots";
        let values = attributes([(":schema", schema()), (":now", time(self.now())), (":bots", text_set([bot]))]);
        self.update_owner(user, update, None, values)
    }

    /// Action that replaces the joined channels of an owner, on the condition that they are those that were read and
    /// that the row is open.
    pub(crate) fn set_joined_channels(
        &self,
        user: &UserId,
        read: &[ChannelId],
        joined: &[ChannelId],
    ) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #updatedAt = :now, #joinedChannels = :joined";
        let mut values = attributes([(":schema", schema()), (":now", time(self.now())), (":joined", text_set(joined))]);
        let condition = if read.is_empty() {
            "attribute_not_exists(#closedAt) AND attribute_not_exists(#joinedChannels)"
        } else {
            values.insert(":read".to_owned(), text_set(read));
            "attribute_not_exists(#closedAt) AND #joinedChannels = :read"
        };
        self.update_owner(user, update, Some(condition), values)
    }

    /// Action that removes a channel from an owner's joined channels.
    pub(crate) fn forget_joined_channel(
        &self,
        user: &UserId,
        channel: &ChannelId,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #updatedAt = :now DELETE #joinedChannels :channels";
        let values =
            attributes([(":schema", schema()), (":now", time(self.now())), (":channels", text_set([channel]))]);
        self.update_owner(user, update, None, values)
    }

    fn update_owner(
        &self,
        user: &UserId,
        update: &str,
        condition: Option<&str>,
        values: Item,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(id(user)))
            .update_expression(update)
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(names(&[update, condition.unwrap_or_default()]))
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Closes an owner's row: from then on the owner gets no further bot and joins no channel. Returns the row's
    /// contents: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_owner(&self, user: &UserId) -> Result<Belongings, StoreError> {
        let update = "SET #schema = :schema, #closedAt = if_not_exists(#closedAt, :now)";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(id(user)))
            .update_expression(update)
            .set_expression_attribute_names(names(&[update]))
            .set_expression_attribute_values(Some(attributes([(":schema", schema()), (":now", time(self.now()))])))
            .return_values(ReturnValue::AllNew);
        let output = self.call(|| request.clone().send()).await?;
        let row = output.attributes.as_ref();
        Ok(Belongings { bots: owned_bots(row)?, joined_channels: joined_channels(row)? })
    }
}
