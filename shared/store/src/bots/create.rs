//! Making a bot.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::Timestamp;
use portcullis_auth::{BotId, PoolId, UserId};

use super::{
    Bot, BotStatus, MAXIMUM_BOTS, MAXIMUM_OWNED_BOTS, TABLE,
    guards::{Guard, Guarded, Refused},
    slug_claim::SlugClaim,
};
use crate::{
    Store, StoreError,
    attribute::{SCHEMA, attributes, names, schema, text, time},
    error::CallError,
    revision::PoolChange,
    store::built,
};

/// A bot to be made.
#[derive(Clone, Debug)]
pub struct NewBot {
    /// Its id.
    pub id: BotId,
    /// Id of its owner; `None` for a bot that an operator made for nobody yet.
    pub user: Option<UserId>,
    /// Its name, as people read it.
    pub name: String,
    /// Its name in paths, unique among its owner's bots.
    pub slug: String,
    /// The pool that it is to run in.
    pub pool: Option<PoolId>,
    /// The model that it speaks with.
    pub model_id: String,
    /// What its owner tells the model.
    pub system_prompt: Option<String>,
    /// Whether it is paused from the start.
    pub paused: bool,
}

/// Why a bot was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateBotError {
    /// There is a bot of this id, or there was one that is deleted.
    #[error("the bot exists already")]
    AlreadyExists,
    /// There is no such pool, or it is terminated.
    #[error("the pool is not known")]
    PoolNotFound,
    /// The pool has [`MAXIMUM_BOTS`].
    #[error("the pool has its limit of {MAXIMUM_BOTS} bots")]
    TooManyBots,
    /// The slug is another bot's of the same owner.
    #[error("the slug is another bot's of the same owner")]
    SlugTaken,
    /// The owner has [`MAXIMUM_OWNED_BOTS`].
    #[error("the owner has the limit of {MAXIMUM_OWNED_BOTS} bots")]
    TooManyOwned,
    /// The owner's account is being deleted.
    #[error("the owner's account is being deleted")]
    OwnerGone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewBot {
    fn into_bot(self, now: Timestamp) -> Bot {
        Bot {
            id: self.id,
            user: self.user,
            name: self.name,
            slug: self.slug,
            pool: self.pool,
            status: if self.paused { BotStatus::Paused } else { BotStatus::Active },
            model_id: self.model_id,
            system_prompt: self.system_prompt,
            channels: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }
}

impl Store {
    /// Makes a bot, adds it to its pool's, takes its slug, names it as its owner's and raises the pool's revision: one transaction.
    ///
    /// # Errors
    /// [`CreateBotError`].
    pub async fn create_bot(&self, bot: NewBot) -> Result<Bot, CreateBotError> {
        let bot = bot.into_bot(self.now());
        let mut guarded = Guarded::default();
        guarded.push(Guard::Bot, self.put_new_bot(&bot)?);
        if let Some(pool) = &bot.pool {
            guarded.push(Guard::Pool, self.raise_pool_revision(pool, PoolChange::AddBot(&bot.id))?);
        }
        if let Some(claim) = SlugClaim::of(bot.user.as_ref(), &bot.slug) {
            guarded.push(Guard::Slug, self.take_slug(claim, &bot.id)?);
        }
        if let Some(user) = &bot.user {
            guarded.push(Guard::Owner, self.join_owner(user, &bot.id)?);
        }
        match self.transact_write(guarded.actions()).await {
            Ok(()) => Ok(bot),
            Err(CallError::Conditions(conditions)) => Err(match guarded.refused(&conditions) {
                Refused::Bot => CreateBotError::AlreadyExists,
                Refused::PoolNotFound => CreateBotError::PoolNotFound,
                Refused::TooManyBots => CreateBotError::TooManyBots,
                Refused::SlugTaken => CreateBotError::SlugTaken,
                Refused::TooManyOwned => CreateBotError::TooManyOwned,
                Refused::OwnerGone => CreateBotError::OwnerGone,
                Refused::Store(error) => error.into(),
            }),
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
}
