//! Reports of a pool: its registration and its heartbeats.

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_auth::PoolId;

use super::{Pool, PoolAddress, PoolError, PoolReach, PoolStatus, PoolUpdate, admit_row};
use crate::{
    Store, StoreError, Table,
    attribute::{Item, number, text},
    backoff::Backoff,
    error::{CallError, Condition},
    row::Row,
};

/// A pool's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolReport {
    /// Status of the pool.
    pub status: PoolStatus,
    /// Address of the pool's gateway; where absent, the stored address is kept.
    pub address: Option<PoolAddress>,
    /// `OpenClaw` that the pool runs; where absent, the stored one is kept.
    pub openclaw: Option<OpenClawReport>,
}

/// A pool's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Status of the pool.
    pub status: PoolStatus,
    /// Address of the pool's gateway; where absent, the stored address is kept.
    pub address: Option<PoolAddress>,
    /// Version of the configuration that the pool has; where absent, the stored one is kept.
    pub last_seen_version: Option<u64>,
    /// `OpenClaw` that the pool runs; where absent, the stored one is kept.
    pub openclaw: Option<OpenClawReport>,
}

/// `OpenClaw` that a pool runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenClawReport {
    /// `OpenClaw` version.
    pub version: String,
    /// Name of the configuration dialect that it reads. Another name raises the pool's revision.
    pub dialect: &'static str,
    /// Whether this is also the dialect of a pool that has named no version yet.
    pub is_default_dialect: bool,
}

/// Guess whether a report changes the pool's dialect. DynamoDB cannot decide that within one update, so each guess has
/// its own update, on the condition that the guess is right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DialectChange {
    Kept,
    Changed,
}

impl DialectChange {
    fn condition(self, openclaw: &OpenClawReport) -> &'static str {
        match (self, openclaw.is_default_dialect) {
            (Self::Kept, true) => "(attribute_not_exists(#dialect) OR #dialect = :dialect)",
            (Self::Kept, false) => "(attribute_not_exists(#id) OR #dialect = :dialect)",
            (Self::Changed, true) => "(attribute_exists(#dialect) AND #dialect <> :dialect)",
            (Self::Changed, false) => {
                "(attribute_exists(#id) AND (attribute_not_exists(#dialect) OR #dialect <> :dialect))"
            }
        }
    }
}

impl PoolUpdate {
    fn report(
        &mut self,
        status: PoolStatus,
        address: Option<PoolAddress>,
        openclaw: Option<&OpenClawReport>,
        change: DialectChange,
        active_since: &'static str,
    ) {
        self.set.push("#lastSeenAt = :now");
        self.set("#status = :status", ":status", text(status));
        if status == PoolStatus::Active {
            self.set.push(active_since);
        } else {
            self.remove = Some("#activeSince");
        }
        if let Some(address) = address {
            self.set("#podIp = :podIp", ":podIp", text(address));
        }
        if status == PoolStatus::Terminated {
            self.set("#purging = :purging", ":purging", AttributeValue::Bool(true));
        }
        if let Some(openclaw) = openclaw {
            self.set("#openclawVersion = :openclawVersion", ":openclawVersion", text(&openclaw.version));
            self.set("#dialect = :dialect", ":dialect", text(openclaw.dialect));
            self.condition.push(change.condition(openclaw));
        }
        if change == DialectChange::Changed {
            self.set("#revision = #revision + :one", ":one", number(1));
        }
    }
}

impl Store {
    /// Registers a pool, or registers it again: one call, and a second one where its dialect has changed. A caller with a
    /// bound token registers only a pool that is known. A pool that registers as terminated is terminated.
    ///
    /// # Errors
    /// [`PoolError`]; with [`PoolReach::Any`] only [`PoolError::Store`].
    pub async fn register(&self, pool: &PoolId, report: PoolReport, reach: PoolReach) -> Result<Pool, PoolError> {
        let update = |change| {
            let mut update = PoolUpdate::of_known_row(reach);
            if reach == PoolReach::Any {
                update.condition = vec!["(attribute_not_exists(#id) OR #schema = :schema)"];
            }
            // A registration means that the pool has just started.
            let active_since = "#activeSince = :now";
            update.report(report.status, report.address, report.openclaw.as_ref(), change, active_since);
            update.set.extend([
                "#schema = :schema",
                "#createdAt = if_not_exists(#createdAt, :now)",
                "#configVersion = if_not_exists(#configVersion, :zero)",
                "#secretsRevision = if_not_exists(#secretsRevision, :zero)",
                "#skillGeneration = if_not_exists(#skillGeneration, :zero)",
                "#runtimeGeneration = if_not_exists(#runtimeGeneration, :zero)",
            ]);
            if change == DialectChange::Kept {
                update.set.push("#revision = if_not_exists(#revision, :zero)");
            }
            update.value(":zero", number(0));
            update
        };
        self.update_reporting_pool(pool, report.status, report.openclaw.as_ref(), &update, reach).await
    }

    /// Records a pool's heartbeat: one call, and a second one where its dialect has changed. A terminated pool is
    /// unknown until it registers again, so that a late heartbeat does not bring it back without its secrets.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn heartbeat(&self, pool: &PoolId, heartbeat: Heartbeat, reach: PoolReach) -> Result<Pool, PoolError> {
        let update = |change| {
            let mut update = PoolUpdate::of_known_row(reach);
            let active_since = "#activeSince = if_not_exists(#activeSince, :now)";
            update.report(heartbeat.status, heartbeat.address, heartbeat.openclaw.as_ref(), change, active_since);
            if let Some(version) = heartbeat.last_seen_version {
                update.set("#lastSeenVersion = :lastSeenVersion", ":lastSeenVersion", number(version));
            }
            if heartbeat.status != PoolStatus::Terminated {
                update.condition.push("#status <> :terminated");
                update.value(":terminated", text(PoolStatus::Terminated));
            }
            update
        };
        self.update_reporting_pool(pool, heartbeat.status, heartbeat.openclaw.as_ref(), &update, reach).await
    }

    async fn update_reporting_pool(
        &self,
        pool: &PoolId,
        status: PoolStatus,
        openclaw: Option<&OpenClawReport>,
        update: &(dyn Fn(DialectChange) -> PoolUpdate + Sync),
        reach: PoolReach,
    ) -> Result<Pool, PoolError> {
        let mut change = DialectChange::Kept;
        let mut backoff = Backoff::of_race();
        let updated = loop {
            match self.try_update_pool(pool, update(change)).await {
                Ok(updated) => break updated,
                Err(CallError::Store(error)) => return Err(error.into()),
                Err(CallError::Conditions(conditions)) => {
                    admit_row(&conditions, reach)?;
                    if !is_wrong(change, openclaw, &conditions)? {
                        return Err(reach.unknown());
                    }
                }
            }
            if change == DialectChange::Kept {
                change = DialectChange::Changed;
            } else {
                // Another report of the same pool changed the dialect meanwhile.
                change = DialectChange::Kept;
                self.wait_after_race(&mut backoff).await?;
            }
        };
        if status == PoolStatus::Terminated {
            self.finish_termination(pool).await?;
        }
        Ok(updated)
    }
}

/// Returns whether an update failed because of a wrong guess about the dialect.
fn is_wrong(
    change: DialectChange,
    openclaw: Option<&OpenClawReport>,
    conditions: &[Condition],
) -> Result<bool, StoreError> {
    let (Some(openclaw), Some(Condition::Failed(Some(item)))) = (openclaw, conditions.first()) else {
        return Ok(false);
    };
    let stored = stored_dialect(item)?;
    let is_kept = stored.map_or(openclaw.is_default_dialect, |stored| stored == openclaw.dialect);
    Ok(is_kept != (change == DialectChange::Kept))
}

fn stored_dialect(item: &Item) -> Result<Option<&str>, StoreError> {
    if item.is_empty() {
        return Ok(None);
    }
    Row::new(Table::Pools, item)?.optional_text("dialect")
}
