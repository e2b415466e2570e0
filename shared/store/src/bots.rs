//! `bots`: each bot's owner, pool, status and channels.

mod create;
mod delete;
mod guards;
mod list;
mod owned;
mod owner_row;
mod slug_claim;
mod update;

use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, PoolId, UserId};
use portcullis_contract::words;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, text},
    row::Row,
};
pub use create::{CreateBotError, NewBot};
pub use delete::DeleteBotError;
pub use owner_row::{Belongings, MAXIMUM_OWNED_BOTS};
pub(crate) use owner_row::{is_closed, joined_channels, owned_bots, owner_key};
pub use update::{BotUpdate, Change, SetBotStatusError, UpdateBotError};

const TABLE: Table = Table::Bots;

/// Most bots of one pool.
pub const MAXIMUM_BOTS: usize = 50;

words! {
    /// Lifecycle of a bot: only an active one answers.
    pub enum BotStatus {
        /// It answers.
        Active = "active",
        /// It is left out of its pool's configuration, and its events are dropped.
        Paused = "paused",
        /// Permanent: a deleted bot never returns.
        Deleted = "deleted",
    }
}

/// A bot as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Id of the bot.
    pub id: BotId,
    /// Owner; `None` for a bot that an operator made without one.
    pub user: Option<UserId>,
    /// Display name.
    pub name: String,
    /// Name in paths.
    pub slug: String,
    /// Pool that it runs in.
    pub pool: Option<PoolId>,
    /// Lifecycle; only an active bot answers.
    pub status: BotStatus,
    /// Model that it uses.
    pub model_id: String,
    /// The owner's instructions to the model.
    pub system_prompt: Option<String>,
    /// Channels, in the order of their ids.
    pub channels: Vec<ChannelId>,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
}

impl Bot {
    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        Ok(Self {
            id: row.parsed("id")?,
            user: row.optional_parsed("user")?,
            name: row.text("name")?.to_owned(),
            slug: row.text("slug")?.to_owned(),
            pool: row.optional_parsed("pool")?,
            status: row.parsed("status")?,
            model_id: row.text("modelId")?.to_owned(),
            system_prompt: row.optional_text("systemPrompt")?.map(str::to_owned),
            channels: row.set("channels")?,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
        })
    }
}

impl Store {
    /// Reads a bot's row consistently. A deleted bot is returned, with its status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_bot(&self, bot: &BotId) -> Result<Option<Bot>, StoreError> {
        let item = self.get_row(TABLE, [("id", text(bot))]).await?;
        item.as_ref().map(Bot::from_item).transpose()
    }
}
