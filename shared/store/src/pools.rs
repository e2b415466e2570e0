//! `pools`: each pool's status, address, revisions, token generations and bots' ids.

mod address;
mod choice;
mod list;
mod report;
mod termination;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld};
use jiff::Timestamp;
use portcullis_auth::{BotId, Generation, PoolId};
use portcullis_contract::words;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, names, number, schema, text, time},
    error::{CallError, Condition},
    pool_access::PoolReach,
    row::Row,
};
pub use address::{DEFAULT_PORT, InvalidPoolAddress, PoolAddress};
pub use choice::PlaceBotError;
pub use report::{Heartbeat, OpenClawReport, PoolReport};

words! {
    /// Status of a pool, as its runtime reports it.
    pub enum PoolStatus {
        /// It has not begun to answer.
        Pending = "pending",
        /// It answers.
        Active = "active",
        /// It answers, with faults.
        Degraded = "degraded",
        /// It does not answer as it should.
        Unhealthy = "unhealthy",
        /// It finishes its work and takes no new bots.
        Draining = "draining",
        /// Final until the pool is registered anew: its secrets and tokens are gone.
        Terminated = "terminated",
    }
}

/// A pool as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Id of the pool.
    pub id: PoolId,
    /// Last reported status.
    pub status: PoolStatus,
    /// Address of its gateway, once reported.
    pub address: Option<PoolAddress>,
    /// Start of the unbroken run of heartbeats with status active; `None` while it is not active.
    pub active_since: Option<Timestamp>,
    /// Time of its last registration or heartbeat, by our clock.
    pub last_seen_at: Timestamp,
    /// Last reported version of its configuration.
    pub last_seen_version: Option<u64>,
    /// Last reported `OpenClaw` version.
    pub openclaw_version: Option<String>,
    /// Version of its newest configuration snapshot; 0 before the first.
    pub config_version: u64,
    /// Inputs for which that snapshot was last found right; `None` before the first, and after the pool was terminated.
    pub built_for: Option<BuiltFor>,
    /// Raised with each change of its secrets.
    pub secrets_revision: u64,
    /// Raised with each change of its configuration's records.
    pub revision: u64,
    /// Current generation of skill tokens.
    pub skill_generation: Generation,
    /// Current generation of runtime tokens.
    pub runtime_generation: Generation,
    /// Bots, in the order of their ids.
    pub bots: Vec<BotId>,
    /// Aliases of the keys to models that were issued for it and may still be valid: its current one, and those left
    /// over.
    pub models_key_aliases: Vec<String>,
    /// Time at which a bot token in its newest snapshot is due for replacement; `None` where none of them expires.
    pub tokens_due_at: Option<Timestamp>,
    /// Time of its first registration.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
}

/// Inputs of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltFor {
    /// Revision of the pool at that time.
    pub revision: u64,
    /// Generator: another one may build a different configuration from the same records.
    pub generator: String,
}

/// Token generations of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generations {
    /// Current generation of skill tokens.
    pub skill: Generation,
    /// Current generation of runtime tokens.
    pub runtime: Generation,
}

/// Reason why an operation on a pool failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// No such pool, or a terminated one, for a caller with a static token.
    #[error("the pool is not known")]
    NotFound,
    /// The caller's bound token has been revoked, or its pool is unknown or terminated.
    #[error("the caller's runtime token has been revoked")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pool {
    /// Returns whether the newest snapshot is right for the records as they are and for this generator.
    #[must_use]
    pub fn is_configured_by(&self, generator: &str) -> bool {
        self.built_for
            .as_ref()
            .is_some_and(|built_for| built_for.revision == self.revision && built_for.generator == generator)
    }

    /// Returns whether the pool has reported the version of a snapshot that is right for its records as they are.
    #[must_use]
    pub fn has_fetched_its_configuration(&self) -> bool {
        let is_built = self.built_for.as_ref().is_some_and(|built_for| built_for.revision == self.revision);
        is_built && self.last_seen_version == Some(self.config_version)
    }

    /// Version that the pool's next poll will get from this generator, or an older one where the configuration comes
    /// out equal.
    #[must_use]
    pub fn expected_config_version(&self, generator: &str) -> u64 {
        if self.is_configured_by(generator) { self.config_version } else { self.config_version + 1 }
    }

    /// Returns whether a bot token in the newest snapshot is due for replacement.
    #[must_use]
    pub fn has_due_tokens(&self, now: Timestamp) -> bool {
        self.tokens_due_at.is_some_and(|due_at| due_at <= now)
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(Table::Pools, item)?;
        let revision: Option<u64> = row.optional_parsed("configRevision")?;
        let generator = row.optional_text("configGenerator")?;
        let built_for = revision.zip(generator);
        Ok(Self {
            id: row.parsed("id")?,
            status: row.parsed("status")?,
            address: row.optional_parsed("podIp")?,
            active_since: row.optional_parsed("activeSince")?,
            last_seen_at: row.time("lastSeenAt")?,
            last_seen_version: row.optional_parsed("lastSeenVersion")?,
            openclaw_version: row.optional_text("openclawVersion")?.map(ToOwned::to_owned),
            config_version: row.parsed("configVersion")?,
            built_for: built_for.map(|(revision, generator)| BuiltFor { revision, generator: generator.to_owned() }),
            secrets_revision: row.parsed("secretsRevision")?,
            revision: row.parsed("revision")?,
            skill_generation: Generation(row.parsed("skillGeneration")?),
            runtime_generation: Generation(row.parsed("runtimeGeneration")?),
            bots: row.set("bots")?,
            models_key_aliases: row.set("modelsKeyAliases")?,
            tokens_due_at: row.optional_parsed("tokensDueAt")?,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
        })
    }
}

/// Parts of an update of a pool's row: its assignments and its condition.
struct PoolUpdate {
    set: Vec<&'static str>,
    remove: Option<&'static str>,
    add: Option<&'static str>,
    condition: Vec<&'static str>,
    values: Item,
}

impl PoolUpdate {
    /// An update of a row whose layout is known, on behalf of a caller that may make it.
    fn of_known_row(reach: PoolReach) -> Self {
        let mut update = Self {
            set: vec!["#updatedAt = :now"],
            remove: None,
            add: None,
            condition: vec!["#schema = :schema"],
            values: attributes([(":schema", schema())]),
        };
        if let PoolReach::While(generation) = reach {
            update.condition.push("#runtimeGeneration = :generation");
            update.value(":generation", number(generation.0));
        }
        update
    }

    fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(name.to_owned(), value);
    }

    fn set(&mut self, clause: &'static str, name: &str, value: AttributeValue) {
        self.set.push(clause);
        self.value(name, value);
    }
}

impl Store {
    /// Reads a pool's row consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_pool(&self, pool: &PoolId) -> Result<Option<Pool>, StoreError> {
        let item = self.get_row(Table::Pools, [("id", text(pool))]).await?;
        item.as_ref().map(Pool::from_item).transpose()
    }

    /// Reads the pool's token generations consistently, for a caller with a runtime token or a static one.
    ///
    /// # Errors
    /// [`PoolError`]: a terminated pool counts as unknown.
    pub async fn generations(&self, pool: &PoolId, reach: PoolReach) -> Result<Generations, PoolError> {
        let projection = "#schema, #status, #skillGeneration, #runtimeGeneration";
        let item = self.get_attributes(Table::Pools, [("id", text(pool))], projection).await?;
        let row = reach.admit_to(item.as_ref(), "runtimeGeneration")?;
        Ok(Generations {
            skill: Generation(row.parsed("skillGeneration")?),
            runtime: Generation(row.parsed("runtimeGeneration")?),
        })
    }

    /// Revokes all of the pool's skill tokens. Returns the generation that a token must have from now on.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn raise_skill_generation(&self, pool: &PoolId, reach: PoolReach) -> Result<Generation, PoolError> {
        Ok(self.raise_generation(pool, "#skillGeneration :one", reach).await?.skill_generation)
    }

    /// Revokes all runtime tokens of a pool, and with them its skill tokens, which they may have created. Returns the
    /// generation that a token must have from now on.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn raise_runtime_generation(&self, pool: &PoolId, reach: PoolReach) -> Result<Generation, PoolError> {
        Ok(self
            .raise_generation(pool, "#runtimeGeneration :one, #skillGeneration :one", reach)
            .await?
            .runtime_generation)
    }

    async fn raise_generation(&self, pool: &PoolId, add: &'static str, reach: PoolReach) -> Result<Pool, PoolError> {
        let mut update = PoolUpdate::of_known_row(reach);
        update.add = Some(add);
        update.value(":one", number(1));
        self.update_pool(pool, update, reach).await
    }

    async fn update_pool(&self, pool: &PoolId, update: PoolUpdate, reach: PoolReach) -> Result<Pool, PoolError> {
        self.try_update_pool(pool, update).await.map_err(|error| match error {
            CallError::Conditions(conditions) => admit_row(&conditions, reach).err().unwrap_or_else(|| reach.unknown()),
            CallError::Store(error) => error.into(),
        })
    }

    async fn try_update_pool(&self, pool: &PoolId, mut update: PoolUpdate) -> Result<Pool, CallError> {
        update.value(":now", time(self.now()));
        let condition = update.condition.join(" AND ");
        let mut expression = format!("SET {}", update.set.join(", "));
        if let Some(remove) = update.remove {
            expression = format!("{expression} REMOVE {remove}");
        }
        if let Some(add) = update.add {
            expression = format!("{expression} ADD {add}");
        }
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(Table::Pools))
            .key("id", text(pool))
            .set_expression_attribute_names(names(&[&expression, &condition]))
            .set_expression_attribute_values(Some(update.values))
            .update_expression(expression)
            .condition_expression(condition)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld);
        let output = self.call(|| request.clone().send()).await?;
        Pool::from_item(&output.attributes.unwrap_or_default()).map_err(CallError::Store)
    }
}

/// Admits the caller by the row that a failed condition returned. `Ok` where another condition than the caller's failed.
fn admit_row(conditions: &[Condition], reach: PoolReach) -> Result<(), PoolError> {
    let item = match conditions.first() {
        Some(Condition::Failed(Some(item))) if !item.is_empty() => item,
        _ => return Err(reach.unknown()),
    };
    let held = Row::new(Table::Pools, item).and_then(|row| row.parsed("runtimeGeneration"))?;
    reach.admit(Generation(held))
}
