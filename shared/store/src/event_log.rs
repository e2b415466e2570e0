//! `event_log`: which events are being delivered, and which have been.
//!
//! An event has up to two identities within one of our channels: Slack's `event_id`, and what happened (the Slack
//! channel, user, time and type). Each has a row; both are taken together or not at all, so that the same event under
//! another of either is found.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem};
use jiff::{SignedDuration, Timestamp};
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, schema, text, time},
    error::{CallError, Condition},
    row::Row,
    store::built,
};

const TABLE: Table = Table::EventLog;

/// How long an event is remembered after it was last touched: 15 days.
pub const EVENT_RETENTION: SignedDuration = SignedDuration::from_hours(15 * 24);

/// What an event is known by, each within one of our channels: at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdentity {
    keys: Vec<String>,
}

impl EventIdentity {
    /// The identity of an event by the digest of its `event_id`, by that of what happened, or by both; `None` where it
    /// has neither.
    #[must_use]
    pub fn new(event_id: Option<Digest>, occurrence: Option<Digest>) -> Option<Self> {
        let event_id = event_id.map(|digest| format!("event#{}", digest.to_hex()));
        let occurrence = occurrence.map(|digest| format!("occurrence#{}", digest.to_hex()));
        let keys: Vec<_> = event_id.into_iter().chain(occurrence).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }
}

/// What became of an attempt to lease an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is the owner's until the lease ends.
    Taken,
    /// It has been delivered: it is a duplicate.
    AlreadyDelivered,
    /// Someone else's lease is live: come back later.
    HeldByAnother,
}

impl Store {
    /// Leases an event to `owner` for a time: one call. An owner that asks again gets it again. An expired lease, and a
    /// row past its retention, count as gone, though they be still there.
    ///
    /// # Errors
    /// [`StoreError`]; whether the lease was taken is then not known, and the same owner may ask again.
    pub async fn lease(&self, identity: &EventIdentity, owner: &str, lease_for: Duration) -> Result<Lease, StoreError> {
        let now = self.now();
        let ends = SignedDuration::try_from(lease_for).ok().and_then(|length| now.checked_add(length).ok());
        let leased_until = ends.unwrap_or(Timestamp::MAX);
        let condition = "attribute_not_exists(#identity) OR (#schema = :schema AND (#expiresAt <= :nowSeconds \
            OR (attribute_not_exists(#deliveredAt) AND (#leasedUntil <= :now OR #owner = :owner))))";
        let mut actions = Vec::new();
        for key in &identity.keys {
            let mut row = row_at(key, owner, now);
            row.extend(attributes([("leasedUntil", time(leased_until))]));
            let put = Put::builder()
                .table_name(self.table_name(TABLE))
                .set_item(Some(row))
                .condition_expression(condition)
                .set_expression_attribute_names(names(&[condition]))
                .set_expression_attribute_values(Some(attributes([
                    (":schema", schema()),
                    (":now", time(now)),
                    (":nowSeconds", epoch_seconds(now)),
                    (":owner", text(owner)),
                ])))
                .return_values_on_condition_check_failure(AllOld);
            actions.push(TransactWriteItem::builder().put(built(put.build())?).build());
        }
        match self.transact_write(actions).await {
            Ok(()) => Ok(Lease::Taken),
            Err(CallError::Conditions(conditions)) => why_not(&conditions, now),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    /// Records that an event has been delivered, whoever holds its lease by now: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_delivered(&self, identity: &EventIdentity, owner: &str) -> Result<(), StoreError> {
        let now = self.now();
        let mut actions = Vec::new();
        for key in &identity.keys {
            let mut row = row_at(key, owner, now);
            row.extend(attributes([("leasedUntil", time(now)), ("deliveredAt", time(now))]));
            let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(row));
            actions.push(TransactWriteItem::builder().put(built(put.build())?).build());
        }
        Ok(self.transact_write(actions).await?)
    }
}

fn row_at(key: &str, owner: &str, now: Timestamp) -> Item {
    attributes([
        ("identity", text(key)),
        (SCHEMA, schema()),
        ("owner", text(owner)),
        ("expiresAt", epoch_seconds(now.saturating_add(EVENT_RETENTION).unwrap_or(now))),
    ])
}

/// Delivered under either identity is delivered.
fn why_not(conditions: &[Condition], now: Timestamp) -> Result<Lease, StoreError> {
    for condition in conditions {
        if let Condition::Failed(Some(item)) = condition {
            let row = Row::new(TABLE, item)?;
            if row.has("deliveredAt") && row.parsed::<i64>("expiresAt")? > now.as_second() {
                return Ok(Lease::AlreadyDelivered);
            }
        }
    }
    Ok(Lease::HeldByAnother)
}
