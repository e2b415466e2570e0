//! `event_log`: one row for each event, with its lease, its refusals and its delivery.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld};
use jiff::{SignedDuration, Timestamp};
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{SCHEMA, attributes, epoch_seconds, names, number, schema, text, time},
    error::{CallError, Condition},
    row::Row,
};

const TABLE: Table = Table::EventLog;

/// Retention of an event's row after its last write: 15 days.
pub const EVENT_RETENTION: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Outcome of an attempt to lease an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The owner holds the lease until it ends.
    Taken {
        /// Times that the pool has refused the event with a 4xx while this owner had it.
        refusals: u32,
    },
    /// The event has been delivered: this one is a duplicate.
    AlreadyDelivered,
    /// Another owner's lease is live: try again later.
    HeldByAnother,
}

impl Store {
    /// Leases an event, identified by its idempotency key, to `owner` for a time: one call, one write unit. The lease
    /// is reentrant for its owner. An expired lease, and a row past its retention, count as gone though TTL has not
    /// deleted them.
    ///
    /// # Errors
    /// [`StoreError`]; the lease may have been taken then, and the same owner may ask again.
    pub async fn lease(&self, event: &Digest, owner: &str, lease_for: Duration) -> Result<Lease, StoreError> {
        let now = self.now();
        let ends = SignedDuration::try_from(lease_for).ok().and_then(|length| now.checked_add(length).ok());
        let leased_until = ends.unwrap_or(Timestamp::MAX);
        let condition = "attribute_not_exists(#identity) OR (#schema = :schema AND (#expiresAt <= :nowSeconds \
            OR (attribute_not_exists(#deliveredAt) AND (#leasedUntil <= :now OR #owner = :owner))))";
        let update = "SET #schema = :schema, #owner = :owner, #leasedUntil = :until, #expiresAt = :expiresAt \
            REMOVE #deliveredAt";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("identity", text(event.to_hex()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition, update]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(now)),
                (":nowSeconds", epoch_seconds(now)),
                (":owner", text(owner)),
                (":until", time(leased_until)),
                (":expiresAt", epoch_seconds(expiry(now))),
            ])))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| request.clone().send()).await {
            Ok(output) => {
                let item = output.attributes.unwrap_or_default();
                let row = Row::new(TABLE, &item)?;
                // A redriven message has another owner, and all its tries again.
                let are_its_own = row.optional_text("refusedOwner")? == Some(owner);
                let refusals = row.optional_parsed("refusals")?.filter(|_| are_its_own);
                Ok(Lease::Taken { refusals: refusals.unwrap_or(0) })
            }
            Err(CallError::Conditions(conditions)) => why_not(&conditions, now),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    /// Records that an event has been delivered, whoever holds its lease by now: one call, one write unit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_delivered(&self, event: &Digest, owner: &str) -> Result<(), StoreError> {
        let now = self.now();
        let row = attributes([
            ("identity", text(event.to_hex())),
            (SCHEMA, schema()),
            ("owner", text(owner)),
            ("leasedUntil", time(now)),
            ("deliveredAt", time(now)),
            ("expiresAt", epoch_seconds(expiry(now))),
        ]);
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Records the times that the pool has refused an event with a 4xx: one call. Nothing is written where another
    /// owner holds the lease by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_refusals(&self, event: &Digest, owner: &str, refusals: u32) -> Result<(), StoreError> {
        let update = "SET #refusals = :refusals, #refusedOwner = :owner";
        let condition = "#schema = :schema AND #owner = :owner";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("identity", text(event.to_hex()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition, update]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":owner", text(owner)),
                (":refusals", number(refusals)),
            ])));
        match self.call(|| request.clone().send()).await {
            Ok(_) | Err(CallError::Conditions(_)) => Ok(()),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}

fn expiry(now: Timestamp) -> Timestamp {
    now.saturating_add(EVENT_RETENTION).unwrap_or(now)
}

fn why_not(conditions: &[Condition], now: Timestamp) -> Result<Lease, StoreError> {
    if let Some(Condition::Failed(Some(item))) = conditions.first() {
        let row = Row::new(TABLE, item)?;
        if row.has("deliveredAt") && row.parsed::<i64>("expiresAt")? > now.as_second() {
            return Ok(Lease::AlreadyDelivered);
        }
    }
    Ok(Lease::HeldByAnother)
}
