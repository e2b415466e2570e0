//! Access to bots: which caller reaches which bot.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use portcullis_auth::{BotId, Generation, PoolId, UserId};

use crate::{
    Bot, BotStatus, PoolError, PoolStatus, Store, StoreError, Table,
    attribute::{Item, attributes, names, number, text},
    batch::RowKey,
    pool_access::PoolReach,
    store::built,
};

/// Caller on whose behalf a bot is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotReach<'a> {
    /// Static token: every bot.
    Any,
    /// Runtime token of this pool and generation: the pool's bots.
    PoolMachine(&'a PoolId, Generation),
    /// Skill token of this pool and generation: the pool's bots.
    Skill(&'a PoolId, Generation),
    /// Session of this person: the person's own bots.
    Owner(&'a UserId),
}

/// Reason why a bot is not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BotAccessError {
    /// No such bot, it is deleted, or another person owns it.
    #[error("the bot is not known")]
    NotFound,
    /// The bot is unknown, or is in another pool than the one that the caller's token is bound to.
    #[error("the bot is not the pool's")]
    NotOfPool,
    /// The caller's token is of another generation than the pool's.
    #[error("the caller's token has been revoked")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BotReach<'_> {
    /// Key of the pool's row that decides whether the caller's token still counts; a static token needs none.
    pub(crate) fn pool_key(&self) -> Option<RowKey> {
        match self {
            Self::Any | Self::Owner(_) => None,
            Self::PoolMachine(pool, _) | Self::Skill(pool, _) => Some(RowKey::new(Table::Pools, [pool.as_str()])),
        }
    }

    /// Pool that the caller's token is bound to, and the attribute of the pool's row with the current generation.
    fn bound_to(&self) -> Option<(&PoolId, &'static str, Generation)> {
        match self {
            Self::Any | Self::Owner(_) => None,
            Self::PoolMachine(pool, generation) => Some((pool, "runtimeGeneration", *generation)),
            Self::Skill(pool, generation) => Some((pool, "skillGeneration", *generation)),
        }
    }

    /// Checks that the caller's token still counts, against the row at [`BotReach::pool_key`].
    pub(crate) fn check_generation(&self, pool: Option<&Item>) -> Result<(), BotAccessError> {
        let Some((_, attribute, generation)) = self.bound_to() else { return Ok(()) };
        match PoolReach::While(generation).admit_to(pool, attribute) {
            Ok(_) => Ok(()),
            Err(PoolError::Store(error)) => Err(error.into()),
            Err(PoolError::NotFound | PoolError::Revoked) => Err(BotAccessError::Revoked),
        }
    }

    /// Returns the bot, if the caller may reach it.
    pub(crate) fn check_bot(&self, bot: Option<&Item>) -> Result<Bot, BotAccessError> {
        let bot = bot.map(Bot::from_item).transpose()?.filter(|bot| bot.status != BotStatus::Deleted);
        match self {
            Self::Any | Self::Owner(_) => bot.filter(|bot| self.admits(bot)).ok_or(BotAccessError::NotFound),
            Self::PoolMachine(..) | Self::Skill(..) => {
                bot.filter(|bot| self.admits(bot)).ok_or(BotAccessError::NotOfPool)
            }
        }
    }

    /// Returns whether the caller may reach the bot.
    pub(crate) fn admits(&self, bot: &Bot) -> bool {
        match self {
            Self::Any => true,
            Self::Owner(user) => bot.user.as_ref() == Some(*user),
            Self::PoolMachine(pool, _) | Self::Skill(pool, _) => bot.pool.as_ref() == Some(*pool),
        }
    }
}

impl Store {
    /// Condition that the caller's token still counts when the transaction commits; a static token needs none. It goes
    /// behind all other actions.
    pub(crate) fn while_it_counts(&self, reach: BotReach<'_>) -> Result<Option<TransactWriteItem>, StoreError> {
        let Some((pool, attribute, generation)) = reach.bound_to() else { return Ok(None) };
        let condition = format!("#status <> :terminated AND #{attribute} = :generation");
        let check = ConditionCheck::builder()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .set_expression_attribute_names(names(&[&condition]))
            .set_expression_attribute_values(Some(attributes([
                (":terminated", text(PoolStatus::Terminated)),
                (":generation", number(generation.0)),
            ])))
            .condition_expression(condition);
        Ok(Some(TransactWriteItem::builder().condition_check(built(check.build())?).build()))
    }

    /// Checks that the caller reaches a bot: one call.
    ///
    /// # Errors
    /// [`BotAccessError`].
    pub async fn check_bot(&self, reach: BotReach<'_>, bot: &BotId) -> Result<(), BotAccessError> {
        self.reach_bot(reach, bot, Vec::new()).await.map(drop)
    }

    /// Reads a bot that the caller may reach, and the rows at `others`: one call.
    pub(crate) async fn reach_bot(
        &self,
        reach: BotReach<'_>,
        bot: &BotId,
        others: Vec<RowKey>,
    ) -> Result<(Bot, Vec<Option<Item>>), BotAccessError> {
        let mut keys = vec![RowKey::new(Table::Bots, [bot.as_str()])];
        keys.extend(others);
        let pool_key = reach.pool_key();
        let is_bound = pool_key.is_some();
        keys.extend(pool_key);
        let mut rows = self.get_rows(&keys).await?;
        let pool = if is_bound { rows.pop().flatten() } else { None };
        reach.check_generation(pool.as_ref())?;
        let others = rows.split_off(1);
        let bot = reach.check_bot(rows.pop().flatten().as_ref())?;
        Ok((bot, others))
    }
}
