//! Reading the channels of a person's own bots.

use portcullis_auth::{ChannelId, UserId};

use super::{Channel, TABLE};
use crate::{
    Bot, BotStatus, Pool, Store, StoreError,
    batch::RowKey,
    bots::{owned_bots, owner_key},
};

/// A channel with what decides on whether it works.
#[derive(Clone, Debug)]
pub struct ChannelState {
    /// The channel.
    pub channel: Channel,
    /// Its bot.
    pub bot: Bot,
    /// The bot's pool; `None` where the bot is in none.
    pub pool: Option<Pool>,
}

impl Store {
    /// The channels of these bots, in the order of the bots and of their ids: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channels_of(&self, bots: &[Bot]) -> Result<Vec<Channel>, StoreError> {
        let keys: Vec<_> =
            bots.iter().flat_map(|bot| &bot.channels).map(|id| RowKey::new(TABLE, [id.as_str()])).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.get_rows(&keys).await?;
        let channels = rows.iter().flatten().map(Channel::from_item).collect::<Result<Vec<_>, _>>()?;
        Ok(channels.into_iter().filter(|channel| bots.iter().any(|bot| bot.id == channel.bot)).collect())
    }

    /// A channel of one of a person's own bots, read consistently: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel_of(&self, user: &UserId, channel: &ChannelId) -> Result<Option<Channel>, StoreError> {
        let keys = [owner_key(user), RowKey::new(TABLE, [channel.as_str()])];
        let [owner, channel] = self.get_rows(&keys).await?.try_into().unwrap_or_default();
        let bots = owned_bots(owner.as_ref())?;
        let channel = channel.as_ref().map(Channel::from_item).transpose()?;
        Ok(channel.filter(|channel| bots.contains(&channel.bot)))
    }

    /// A channel of one of a person's own bots with its bot and the bot's pool: three calls one after another, since each row
    /// names the next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel_state(&self, user: &UserId, channel: &ChannelId) -> Result<Option<ChannelState>, StoreError> {
        let Some(channel) = self.channel_of(user, channel).await? else { return Ok(None) };
        let bot = self.get_bot(&channel.bot).await?;
        let owned = bot.filter(|bot| bot.status != BotStatus::Deleted && bot.user.as_ref() == Some(user));
        let Some(bot) = owned else { return Ok(None) };
        let pool = match &bot.pool {
            Some(pool) => self.get_pool(pool).await?,
            None => None,
        };
        Ok(Some(ChannelState { channel, bot, pool }))
    }
}
