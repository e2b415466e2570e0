//! Reads of channels for people: a channel whose bot is deleted counts as gone.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_auth::{BotId, ChannelId};

use super::{Channel, TABLE};
use crate::{Bot, BotStatus, Page, Store, StoreError, Table, batch::RowKey, page::Scan};

impl Store {
    /// Reads a channel of a bot that is not deleted, consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_living_channel(&self, channel: &ChannelId) -> Result<Option<Channel>, StoreError> {
        let Some(known) = self.get_channel(channel).await? else { return Ok(None) };
        let bots = self.deleted_bots(std::slice::from_ref(&known)).await?;
        Ok(Some(known).filter(|known| !bots.contains(&known.bot)))
    }

    /// Returns a page of the channels of bots that are not deleted, in the table's order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_channels(&self, limit: usize, after: Option<String>) -> Result<Page<Channel>, StoreError> {
        let scan = Scan {
            table: TABLE,
            projection: "#schema, #id, #bot, #channelType, #connectionMode, #accountId, #status, #teamId, #appId, #teamName, \
                #botUserId, #platformApp, #rateLimitedAt, #members, #createdAt, #updatedAt",
            filter: None,
        };
        let mut page = self.scan_page(scan, limit, after, Channel::from_item).await?;
        let deleted = self.deleted_bots(&page.items).await?;
        page.items.retain(|channel| !deleted.contains(&channel.bot));
        Ok(page)
    }

    /// Deleted ones among the channels' bots.
    async fn deleted_bots(&self, channels: &[Channel]) -> Result<BTreeSet<BotId>, StoreError> {
        let bots: BTreeMap<&BotId, RowKey> =
            channels.iter().map(|channel| (&channel.bot, RowKey::new(Table::Bots, [channel.bot.as_str()]))).collect();
        let keys: Vec<_> = bots.into_values().collect();
        let rows = self.get_rows(&keys).await?;
        let bots = rows.iter().flatten().map(Bot::from_item).collect::<Result<Vec<_>, _>>()?;
        Ok(bots.into_iter().filter(|bot| bot.status == BotStatus::Deleted).map(|bot| bot.id).collect())
    }
}
