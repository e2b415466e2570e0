//! Tracks pools with a post unanswered for more than a second, within this process.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portcullis_auth::PoolId;
use tokio::time::timeout;

/// Duration after which an unanswered post makes its pool slow. A pool acknowledges an event before it works on it.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Number of slow posts per pool.
#[derive(Debug, Default)]
pub struct SlowPools {
    posts: Mutex<HashMap<PoolId, usize>>,
}

impl SlowPools {
    /// Returns whether a post to this pool has been unanswered for longer than [`SLOW_AFTER`].
    pub fn contains(&self, pool: &PoolId) -> bool {
        self.lock().contains_key(pool)
    }

    /// Runs a post and counts its pool as slow from [`SLOW_AFTER`] until the post ends. Calls `on_slow` when the pool
    /// becomes slow.
    pub async fn watch<T>(
        &self,
        pool: &PoolId,
        on_slow: &mut (dyn FnMut() + Send),
        post: impl Future<Output = T>,
    ) -> T {
        let mut post = pin!(post);
        if let Ok(outcome) = timeout(SLOW_AFTER, &mut post).await {
            return outcome;
        }
        let _slow = SlowPost::begin(self, pool);
        on_slow();
        post.await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PoolId, usize>> {
        // A poisoned lock is safe to use: each count changes in one step.
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Guard of a slow post: uncounts the post when dropped, also if its future is cancelled.
struct SlowPost<'a> {
    pools: &'a SlowPools,
    pool: &'a PoolId,
}

impl<'a> SlowPost<'a> {
    fn begin(pools: &'a SlowPools, pool: &'a PoolId) -> Self {
        *pools.lock().entry(pool.clone()).or_default() += 1;
        Self { pools, pool }
    }
}

impl Drop for SlowPost<'_> {
    fn drop(&mut self) {
        let mut posts = self.pools.lock();
        if let Some(count) = posts.get_mut(self.pool) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                posts.remove(self.pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_pool_is_slow_while_a_post_is_unanswered() {
        let pools = SlowPools::default();
        let (pool, other): (PoolId, PoolId) = ("pool-1".parse().unwrap(), "pool-2".parse().unwrap());
        let (answer, answered) = oneshot::channel();
        let become_slow = async {
            while !pools.contains(&pool) {
                tokio::task::yield_now().await;
            }
            assert!(!pools.contains(&other));
            answer.send(7).unwrap();
        };
        let mut calls = 0;
        let mut on_slow = || calls += 1;
        let (outcome, ()) = tokio::join!(pools.watch(&pool, &mut on_slow, answered), become_slow);
        assert_eq!((outcome, calls), (Ok(7), 1));
        assert!(!pools.contains(&pool), "it has answered");
    }
}
