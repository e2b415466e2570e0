//! Bots of one owner: a row that names them all.
//!
//! The row lies in `bots` under an id that no bot can have, beside the slugs' claims. Each transaction that gives a bot an owner
//! or takes it away writes the row too, so that it is always true, which an index is not. An owner whose account is being
//! deleted gets no further bot: the row is closed before the bots that it names are deleted.

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use portcullis_auth::{BotId, UserId};

use super::TABLE;
use crate::{
    Store, StoreError,
    attribute::{Item, attributes, names, schema, size, text, text_set, time},
    batch::RowKey,
    row::Row,
    store::built,
};

/// Bots that one person may have.
pub const MAXIMUM_OWNED_BOTS: usize = 50;

/// Key of an owner's row. No id of a user holds a control character, so that it is no bot's and no claim's.
fn id(user: &UserId) -> String {
    format!("\u{1}owner\u{1}{user}")
}

pub(crate) fn owner_key(user: &UserId) -> RowKey {
    RowKey::new(TABLE, [&id(user)])
}

/// Ids of the bots that an owner's row names, in their order; none where there is no row yet.
pub(crate) fn owned_bots(row: Option<&Item>) -> Result<Vec<BotId>, StoreError> {
    row.map_or_else(|| Ok(Vec::new()), |item| Row::new(TABLE, item)?.set("ownedBots"))
}

/// Whether the owner's account is being deleted, by the row that refused a further bot.
pub(super) fn is_closed(row: &Item) -> bool {
    row.contains_key("closedAt")
}

impl Store {
    /// The action that names a bot as its owner's, on the condition that the owner may have it.
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

    /// The action that takes a bot off its owner's row.
    pub(super) fn leave_owner(&self, user: &UserId, bot: &BotId) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #updatedAt = :now DELETE #ownedBots :bots";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(id(user)))
            .update_expression(update)
            .set_expression_attribute_names(names(&[update]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(self.now())),
                (":bots", text_set([bot])),
            ])));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Closes an owner's row: from then on the owner gets no further bot. Returns those that it names: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_owner(&self, user: &UserId) -> Result<Vec<BotId>, StoreError> {
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
        owned_bots(output.attributes.as_ref())
    }
}
