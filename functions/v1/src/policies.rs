//! Policies of the pools that the caller's bots live in: which toolkits the operator allows.

use std::{collections::BTreeSet, time::Duration};

use portcullis_auth::PoolId;
use portcullis_runtime::cache::Cache;
use portcullis_store::{Bot, StoreError};
use portcullis_toolkits::{Catalogue, Permission, ToolPolicy, ToolkitSlug};

use crate::app::App;

/// Time for which a policy is remembered. What a bot may do is decided anew at each action; this is only shown.
const FRESH_FOR: Duration = Duration::from_mins(1);

/// The most pools that are remembered.
const CAPACITY: usize = 1_000;

/// Policies that were lately read.
pub(crate) type PolicyCache = Cache<PoolId, ToolPolicy>;

pub(crate) fn policy_cache() -> PolicyCache {
    Cache::new(CAPACITY, FRESH_FOR)
}

impl App {
    /// Policies of the pools of these bots: no call where each is remembered, else one.
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

/// How much of a toolkit bots with these policies may use: all or nothing only where that holds for each of them.
pub(crate) fn permission(policies: &[ToolPolicy], toolkit: &ToolkitSlug, catalogue: &Catalogue) -> Permission {
    let mut each = policies.iter().map(|policy| policy.permission(toolkit, catalogue));
    let first = each.next().unwrap_or(Permission::All);
    if each.all(|other| other == first) { first } else { Permission::Some }
}
