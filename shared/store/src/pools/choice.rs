//! Choice of a pool for a new bot.

use jiff::SignedDuration;
use portcullis_auth::PoolId;

use super::{Pool, PoolStatus};
use crate::{Bot, CreateBotError, MAXIMUM_BOTS, NewBot, Store, StoreError};

/// Age up to which a pool's last heartbeat counts as recent.
const HEARTBEAT_COUNTS_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Pools that one call of the list reads.
const POOLS_A_PAGE: usize = 100;

/// Reason why a bot was not placed in a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceBotError {
    /// No active pool has room.
    #[error("no active pool has room for a further bot")]
    NoPool,
    /// The bot was not created.
    #[error(transparent)]
    Create(#[from] CreateBotError),
}

impl Pool {
    /// Returns whether the last heartbeat is recent.
    #[must_use]
    pub fn is_alive(&self, now: jiff::Timestamp) -> bool {
        now.duration_since(self.last_seen_at) <= HEARTBEAT_COUNTS_FOR
    }

    fn takes_bots(&self, now: jiff::Timestamp) -> bool {
        self.status == PoolStatus::Active && self.is_alive(now) && self.bots.len() < MAXIMUM_BOTS
    }
}

impl Store {
    /// Creates a bot in the active pool that has the fewest bots. A pool that fills up or ends meanwhile is skipped:
    /// the limit is a condition of the transaction that adds the bot.
    ///
    /// # Errors
    /// [`PlaceBotError`].
    pub async fn place_bot(&self, new: &NewBot) -> Result<Bot, PlaceBotError> {
        for pool in self.pools_for_a_bot().await.map_err(CreateBotError::Store)? {
            match self.create_bot(NewBot { pool: Some(pool), ..new.clone() }).await {
                Ok(bot) => return Ok(bot),
                Err(CreateBotError::TooManyBots | CreateBotError::PoolNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PlaceBotError::NoPool)
    }

    /// Lists active pools with a recent heartbeat and room, the one with the fewest bots first.
    async fn pools_for_a_bot(&self) -> Result<Vec<PoolId>, StoreError> {
        let now = self.now();
        let (mut pools, mut after) = (Vec::new(), None);
        loop {
            let page = self.list_pools(POOLS_A_PAGE, after).await?;
            pools.extend(page.items.into_iter().filter(|pool| pool.takes_bots(now)));
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        pools.sort_by(|a, b| a.bots.len().cmp(&b.bots.len()).then_with(|| a.id.cmp(&b.id)));
        Ok(pools.into_iter().map(|pool| pool.id).collect())
    }
}
