//! Titles of conversations.

use futures_util::future::try_join_all;
use portcullis_auth::BotId;
use portcullis_contract::Title;

use super::{Session, TABLE};
use crate::{
    Store, StoreError,
    attribute::{Item, attributes, epoch_seconds, names, number, schema, text, time},
    error::CallError,
    page::BY_BOT_AND_TIME,
};

/// Newest sessions of a bot that are searched.
const NEWEST: i32 = 100;

impl Store {
    /// Lists sessions whose title is a placeholder, at most `maximum`, among each bot's newest 100. The list comes from
    /// an index, which may lag: [`Store::fill_title`] decides. One call a bot, side by side.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn untitled_sessions(&self, bots: &[BotId], maximum: usize) -> Result<Vec<Session>, StoreError> {
        let of_bots = try_join_all(bots.iter().map(|bot| self.untitled_of(bot))).await?;
        let live = of_bots.iter().flatten().filter_map(|item| Session::live(item, self.now()).transpose());
        live.take(maximum).collect()
    }

    async fn untitled_of(&self, bot: &BotId) -> Result<Vec<Item>, StoreError> {
        let (keys, filter) = ("#bot = :bot", "attribute_exists(#titleIsProvisional)");
        let request = self
            .client()
            .query()
            .table_name(self.table_name(TABLE))
            .index_name(BY_BOT_AND_TIME)
            .scan_index_forward(false)
            .limit(NEWEST)
            .key_condition_expression(keys)
            .filter_expression(filter)
            .set_expression_attribute_names(names(&[keys, filter]))
            .expression_attribute_values(":bot", text(bot));
        Ok(self.call(|| request.clone().send()).await?.items.unwrap_or_default())
    }

    /// Sets a session's title, unless it has one of its own by now or has expired. Returns whether it did: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fill_title(&self, session: &str, title: &Title) -> Result<bool, StoreError> {
        let now = self.now();
        let update = "SET #title = :title, #updatedAt = :now REMOVE #titleIsProvisional ADD #revision :one";
        let condition = "#schema = :schema AND #expiresAt > :nowSeconds AND attribute_exists(#titleIsProvisional)";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(session))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":title", text(title)),
                (":now", time(now)),
                (":nowSeconds", epoch_seconds(now)),
                (":one", number(1)),
            ])));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}
