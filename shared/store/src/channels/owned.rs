//! Reads of the channels that a person sees: those of their own bots and those that they have joined.

use portcullis_auth::{ChannelId, UserId};

use super::{Channel, TABLE};
use crate::{
    Bot, BotStatus, Pool, Store, StoreError,
    batch::RowKey,
    bots::{joined_channels, owned_bots, owner_key},
};

/// A channel with the rows that decide whether it works.
#[derive(Clone, Debug)]
pub struct ChannelState {
    /// The channel itself.
    pub channel: Channel,
    /// The channel's bot.
    pub bot: Bot,
    /// The bot's pool; `None` where the bot has none.
    pub pool: Option<Pool>,
}

impl Store {
    /// Lists the channels of a person's bots, in the order of the bots and of the channels' ids, then those that the
    /// person has joined: two calls one after another. The bots come from an index, which may lag behind a change by a
    /// moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channels_of(&self, user: &UserId) -> Result<Vec<Channel>, StoreError> {
        let key = [owner_key(user)];
        let (bots, owner) = tokio::try_join!(self.bots_of(user), self.get_rows(&key))?;
        let joined = joined_channels(owner.first().and_then(Option::as_ref))?;
        let own: Vec<_> = bots.iter().flat_map(|bot| &bot.channels).collect();
        let ids = own.iter().copied().chain(joined.iter().filter(|id| !own.contains(id)));
        let keys: Vec<_> = ids.map(|id| RowKey::new(TABLE, [id.as_str()])).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.get_rows(&keys).await?;
        let channels = rows.iter().flatten().map(Channel::from_item).collect::<Result<Vec<_>, _>>()?;
        let is_seen =
            |channel: &Channel| bots.iter().any(|bot| bot.id == channel.bot) || channel.members.contains(user);
        Ok(channels.into_iter().filter(is_seen).collect())
    }

    /// Reads a channel of one of a person's own bots, or one that the person has joined, consistently: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel_of(&self, user: &UserId, channel: &ChannelId) -> Result<Option<Channel>, StoreError> {
        let keys = [owner_key(user), RowKey::new(TABLE, [channel.as_str()])];
        let [owner, channel] = self.get_rows(&keys).await?.try_into().unwrap_or_default();
        let bots = owned_bots(owner.as_ref())?;
        let channel = channel.as_ref().map(Channel::from_item).transpose()?;
        Ok(channel.filter(|channel| bots.contains(&channel.bot) || channel.members.contains(user)))
    }

    /// Reads a channel as [`Store::channel_of`] does, with its bot and the bot's pool: three calls one after another,
    /// since each row names the next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel_state(&self, user: &UserId, channel: &ChannelId) -> Result<Option<ChannelState>, StoreError> {
        let Some(channel) = self.channel_of(user, channel).await? else { return Ok(None) };
        let bot = self.get_bot(&channel.bot).await?;
        let is_seen = |bot: &Bot| bot.user.as_ref() == Some(user) || channel.members.contains(user);
        let seen = bot.filter(|bot| bot.status != BotStatus::Deleted && is_seen(bot));
        let Some(bot) = seen else { return Ok(None) };
        let pool = match &bot.pool {
            Some(pool) => self.get_pool(pool).await?,
            None => None,
        };
        Ok(Some(ChannelState { channel, bot, pool }))
    }
}
