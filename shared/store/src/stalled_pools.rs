//! Circuit breakers of pools that hang, kept in `event_log` so that all instances of the relay see them.
//!
//! A pool that accepts connections and never answers would hold a delivery slot for the whole time-out of each waiting
//! conversation, and enough of them would hold every slot. After a time-out the pool's circuit opens; once its pause is
//! over, one delivery at a time may probe the pool until one succeeds.

use jiff::{SignedDuration, Timestamp};
use portcullis_auth::PoolId;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, schema, text, time},
    batch::RowKey,
    error::CallError,
    row::Row,
};

const TABLE: Table = Table::EventLog;

/// Retention of a circuit's row: a pool that nobody posts to leaves nothing behind.
const RETENTION: SignedDuration = SignedDuration::from_hours(1);

/// An open circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Nothing is posted before this time; after it, only the claimer of the probe posts.
    pub until: Timestamp,
}

/// Key of a pool's row: an event's idempotency key is hex, so none equals it.
fn id(pool: &PoolId) -> String {
    format!("pool#{pool}")
}

pub(crate) fn key(pool: &PoolId) -> RowKey {
    RowKey::new(TABLE, [&id(pool)])
}

impl Stall {
    pub(crate) fn from_item(item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let row = Row::new(TABLE, item)?;
        if row.parsed::<i64>("expiresAt")? <= now.as_second() {
            return Ok(None);
        }
        Ok(Some(Self { until: row.time("stalledUntil")? }))
    }
}

impl Store {
    /// Opens a pool's circuit until a time: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_stall(&self, pool: &PoolId, until: Timestamp) -> Result<(), StoreError> {
        let row = self.open_row(pool, until);
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Claims the probe of a pool whose circuit was seen open, until a time: one call. Only one of several racers
    /// succeeds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_probe(&self, pool: &PoolId, seen: Stall, until: Timestamp) -> Result<bool, StoreError> {
        let condition = "#schema = :schema AND #stalledUntil = :seen";
        let request = self
            .client()
            .put_item()
            .table_name(self.table_name(TABLE))
            .set_item(Some(self.open_row(pool, until)))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":schema", schema())
            .expression_attribute_values(":seen", time(seen.until));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    /// Closes a pool's circuit: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_stall(&self, pool: &PoolId) -> Result<(), StoreError> {
        // An expired row is a closed circuit, so the role needs no permission to delete events.
        let row = stall_row(pool, self.now(), self.now());
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    fn open_row(&self, pool: &PoolId, until: Timestamp) -> Item {
        stall_row(pool, until, self.now().saturating_add(RETENTION).unwrap_or(until))
    }
}

fn stall_row(pool: &PoolId, until: Timestamp, expires_at: Timestamp) -> Item {
    attributes([
        ("identity", text(id(pool))),
        (SCHEMA, schema()),
        ("stalledUntil", time(until)),
        ("expiresAt", epoch_seconds(expires_at)),
    ])
}
