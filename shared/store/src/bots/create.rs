//! Creation of a bot.

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

/// A bot to create.
#[derive(Clone, Debug)]
pub struct NewBot {
    /// Id of the bot.
    pub id: BotId,
    /// Owner; `None` for a bot that an operator makes without one.
    pub user: Option<UserId>,
    /// Display name.
    pub name: String,
    /// Name in paths, unique among its owner's bots.
    pub slug: String,
    /// Pool that it will run in.
    pub pool: Option<PoolId>,
    /// Model that it uses.
    pub model_id: String,
    /// The owner's instructions to the model.
    pub system_prompt: Option<String>,
    /// Whether it starts paused.
    pub paused: bool,
}

/// Reason why a bot was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateBotError {
    /// A bot of this id exists, or existed and is deleted.
    #[error("the bot exists already")]
    AlreadyExists,
    /// No such pool, or it is terminated.
    #[error("the pool is not known")]
    PoolNotFound,
    /// The pool has [`MAXIMUM_BOTS`].
    #[error("the pool has its limit of {MAXIMUM_BOTS} bots")]
    TooManyBots,
    /// Another bot of the same owner has the slug.
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
    /// Creates a bot in one transaction: adds it to its pool's bots, claims its slug, adds it to its owner's row and
    /// raises the pool's revision.
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
