//! Which condition of a transaction on a bot did not hold.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::owner_row;
use crate::{PoolStatus, StoreError, Table, attribute::Item, error::Condition, row::Row};

/// The condition of one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The bot is as it was read, or is not there yet.
    Bot,
    /// The pool is there, and takes the bot.
    Pool,
    /// The slug is no other bot's of its owner.
    Slug,
    /// The owner may have one more bot.
    Owner,
    /// The rest: rows that are this bot's own.
    Own,
}

/// The actions of one transaction, each with the condition that it stands under.
#[derive(Default)]
pub(super) struct Guarded {
    guards: Vec<Guard>,
    actions: Vec<TransactWriteItem>,
}

/// Why a transaction on a bot was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The bot is not as it was read.
    Bot,
    /// There is no such pool, or it is terminated.
    PoolNotFound,
    /// The pool has its limit of bots.
    TooManyBots,
    /// The slug is another bot's of the same owner.
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

    /// Reads the refusal. A bot that changed comes first: what else failed may come of that.
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
