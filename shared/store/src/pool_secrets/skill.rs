//! Reading the secrets of one skill: one call, however many secrets there are.
//!
//! The pool's row holds the revision of its secrets, and every write of a secret raises it in its own transaction. So
//! the rows of secrets are cached in memory, sealed, beside the revision that they were read at, and are read again
//! only when the pool's row, which is read at each request, has another revision.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use portcullis_auth::{PoolId, SkillName};

use super::{Scope, SealedSecret, Secrets};
use crate::{PoolError, Store, StoreError, Table, attribute::text, pool_access::PoolReach};

/// Most skills whose secrets are cached.
const CAPACITY: usize = 256;
/// Most sealed bytes of one skill's secrets that are cached, the pool's shared ones included: a larger set is read each
/// time. With [`CAPACITY`] it bounds the memory to 2 MiB.
const MAXIMUM_BYTES: usize = 8 * 1024;

/// A bounded in-memory cache of sealed secrets, valid for one revision of their pool's secrets.
#[derive(Debug, Default)]
pub struct SealedSecrets(Mutex<HashMap<(PoolId, SkillName), Known>>);

#[derive(Clone, Debug)]
enum Known {
    /// Revision, read before any read that is now in flight.
    Revision(u64),
    /// Secrets that were read after the revision was, so they are that revision's or newer. Newer ones are never served
    /// under it: a revision never returns.
    Secrets { revision: u64, sealed: Arc<[SealedSecret]> },
}

/// Attributes of the pool's row that concern secrets.
struct State {
    revision: u64,
    /// An earlier termination is still deleting the pool's secrets: the rows left in the table are no longer the pool's.
    is_purging: bool,
}

impl State {
    /// The secrets that the pool has now.
    fn of_today(&self, secrets: Secrets) -> Secrets {
        if self.is_purging { Secrets::new() } else { secrets }
    }
}

impl SealedSecrets {
    fn get(&self, key: &(PoolId, SkillName)) -> Option<Known> {
        self.lock().get(key).cloned()
    }

    fn insert(&self, key: (PoolId, SkillName), known: Known) {
        let mut entries = self.lock();
        if entries.len() >= CAPACITY && !entries.contains_key(&key) {
            entries.clear();
        }
        entries.insert(key, known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PoolId, SkillName), Known>> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns the secrets of scope `pool` and the skill's own, which win.
    ///
    /// One sequential call. The first request of an instance that finds a change since `cache` was filled makes two.
    ///
    /// # Errors
    /// [`PoolError`]: a terminated pool counts as unknown. [`StoreError::Unopened`] where a single value does not open: none is
    /// left out in silence.
    pub async fn secrets_for_skill(
        &self,
        pool: &PoolId,
        skill: &SkillName,
        reach: PoolReach,
        cache: &SealedSecrets,
    ) -> Result<Secrets, PoolError> {
        let key = (pool.clone(), skill.clone());
        let known = cache.get(&key);
        if let Some(Known::Secrets { revision, sealed }) = &known {
            let state = self.secrets_state(pool, reach).await?;
            if state.revision == *revision {
                match self.open_secrets(pool, sealed.iter()).await {
                    // They may have been sealed anew, and the key of the cached copies dropped.
                    Err(StoreError::Unopened { .. }) => {}
                    secrets => return Ok(state.of_today(secrets?)),
                }
            }
            let sealed = Box::pin(self.sealed_for_skill(pool, skill)).await?;
            let secrets = self.open_secrets(pool, sealed.iter()).await?;
            cache.insert(key, Known::at(state.revision, sealed));
            return Ok(state.of_today(secrets));
        }
        let sealed = Box::pin(async { self.sealed_for_skill(pool, skill).await.map_err(PoolError::from) });
        let (state, sealed) = tokio::try_join!(self.secrets_state(pool, reach), sealed)?;
        let secrets = self.open_secrets(pool, sealed.iter()).await?;
        // This request may have read the revision after the secrets, which may then be older than it.
        let was_known_before = matches!(known, Some(Known::Revision(revision)) if revision == state.revision);
        let known = if was_known_before { Known::at(state.revision, sealed) } else { Known::Revision(state.revision) };
        cache.insert(key, known);
        Ok(state.of_today(secrets))
    }

    /// Reads the pool's shared secrets, then the skill's own: two queries side by side.
    async fn sealed_for_skill(&self, pool: &PoolId, skill: &SkillName) -> Result<Vec<SealedSecret>, StoreError> {
        let own = Scope::Skill(skill.clone());
        let (mut sealed, own) =
            tokio::try_join!(self.sealed_secrets(pool, &Scope::Pool), self.sealed_secrets(pool, &own))?;
        sealed.extend(own);
        Ok(sealed)
    }

    /// The state of the pool's secrets, for a caller that may read them.
    async fn secrets_state(&self, pool: &PoolId, reach: PoolReach) -> Result<State, PoolError> {
        let projection = "#schema, #status, #secretsRevision, #skillGeneration, #purging";
        let item = self.get_attributes(Table::Pools, [("id", text(pool))], projection).await?;
        let row = reach.admit_to(item.as_ref(), "skillGeneration")?;
        Ok(State { revision: row.parsed("secretsRevision")?, is_purging: row.has("purging") })
    }
}

impl Known {
    fn at(revision: u64, sealed: Vec<SealedSecret>) -> Self {
        let bytes: usize = sealed.iter().map(|secret| secret.scope_name.len() + secret.value.len()).sum();
        if bytes > MAXIMUM_BYTES {
            return Self::Revision(revision);
        }
        Self::Secrets { revision, sealed: sealed.into() }
    }
}
