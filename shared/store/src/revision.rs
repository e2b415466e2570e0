//! Actions that raise a pool's revision, in the transaction of each change of its configuration's records.

use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use portcullis_auth::{BotId, ChannelId, PoolId};

use crate::{
    Bot, BotStatus, MAXIMUM_BOTS, MAXIMUM_CHANNELS, PoolStatus, Store, StoreError, Table,
    attribute::{attributes, names, number, schema, size, text, text_set, time},
    store::built,
};

/// Change of a pool's bots.
#[derive(Clone, Copy)]
pub(crate) enum PoolChange<'a> {
    RevisionAlone,
    /// Fails where the pool is terminated.
    Hold,
    /// Fails where the pool is terminated or has its limit of bots.
    AddBot(&'a BotId),
    RemoveBot(&'a BotId),
}

/// Change of a bot.
#[derive(Clone, Copy)]
pub(crate) enum BotChange<'a> {
    /// Fails where the bot has its limit of channels, unless this is one of them.
    AddChannel(&'a ChannelId),
    RemoveChannel(&'a ChannelId),
    /// Only checks that the bot has not moved.
    Nothing,
}

impl Store {
    /// Raises a pool's revision, on the condition that the pool exists.
    pub(crate) fn raise_pool_revision(
        &self,
        pool: &PoolId,
        change: PoolChange<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut update = "SET #updatedAt = :now ADD #revision :one".to_owned();
        let mut condition = "#schema = :schema".to_owned();
        let mut values = attributes([(":schema", schema()), (":now", time(self.now())), (":one", number(1))]);
        match change {
            PoolChange::RevisionAlone => {}
            PoolChange::Hold => {
                condition.push_str(" AND #status <> :terminated");
                values.extend(attributes([(":terminated", text(PoolStatus::Terminated))]));
            }
            PoolChange::AddBot(bot) => {
                update.push_str(", #bots :bots");
                condition.push_str(
                    " AND #status <> :terminated AND (attribute_not_exists(#bots) OR size(#bots) < :maximum)",
                );
                values.extend(attributes([
                    (":bots", text_set([bot])),
                    (":terminated", text(PoolStatus::Terminated)),
                    (":maximum", size(MAXIMUM_BOTS)),
                ]));
            }
            PoolChange::RemoveBot(bot) => {
                update.push_str(" DELETE #bots :bots");
                values.extend(attributes([(":bots", text_set([bot]))]));
            }
        }
        let update = Update::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .set_expression_attribute_names(names(&[&update, &condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition)
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Changes a bot, on the condition that it is not deleted and that its owner and pool are those that were read in
    /// `bot`.
    pub(crate) fn change_bot(&self, bot: &Bot, change: BotChange<'_>) -> Result<TransactWriteItem, StoreError> {
        let mut update = "SET #updatedAt = :now".to_owned();
        let mut condition = "#schema = :schema AND #status <> :deleted".to_owned();
        let mut values =
            attributes([(":schema", schema()), (":now", time(self.now())), (":deleted", text(BotStatus::Deleted))]);
        match &bot.pool {
            Some(pool) => {
                condition.push_str(" AND #pool = :pool");
                values.extend(attributes([(":pool", text(pool))]));
            }
            None => condition.push_str(" AND attribute_not_exists(#pool)"),
        }
        match &bot.user {
            Some(user) => {
                condition.push_str(" AND #user = :user");
                values.extend(attributes([(":user", text(user))]));
            }
            None => condition.push_str(" AND attribute_not_exists(#user)"),
        }
        match change {
            BotChange::Nothing => {}
            BotChange::AddChannel(channel) => {
                update.push_str(" ADD #channels :channels");
                condition.push_str(
                    " AND (attribute_not_exists(#channels) OR size(#channels) < :maximum \
                     OR contains(#channels, :channel))",
                );
                values.extend(attributes([
                    (":channels", text_set([channel])),
                    (":channel", text(channel)),
                    (":maximum", size(MAXIMUM_CHANNELS)),
                ]));
            }
            BotChange::RemoveChannel(channel) => {
                update.push_str(" DELETE #channels :channels");
                values.extend(attributes([(":channels", text_set([channel]))]));
            }
        }
        let update = Update::builder()
            .table_name(self.table_name(Table::Bots))
            .key("id", text(&bot.id))
            .set_expression_attribute_names(names(&[&update, &condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
