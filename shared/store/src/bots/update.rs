//! Update of a bot: its name, model, prompt, slug, owner, status and pool.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::{BotId, PoolId, UserId};

use super::{
    Bot, BotStatus, DeleteBotError, MAXIMUM_BOTS, MAXIMUM_OWNED_BOTS, TABLE,
    guards::{Guard, Guarded, Refused},
    slug_claim::SlugClaim,
};
use crate::{
    BotReach, Store, StoreError,
    attribute::{Item, attributes, names, schema, text, time},
    backoff::Backoff,
    error::CallError,
    revision::PoolChange,
    store::built,
};

/// Change of an attribute that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Keeps the value.
    #[default]
    Keep,
    /// Removes the attribute.
    Remove,
    /// Sets this value.
    Set(T),
}

/// Changes of a bot. The default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct BotUpdate {
    /// New display name.
    pub name: Option<String>,
    /// New name in paths, unique among its owner's bots.
    pub slug: Option<String>,
    /// New model.
    pub model_id: Option<String>,
    /// New instructions to the model.
    pub system_prompt: Change<String>,
    /// New owner.
    pub user: Change<UserId>,
    /// New pool. It must exist and not be terminated, even where the bot is in it already.
    pub pool: Change<PoolId>,
    /// Pauses or resumes the bot.
    pub paused: Option<bool>,
}

/// Reason why a bot was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateBotError {
    /// No such bot, or the caller may not reach it.
    #[error("the bot is not known")]
    NotFound,
    /// The bot is deleted, which is permanent.
    #[error("the bot is deleted")]
    Deleted,
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

/// Reason why a bot's status was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetBotStatusError {
    /// No such bot, or it is deleted.
    #[error("the bot is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<T> Change<T> {
    /// Converts the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::Set(value) => Change::Set(change(value)),
        }
    }

    /// Value to set; `None` for the other variants.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Clone> Change<T> {
    fn applied_to(&self, known: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => known.cloned(),
            Self::Remove => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl BotUpdate {
    fn applied_to(&self, known: &Bot, now: Timestamp) -> Bot {
        let mut next = known.clone();
        next.name.clone_from(self.name.as_ref().unwrap_or(&known.name));
        next.slug.clone_from(self.slug.as_ref().unwrap_or(&known.slug));
        next.model_id.clone_from(self.model_id.as_ref().unwrap_or(&known.model_id));
        next.system_prompt = self.system_prompt.applied_to(known.system_prompt.as_ref());
        next.user = self.user.applied_to(known.user.as_ref());
        next.pool = self.pool.applied_to(known.pool.as_ref());
        match self.paused {
            Some(true) => next.status = BotStatus::Paused,
            Some(false) => next.status = BotStatus::Active,
            None => {}
        }
        next.updated_at = now;
        next
    }
}

/// Parts of an update expression.
#[derive(Default)]
struct Expression {
    set: Vec<String>,
    remove: Vec<String>,
    values: Item,
}

impl Expression {
    fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.set.push(format!("#{attribute} = :{attribute}"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn change<T: std::fmt::Display>(&mut self, attribute: &str, change: &Change<T>) {
        match change {
            Change::Keep => {}
            Change::Remove => self.remove.push(format!("#{attribute}")),
            Change::Set(value) => self.set(attribute, text(value)),
        }
    }

    fn text(&self) -> String {
        let set = format!("SET {}", self.set.join(", "));
        if self.remove.is_empty() { set } else { format!("{set} REMOVE {}", self.remove.join(", ")) }
    }
}

impl Store {
    /// Changes a bot in one transaction, which raises the revision of its pool. A move removes it from the old pool's
    /// bots, adds it to the new pool's and raises both revisions: the old pool gets nothing of the bot from then on.
    /// Attributes that the update leaves out keep the value that another writer may give them meanwhile.
    ///
    /// # Errors
    /// [`UpdateBotError`].
    pub async fn update_bot(
        &self,
        reach: BotReach<'_>,
        bot: &BotId,
        update: &BotUpdate,
    ) -> Result<Bot, UpdateBotError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.get_bot(bot).await?.filter(|bot| reach.admits(bot)).ok_or(UpdateBotError::NotFound)?;
            if known.status == BotStatus::Deleted {
                return Err(UpdateBotError::Deleted);
            }
            let next = update.applied_to(&known, self.now());
            let guarded = self.update_actions(&known, &next, update)?;
            match self.transact_write(guarded.actions()).await {
                Ok(()) => return Ok(next),
                Err(CallError::Conditions(conditions)) => match guarded.refused(&conditions) {
                    Refused::Bot => self.wait_after_race(&mut backoff).await?,
                    Refused::PoolNotFound => return Err(UpdateBotError::PoolNotFound),
                    Refused::TooManyBots => return Err(UpdateBotError::TooManyBots),
                    Refused::SlugTaken => return Err(UpdateBotError::SlugTaken),
                    Refused::TooManyOwned => return Err(UpdateBotError::TooManyOwned),
                    Refused::OwnerGone => return Err(UpdateBotError::OwnerGone),
                    Refused::Store(error) => return Err(error.into()),
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Pauses, resumes or deletes a bot.
    ///
    /// # Errors
    /// [`SetBotStatusError`].
    pub async fn set_bot_status(&self, bot: &BotId, status: BotStatus) -> Result<(), SetBotStatusError> {
        let paused = match status {
            BotStatus::Deleted => {
                return self.delete_bot(BotReach::Any, bot).await.map_err(|error| match error {
                    DeleteBotError::NotFound => SetBotStatusError::NotFound,
                    DeleteBotError::Store(error) => error.into(),
                });
            }
            BotStatus::Active => false,
            BotStatus::Paused => true,
        };
        let update = BotUpdate { paused: Some(paused), ..BotUpdate::default() };
        match self.update_bot(BotReach::Any, bot, &update).await {
            Ok(_) => Ok(()),
            Err(UpdateBotError::Store(error)) => Err(error.into()),
            Err(_) => Err(SetBotStatusError::NotFound),
        }
    }

    fn update_actions(&self, known: &Bot, next: &Bot, update: &BotUpdate) -> Result<Guarded, StoreError> {
        let mut guarded = Guarded::default();
        guarded.push(Guard::Bot, self.update_row(known, update)?);
        if known.pool == next.pool {
            if let Some(pool) = &next.pool {
                let is_named = update.pool != Change::Keep;
                let change = if is_named { PoolChange::Hold } else { PoolChange::RevisionAlone };
                guarded.push(Guard::Pool, self.raise_pool_revision(pool, change)?);
            }
        } else {
            if let Some(pool) = &known.pool {
                guarded.push(Guard::Own, self.raise_pool_revision(pool, PoolChange::RemoveBot(&known.id))?);
            }
            if let Some(pool) = &next.pool {
                guarded.push(Guard::Pool, self.raise_pool_revision(pool, PoolChange::AddBot(&known.id))?);
            }
        }
        let held = SlugClaim::of(known.user.as_ref(), &known.slug);
        let wanted = SlugClaim::of(next.user.as_ref(), &next.slug);
        if held != wanted {
            if let Some(claim) = held {
                guarded.push(Guard::Own, self.free_slug(claim, &known.id)?);
            }
            if let Some(claim) = wanted {
                guarded.push(Guard::Slug, self.take_slug(claim, &known.id)?);
            }
        }
        if known.user != next.user {
            if let Some(user) = &known.user {
                guarded.push(Guard::Own, self.leave_owner(user, &known.id)?);
            }
            if let Some(user) = &next.user {
                guarded.push(Guard::Owner, self.join_owner(user, &known.id)?);
            }
        }
        Ok(guarded)
    }

    /// Changes the bot's own row, on the condition that it is not deleted and that its pool, owner and slug, on which
    /// the transaction's other actions depend, are those that were read.
    fn update_row(&self, known: &Bot, update: &BotUpdate) -> Result<TransactWriteItem, StoreError> {
        let mut expression = Expression::default();
        expression.set("updatedAt", time(self.now()));
        for (attribute, value) in [("name", &update.name), ("slug", &update.slug), ("modelId", &update.model_id)] {
            if let Some(value) = value {
                expression.set(attribute, text(value));
            }
        }
        expression.change("systemPrompt", &update.system_prompt);
        expression.change("user", &update.user);
        expression.change("pool", &update.pool);
        if let Some(paused) = update.paused {
            expression.set("status", text(if paused { BotStatus::Paused } else { BotStatus::Active }));
        }
        let mut condition = "#schema = :schema AND #status <> :deleted AND #slug = :readSlug".to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":deleted", text(BotStatus::Deleted)),
            (":readSlug", text(&known.slug)),
        ]);
        let reads = [
            ("pool", ":readPool", known.pool.as_ref().map(text)),
            ("user", ":readUser", known.user.as_ref().map(text)),
        ];
        for (attribute, name, read) in reads {
            match read {
                Some(read) => {
                    condition = format!("{condition} AND #{attribute} = {name}");
                    values.insert(name.to_owned(), read);
                }
                None => condition = format!("{condition} AND attribute_not_exists(#{attribute})"),
            }
        }
        let text = expression.text();
        values.extend(expression.values);
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", crate::attribute::text(&known.id))
            .set_expression_attribute_names(names(&[&text, &condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(text)
            .condition_expression(condition);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
