//! Reads of a person's own bots.

use aws_sdk_dynamodb::types::Select;
use portcullis_auth::{BotId, UserId};

use super::{Bot, BotStatus, TABLE, owned_bots, owner_key};
use crate::{
    BotAccessError, BotReach, Store, StoreError,
    attribute::{Item, attributes, names, text},
};

/// Index that lists an owner's bots by the time of their creation.
const BY_USER: &str = "byUser";

impl Store {
    /// Lists a person's bots that are not deleted, the oldest first: one call for each 1 MiB of them. The list comes
    /// from an index, which may lag behind a change by a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bots_of(&self, user: &UserId) -> Result<Vec<Bot>, StoreError> {
        let (keys, filter) = ("#user = :user", "#status <> :deleted");
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .index_name(BY_USER)
            .key_condition_expression(keys)
            .filter_expression(filter)
            .set_expression_attribute_names(names(&[keys, filter]))
            .set_expression_attribute_values(Some(attributes([
                (":user", text(user)),
                (":deleted", text(BotStatus::Deleted)),
            ])));
        let (mut bots, mut start): (Vec<Bot>, Option<Item>) = (Vec::new(), None);
        loop {
            let request = request.clone().set_exclusive_start_key(start);
            let output = self.call(|| request.clone().send()).await?;
            for item in output.items.unwrap_or_default() {
                bots.push(Bot::from_item(&item)?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(bots);
            }
        }
    }

    /// Returns whether one of a person's bots has a channel: one call for each 1 MiB of bots, which counts and
    /// transfers none. By an index, which may lag behind a change by a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_channel(&self, user: &UserId) -> Result<bool, StoreError> {
        let (keys, filter) = ("#user = :user", "attribute_exists(#channels) AND #status <> :deleted");
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .index_name(BY_USER)
            .select(Select::Count)
            .key_condition_expression(keys)
            .filter_expression(filter)
            .set_expression_attribute_names(names(&[keys, filter]))
            .set_expression_attribute_values(Some(attributes([
                (":user", text(user)),
                (":deleted", text(BotStatus::Deleted)),
            ])));
        let mut start: Option<Item> = None;
        loop {
            let request = request.clone().set_exclusive_start_key(start);
            let output = self.call(|| request.clone().send()).await?;
            start = output.last_evaluated_key;
            if output.count > 0 || start.is_none() {
                return Ok(output.count > 0);
            }
        }
    }

    /// Reads the ids of a person's own bots consistently: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owned_bots(&self, user: &UserId) -> Result<Vec<BotId>, StoreError> {
        let [owner] = self.get_rows(&[owner_key(user)]).await?.try_into().unwrap_or_default();
        owned_bots(owner.as_ref())
    }

    /// Reads a bot that the caller reaches consistently: one call.
    ///
    /// # Errors
    /// [`BotAccessError`].
    pub async fn bot_within(&self, reach: BotReach<'_>, bot: &BotId) -> Result<Bot, BotAccessError> {
        Ok(self.reach_bot(reach, bot, Vec::new()).await?.0)
    }
}
