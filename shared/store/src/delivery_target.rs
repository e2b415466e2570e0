//! Rows that one delivery needs.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use portcullis_auth::{BotId, ChannelId, PoolId, SigningSecret};

use crate::{
    Bot, BotStatus, Channel, ConnectionMode, Pool, Stall, Store, StoreError, Table, batch::RowKey,
    channel_credentials::Kind, stalled_pools,
};

/// Destination of an event.
#[derive(Debug)]
pub struct DeliveryTarget {
    /// Channel with its delivery secret; `None` where the channel is unknown, takes no events by webhook, or its bot is
    /// deleted.
    pub channel: Option<(Channel, SigningSecret)>,
    /// Bot, which may be deleted; `None` where it never existed.
    pub bot: Option<Bot>,
    /// The bot's pool as it is now; `None` where the bot has none or the pool is unknown.
    pub pool: Option<Pool>,
    /// Circuit of the pool, where it is open.
    pub stall: Option<Stall>,
}

/// Most bots whose pool is cached.
const CAPACITY: usize = 10_000;

/// A bounded in-memory cache of each bot's pool, so that the pool's row can be read in the same call as the bot's. A
/// wrong guess costs one more call and decides nothing.
#[derive(Debug, Default)]
pub struct PoolGuesses {
    pools: Mutex<HashMap<BotId, PoolId>>,
}

impl PoolGuesses {
    fn get(&self, bot: &BotId) -> Option<PoolId> {
        self.lock().get(bot).cloned()
    }

    fn learn(&self, bot: &BotId, pool: &PoolId) {
        let mut pools = self.lock();
        if pools.len() >= CAPACITY {
            pools.clear();
        }
        pools.insert(bot.clone(), pool.clone());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BotId, PoolId>> {
        // A guess has no invariant that a panic could break.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Reads a channel with the secret that its deliveries are signed with, a bot and the bot's pool: one call, two
    /// where the bot's pool was guessed wrong.
    ///
    /// # Errors
    /// [`StoreError`], also where the secret is missing or does not open: an event must not be dropped for that.
    pub async fn delivery_target(
        &self,
        channel: &ChannelId,
        bot: &BotId,
        guesses: &PoolGuesses,
    ) -> Result<DeliveryTarget, StoreError> {
        let kind = Kind::DeliverySecret;
        let mut keys = vec![
            RowKey::new(Table::Channels, [channel.as_str()]),
            RowKey::new(Table::ChannelCredentials, [channel.as_str(), kind.as_str()]),
            RowKey::new(Table::Bots, [bot.as_str()]),
        ];
        let guess = guesses.get(bot);
        keys.extend(guess.iter().flat_map(pool_keys));
        let mut rows = self.get_rows(&keys).await?.into_iter();
        let (known, credential, bot) = (rows.next().flatten(), rows.next().flatten(), rows.next().flatten());
        let bot = bot.as_ref().map(Bot::from_item).transpose()?;
        let pool = bot.as_ref().and_then(|bot| bot.pool.as_ref());
        let mut pool_rows: Vec<_> = rows.collect();
        if let (Some(bot), Some(pool)) = (&bot, pool)
            && guess.as_ref() != Some(pool)
        {
            pool_rows = self.get_rows(&pool_keys(pool)).await?;
            guesses.learn(&bot.id, pool);
        }
        let mut pool_rows = pool_rows.into_iter().map(|row| row.filter(|_| pool.is_some()));
        let (pool, stall) = (pool_rows.next().flatten(), pool_rows.next().flatten());
        let pool = pool.as_ref().map(Pool::from_item).transpose()?;
        let stall = stall.map(|item| Stall::from_item(&item, self.now())).transpose()?.flatten();
        // Channels of a deleted bot count as gone: their credentials went with it.
        let is_deleted = bot.as_ref().is_some_and(|bot| bot.status == BotStatus::Deleted);
        let known = known.filter(|_| !is_deleted).as_ref().map(Channel::from_item).transpose()?;
        // A channel whose pool opens the connection itself has no delivery secret: events queued before the change are
        // useless.
        let Some(known) = known.filter(|known| known.connection_mode == ConnectionMode::Webhook) else {
            return Ok(DeliveryTarget { channel: None, bot, pool, stall });
        };
        let missing = StoreError::Malformed { table: Table::ChannelCredentials.name(), attribute: "value" };
        let credential = credential.ok_or(missing)?;
        let secret = self.open_signing_secret(channel, kind, &credential).await?;
        Ok(DeliveryTarget { channel: Some((known, secret)), bot, pool, stall })
    }
}

fn pool_keys(pool: &PoolId) -> [RowKey; 2] {
    [RowKey::new(Table::Pools, [pool.as_str()]), stalled_pools::key(pool)]
}
