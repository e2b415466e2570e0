//! `throttles`: limits that hold across instances.
//!
//! Failures of a subject (an account's address, a client's address) double the time until its next try; a budget bounds
//! how often an action runs for a subject within a window. Each decision is one conditional write, so that concurrent
//! requests cannot exceed the limit.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem};
use jiff::Timestamp;
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, number, schema, text, time},
    backoff::Backoff,
    batch::RowKey,
    error::{CallError, Condition},
    row::Row,
    store::built,
};

const TABLE: Table = Table::Throttles;

/// Failures before the first wait. Source: the contract, §6.
pub const FREE_FAILURES: u32 = 5;
/// Wait after the last free failure; it doubles with each further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(30);
/// Longest wait. Source: the contract, §6.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Time without a failure after which the counter is reset.
pub const FAILURES_ARE_KEPT_FOR: Duration = Duration::from_hours(1);

/// Subject of a limit. The key is a digest, so that the table holds no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleSubject(String);

impl ThrottleSubject {
    /// Subject of the limit `what`, for `whom`.
    #[must_use]
    pub fn new(what: &'static str, whom: &str) -> Self {
        Self(format!("{what}#{}", Digest::of(whom.as_bytes()).to_hex()))
    }

    pub(crate) fn key(&self) -> RowKey {
        RowKey::new(TABLE, [&self.0])
    }
}

/// Failures of a subject so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    next_at: Option<Timestamp>,
}

impl Failures {
    pub(crate) fn read(item: Option<&Item>, now: Timestamp) -> Result<Self, StoreError> {
        let Some(item) = item else { return Ok(Self::default()) };
        let row = Row::new(TABLE, item)?;
        if row.parsed::<i64>("expiresAt")? <= now.as_second() {
            return Ok(Self::default());
        }
        Ok(Self { count: row.parsed("failures")?, next_at: row.optional_parsed("nextAt")? })
    }

    /// Time until the next try is allowed; `None` where it is allowed now.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let wait = self.next_at?.duration_since(now);
        Duration::try_from(wait).ok().filter(|wait| !wait.is_zero())
    }

    fn with_another(self, now: Timestamp) -> Self {
        let count = self.count.saturating_add(1);
        let doublings = count.checked_sub(FREE_FAILURES);
        let wait = doublings.map(|doublings| FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT));
        Self { count, next_at: wait.and_then(|wait| now.checked_add(wait).ok()) }
    }
}

/// Outcome of counting a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The failure was within the free tries.
    Allowed,
    /// Concurrent failures used the tries up: the next is allowed after this time.
    Locked(Duration),
}

impl Store {
    /// Counts a failure of a subject, unless its tries are used up by now: one call, and two where a wait begins.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_failure(&self, subject: &ThrottleSubject) -> Result<Counted, StoreError> {
        let mut backoff = Backoff::of_race();
        let mut known = Failures::default();
        let mut is_new = true;
        loop {
            let now = self.now();
            if let Some(wait) = known.wait(now) {
                return Ok(Counted::Locked(wait));
            }
            match self.put_failures(subject, known.with_another(now), (!is_new).then_some(known.count), now).await {
                Ok(()) => return Ok(Counted::Allowed),
                Err(CallError::Conditions(conditions)) => {
                    let old = match conditions.into_iter().next() {
                        Some(Condition::Failed(old)) => old,
                        _ => None,
                    };
                    known = Failures::read(old.as_ref(), now)?;
                    is_new = old.is_none();
                    // The first retry needs no wait: an existing row is the usual case, not a race.
                    if known.count > 1 && !is_new {
                        self.wait_after_race(&mut backoff).await?;
                    }
                }
                Err(CallError::Store(error)) => return Err(error),
            }
        }
    }

    async fn put_failures(
        &self,
        subject: &ThrottleSubject,
        failures: Failures,
        read: Option<u32>,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let mut row = attributes([
            (SCHEMA, schema()),
            ("subject", text(&subject.0)),
            ("failures", number(failures.count)),
            ("expiresAt", epoch_seconds(now + FAILURES_ARE_KEPT_FOR)),
        ]);
        row.extend(failures.next_at.map(|at| ("nextAt".to_owned(), time(at))));
        let (condition, values) = match read {
            None => {
                ("attribute_not_exists(#subject) OR #expiresAt <= :now", attributes([(":now", epoch_seconds(now))]))
            }
            Some(read) => ("#failures = :read", attributes([(":read", number(read))])),
        };
        let request = self
            .client()
            .put_item()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld);
        self.call(|| request.clone().send()).await.map(drop)
    }

    /// Condition, for the transaction of a success, that a subject's tries are not used up.
    pub(crate) fn while_open(&self, subject: &ThrottleSubject) -> Result<TransactWriteItem, StoreError> {
        let now = self.now();
        let check = ConditionCheck::builder()
            .table_name(self.table_name(TABLE))
            .key("subject", text(&subject.0))
            .condition_expression(OPEN)
            .set_expression_attribute_names(names(&[OPEN]))
            .set_expression_attribute_values(Some(attributes([(":now", time(now)), (":second", epoch_seconds(now))])));
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    /// Action that resets a subject's failures, on the condition that its tries are not used up.
    pub(crate) fn forget_failures(&self, subject: &ThrottleSubject) -> Result<TransactWriteItem, StoreError> {
        let now = self.now();
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("subject", text(&subject.0))
            .condition_expression(OPEN)
            .set_expression_attribute_names(names(&[OPEN]))
            .set_expression_attribute_values(Some(attributes([(":now", time(now)), (":second", epoch_seconds(now))])));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }

    /// Takes one of the `limit` actions of a subject within `window`: one call, and two where a window begins. Returns
    /// the time to wait where none is left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_from_budget(
        &self,
        subject: &ThrottleSubject,
        limit: u32,
        window: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let mut backoff = Backoff::of_race();
        loop {
            let now = self.now();
            match self.count_within_window(subject, limit, now).await {
                Ok(()) => return Ok(None),
                Err(CallError::Conditions(conditions)) => {
                    if let Some(Condition::Failed(Some(old))) = conditions.into_iter().next() {
                        let ends_at: i64 = Row::new(TABLE, &old)?.parsed("expiresAt")?;
                        if let Ok(left) = u64::try_from(ends_at - now.as_second())
                            && left > 0
                        {
                            return Ok(Some(Duration::from_secs(left)));
                        }
                    }
                }
                Err(CallError::Store(error)) => return Err(error),
            }
            match self.begin_window(subject, now, window).await {
                Ok(()) => return Ok(None),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error),
            }
        }
    }

    async fn count_within_window(
        &self,
        subject: &ThrottleSubject,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let update = "ADD #failures :one";
        let condition = "#schema = :schema AND #expiresAt > :now AND #failures < :limit";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("subject", text(&subject.0))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":one", number(1)),
                (":now", epoch_seconds(now)),
                (":limit", number(limit)),
            ])))
            .return_values_on_condition_check_failure(AllOld);
        self.call(|| request.clone().send()).await.map(drop)
    }

    async fn begin_window(&self, subject: &ThrottleSubject, now: Timestamp, window: Duration) -> Result<(), CallError> {
        let condition = "attribute_not_exists(#subject) OR #expiresAt <= :now";
        let request = self
            .client()
            .put_item()
            .table_name(self.table_name(TABLE))
            .set_item(Some(attributes([
                (SCHEMA, schema()),
                ("subject", text(&subject.0)),
                ("failures", number(1)),
                ("expiresAt", epoch_seconds(now + window)),
            ])))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":now", epoch_seconds(now));
        self.call(|| request.clone().send()).await.map(drop)
    }
}

/// An expired row counts as absent: DynamoDB deletes late.
const OPEN: &str = "attribute_not_exists(#nextAt) OR #nextAt <= :now OR #expiresAt <= :second";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn the_wait_begins_at_the_fifth_failure_and_doubles_up_to_15_minutes() {
        let mut failures = Failures::default();
        let waits: Vec<_> = (0..12)
            .map(|_| {
                failures = failures.with_another(NOW);
                failures.wait(NOW).map(|wait| wait.as_secs())
            })
            .collect();
        let seconds = [30, 60, 120, 240, 480, 900, 900, 900];
        let expected: Vec<_> = [None; 4].into_iter().chain(seconds.map(Some)).collect();
        assert_eq!(waits, expected);
        assert_eq!(failures.wait(NOW + LONGEST_WAIT), None);
        assert_eq!(Failures { count: u32::MAX, next_at: None }.with_another(NOW).wait(NOW), Some(LONGEST_WAIT));
    }
}
