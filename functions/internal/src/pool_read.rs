//! Reads of a pool on behalf of a caller that may reach it.

use portcullis_auth::PoolId;
use portcullis_runtime::ApiError;
use portcullis_store::{PoolConfiguration, PoolReach};

use crate::app::{App, to_api_error};

impl App {
    /// Reads a pool with its newest snapshot in one call, after replacing the pool's due bot tokens.
    ///
    /// # Errors
    /// 404 if the pool does not exist, 401 if the caller's token is revoked, and the store's errors.
    pub async fn read_fresh_pool(&self, pool: &PoolId, reach: PoolReach) -> Result<PoolConfiguration, ApiError> {
        let read = self.read_pool(pool, reach).await?;
        if !read.pool.has_due_tokens(self.now()) || !self.store.claim_due_tokens(&read.pool).await? {
            return Ok(read);
        }
        self.replace_due_tokens(&read.pool).await?;
        self.read_pool(pool, reach).await
    }

    /// Reads a pool with its newest snapshot in one call.
    ///
    /// # Errors
    /// Those of [`App::read_fresh_pool`].
    pub async fn read_pool(&self, pool: &PoolId, reach: PoolReach) -> Result<PoolConfiguration, ApiError> {
        self.store.pool_configuration(pool, reach).await.map_err(|error| to_api_error(error, pool))
    }
}
