//! Finds which condition of a transaction on a bot failed.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::owner_row;
use crate::{PoolStatus, StoreError, Table, attribute::Item, error::Condition, row::Row};

/// Condition of one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The bot is as it was read, or does not exist yet.
    Bot,
    /// The pool exists and has room for the bot.
    Pool,
    /// No other bot of the owner has the slug.
    Slug,
    /// The owner may have one more bot.
    Owner,
    /// Rows that only this bot has.
    Own,
}

/// Actions of one transaction, each with its condition.
#[derive(Default)]
pub(super) struct Guarded {
    guards: Vec<Guard>,
    actions: Vec<TransactWriteItem>,
}

/// Reason why a transaction on a bot was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The bot is not as it was read.
    Bot,
    /// No such pool, or it is terminated.
    PoolNotFound,
    /// The pool has its limit of bots.
    TooManyBots,
    /// Another bot of the same owner has the slug.
    SlugTaken,
    /// The owner has the limit of bots.
    TooManyOwned,
    /// The owner's account is being deleted.
    OwnerGone,
    /// The pool's row is malformed.
    Store(StoreError),
}

impl Guarded {
    pub(super) fn push(&mut self, guard: Guard, action: TransactWriteItem) {
        self.guards.push(guard);
        self.actions.push(action);
    }

    pub(super) fn actions(&self) -> Vec<TransactWriteItem> {
        self.actions.clone()
    }

    /// Finds the reason. A changed bot comes first: the other failures may be its consequence.
    pub(super) fn refused(&self, conditions: &[Condition]) -> Refused {
        let failed = |wanted: Guard| {
            let mut of_kind = self.guards.iter().zip(conditions).filter(|(guard, _)| **guard == wanted);
            of_kind.find_map(|(_, condition)| match condition {
                Condition::Failed(item) => Some(item.as_ref()),
                Condition::Held => None,
            })
        };
        if failed(Guard::Bot).is_some() || failed(Guard::Own).is_some() {
            return Refused::Bot;
        }
        if let Some(pool) = failed(Guard::Pool) {
            return why_pool_refused(pool);
        }
        match failed(Guard::Owner) {
            Some(Some(owner)) if owner_row::is_closed(owner) => Refused::OwnerGone,
            Some(_) => Refused::TooManyOwned,
            None if failed(Guard::Slug).is_some() => Refused::SlugTaken,
            None => Refused::Bot,
        }
    }
}

fn why_pool_refused(pool: Option<&Item>) -> Refused {
    let Some(item) = pool.filter(|item| !item.is_empty()) else { return Refused::PoolNotFound };
    match Row::new(Table::Pools, item).and_then(|row| row.parsed("status")) {
        Ok(PoolStatus::Terminated) => Refused::PoolNotFound,
        Ok(_) => Refused::TooManyBots,
        Err(error) => Refused::Store(error),
    }
}
