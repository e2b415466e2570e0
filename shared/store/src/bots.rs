//! `bots`: each bot's owner, pool, status and channels.

use std::{fmt, str::FromStr};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::Timestamp;
use portcullis_auth::{BotId, ChannelId, PoolId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    PoolStatus, Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, names, schema, text, time},
    backoff::Backoff,
    error::{CallError, Condition},
    revision::{BotChange, PoolChange},
    row::Row,
    store::built,
};

const TABLE: Table = Table::Bots;

/// The most bots that a pool may have.
pub const MAXIMUM_BOTS: usize = 50;

/// Whether a bot answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the contract's")]
pub enum BotStatus {
    Active,
    Paused,
    /// For good.
    Deleted,
}

impl BotStatus {
    /// The status as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for BotStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Not a bot's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be active, paused or deleted")]
pub struct InvalidBotStatus;

impl FromStr for BotStatus {
    type Err = InvalidBotStatus;

    fn from_str(text: &str) -> Result<Self, InvalidBotStatus> {
        [Self::Active, Self::Paused, Self::Deleted]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(InvalidBotStatus)
    }
}

/// A bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its id.
    pub id: BotId,
    /// Id of its owner; `None` for a bot that an operator made for nobody yet.
    pub user: Option<UserId>,
    /// Its name, as people read it.
    pub name: String,
    /// Its name in paths.
    pub slug: String,
    /// The pool that it runs in.
    pub pool: Option<PoolId>,
    /// Whether it answers.
    pub status: BotStatus,
    /// The model that it speaks with.
    pub model_id: String,
    /// What its owner tells the model.
    pub system_prompt: Option<String>,
    /// Its channels, in the order of their ids.
    pub channels: Vec<ChannelId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// A bot to be made; it is active from the start.
#[derive(Clone, Debug)]
pub struct NewBot {
    /// Its id.
    pub id: BotId,
    /// Id of its owner; `None` for a bot that an operator made for nobody yet.
    pub user: Option<UserId>,
    /// Its name, as people read it.
    pub name: String,
    /// Its name in paths.
    pub slug: String,
    /// The pool that it is to run in.
    pub pool: Option<PoolId>,
    /// The model that it speaks with.
    pub model_id: String,
    /// What its owner tells the model.
    pub system_prompt: Option<String>,
}

/// Why a bot was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateBotError {
    /// There is a bot of this id.
    #[error("the bot exists already")]
    AlreadyExists,
    /// There is no such pool, or it is terminated.
    #[error("the pool is not known")]
    PoolNotFound,
    /// The pool has [`MAXIMUM_BOTS`].
    #[error("the pool has its limit of {MAXIMUM_BOTS} bots")]
    TooManyBots,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a bot's status was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetBotStatusError {
    /// There is no such bot, or it is deleted.
    #[error("the bot is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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

impl NewBot {
    fn into_bot(self, now: Timestamp) -> Bot {
        Bot {
            id: self.id,
            user: self.user,
            name: self.name,
            slug: self.slug,
            pool: self.pool,
            status: BotStatus::Active,
            model_id: self.model_id,
            system_prompt: self.system_prompt,
            channels: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }
}

impl Store {
    /// The bot's row, read consistently. A deleted bot is still there, as deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_bot(&self, bot: &BotId) -> Result<Option<Bot>, StoreError> {
        let item = self.get_row(TABLE, [("id", text(bot))]).await?;
        item.as_ref().map(Bot::from_item).transpose()
    }

    /// Makes a bot, adds it to its pool's and raises the pool's revision: one transaction.
    ///
    /// # Errors
    /// [`CreateBotError`].
    pub async fn create_bot(&self, bot: NewBot) -> Result<Bot, CreateBotError> {
        let bot = bot.into_bot(self.now());
        let mut actions = vec![self.put_new_bot(&bot)?];
        if let Some(pool) = &bot.pool {
            actions.push(self.raise_pool_revision(pool, PoolChange::AddBot(&bot.id))?);
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(bot),
            Err(CallError::Conditions(conditions)) => Err(why_not_created(&conditions)),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    fn put_new_bot(&self, bot: &Bot) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id)";
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(&bot.id)),
            ("name", text(&bot.name)),
            ("slug", text(&bot.slug)),
            ("status", text(bot.status)),
            ("modelId", text(&bot.model_id)),
            ("createdAt", time(bot.created_at)),
            ("updatedAt", time(bot.updated_at)),
        ]);
        row.extend(bot.user.iter().map(|user| ("user".to_owned(), text(user))));
        row.extend(bot.pool.iter().map(|pool| ("pool".to_owned(), text(pool))));
        row.extend(bot.system_prompt.iter().map(|prompt| ("systemPrompt".to_owned(), text(prompt))));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Pauses a bot, lets it answer again or deletes it, and raises its pool's revision, in one transaction. Deleting
    /// is for good, and takes the bot from its pool's.
    ///
    /// # Errors
    /// [`SetBotStatusError`].
    pub async fn set_bot_status(&self, bot: &BotId, status: BotStatus) -> Result<(), SetBotStatusError> {
        let pool_change =
            if status == BotStatus::Deleted { PoolChange::RemoveBot(bot) } else { PoolChange::RevisionAlone };
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_bot(bot).await?.filter(|bot| bot.status != BotStatus::Deleted);
            let known = known.ok_or(SetBotStatusError::NotFound)?;
            let mut actions = vec![self.change_bot(&known, BotChange::Status(status))?];
            if let Some(pool) = &known.pool {
                actions.push(self.raise_pool_revision(pool, pool_change)?);
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                // It was deleted or moved since it was read.
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }
}

/// Which condition of the two actions of [`Store::create_bot`] did not hold.
fn why_not_created(conditions: &[Condition]) -> CreateBotError {
    match conditions {
        [Condition::Failed(_), ..] => CreateBotError::AlreadyExists,
        [_, Condition::Failed(Some(pool))] if !pool.is_empty() => match pool_status(pool) {
            Ok(PoolStatus::Terminated) => CreateBotError::PoolNotFound,
            Ok(_) => CreateBotError::TooManyBots,
            Err(error) => error.into(),
        },
        _ => CreateBotError::PoolNotFound,
    }
}

fn pool_status(item: &Item) -> Result<PoolStatus, StoreError> {
    Row::new(Table::Pools, item)?.parsed("status")
}
