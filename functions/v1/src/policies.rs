//! Tool policies of the pools of the caller's bots: which toolkits the operator allows.

use std::{collections::BTreeSet, time::Duration};

use portcullis_auth::PoolId;
use portcullis_runtime::cache::Cache;
use portcullis_store::{Bot, StoreError};
use portcullis_toolkits::{Catalogue, Permission, ToolPolicy, ToolkitSlug};

use crate::app::App;

/// TTL of a cached policy. A stale policy is harmless: it is only displayed, and each action is checked anew.
const FRESH_FOR: Duration = Duration::from_mins(1);

/// Capacity of the cache, in pools.
const CAPACITY: usize = 1_000;

/// A bounded cache of policies with a fixed TTL.
pub(crate) type PolicyCache = Cache<PoolId, ToolPolicy>;

pub(crate) fn policy_cache() -> PolicyCache {
    Cache::new(CAPACITY, FRESH_FOR)
}

impl App {
    /// Returns the policies of these bots' pools, with one call unless all are cached.
    pub(crate) async fn policies_of(&self, bots: &[Bot]) -> Result<Vec<ToolPolicy>, StoreError> {
        let now = self.now();
        let pools: BTreeSet<_> = bots.iter().filter_map(|bot| bot.pool.as_ref()).collect();
        let (mut policies, mut unknown) = (Vec::new(), Vec::new());
        for pool in pools {
            match self.policies.get(pool, now) {
                Some(policy) => policies.push(policy),
                None => unknown.push(pool.clone()),
            }
        }
        if !unknown.is_empty() {
            for (pool, policy) in unknown.iter().zip(self.store.tool_policies(&unknown).await?) {
                self.policies.insert(pool.clone(), policy.clone(), now);
                policies.push(policy);
            }
        }
        Ok(policies)
    }
}

/// Returns the part of a toolkit that bots with these policies may use: all or nothing only if that holds for each
/// bot.
pub(crate) fn permission(policies: &[ToolPolicy], toolkit: &ToolkitSlug, catalogue: &Catalogue) -> Permission {
    let mut each = policies.iter().map(|policy| policy.permission(toolkit, catalogue));
    let first = each.next().unwrap_or(Permission::All);
    if each.all(|other| other == first) { first } else { Permission::Some }
}
