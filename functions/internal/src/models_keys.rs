//! A pool's own key to the models: made at `LiteLLM` by the poll that builds a configuration, ended with the pool.
//!
//! Without `LITELLM_MASTER_KEY` pools have no keys of their own. A key is ended by its alias, always at the current
//! `LITELLM_BASE_URL`, since the current master key must not be sent to any other address. Two kinds of keys are
//! therefore never ended here: a key that was made at another `LiteLLM`, and a key whose maker was killed between
//! `LiteLLM`'s response and the publication. Nobody knows the text of the latter.

use std::sync::Arc;

use portcullis_auth::PoolId;
use portcullis_openclaw::Reference;
use portcullis_runtime::{
    ApiError,
    secrets::{LiteLlmAccess, LiteLlmKey},
};
use portcullis_store::{ModelsKey, Pool, PoolConfiguration, PublishError, Published, StoreError};
use portcullis_upstream::{LiteLlmAdmin, LiteLlmError};
use secrecy::SecretString;

use crate::{
    app::App,
    build_inputs::{BuildInputs, revision_of},
};

/// Longest part of a pool's id in an alias, in characters: `LiteLLM` may be configured to refuse aliases of more than
/// 255.
const MAXIMUM_NAME_LENGTH: usize = 96;

/// A key that was made but is not published yet.
pub struct Unpublished {
    key: ModelsKey,
    /// Whether the key is in a publication with an unknown outcome.
    is_in_doubt: bool,
}

impl Unpublished {
    pub fn key(&self) -> &ModelsKey {
        &self.key
    }

    /// Records the outcome of the key's publication. A publication that lost a race is in doubt: it may have lost to
    /// its own first attempt, whose response was lost.
    pub fn came_out(&mut self, published: &Result<Published, PublishError>) {
        self.is_in_doubt = match published {
            Ok(Published::Overtaken) => true,
            Err(error) => matches!(error, PublishError::Store(StoreError::Unavailable { .. })),
            Ok(Published::As(_)) => false,
        };
    }

    /// Clears the doubt after a read of the pool; `None` if the key turns out to be published.
    pub fn unless_of(self, read: &PoolConfiguration) -> Option<Self> {
        let is_the_pools = read.models_key_alias() == Some(&self.key.alias);
        (!is_the_pools).then_some(Self { is_in_doubt: false, ..self })
    }
}

/// Reason for which a key was neither made nor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The master key is not set any more, or is for another address.
    NoMasterKey,
    LiteLlm(LiteLlmError),
}

/// Returns the reference that replaces this key in a snapshot.
pub fn reference_to(key: &ModelsKey) -> Reference {
    Reference::LiteLlm { revision: revision_of(key) }
}

impl App {
    /// Reads the pool's own key to the models at the current address.
    pub async fn own_models_key(
        &self,
        read: &PoolConfiguration,
        inputs: &BuildInputs,
    ) -> Result<Option<ModelsKey>, StoreError> {
        match inputs.models_of_each_pool() {
            Some(base_url) => self.store.models_key(read, base_url).await,
            None => Ok(None),
        }
    }

    /// Returns a key for a pool without one at this address: the unpublished key if there is one, else a new one.
    /// First ends keys left over from earlier publications.
    pub async fn new_models_key(
        &self,
        read: &PoolConfiguration,
        base_url: &str,
        unpublished: Option<Unpublished>,
    ) -> Result<Unpublished, ApiError> {
        self.end_keys(&read.left_over_models_keys()).await.map_err(not_made)?;
        if let Some(unpublished) = unpublished.filter(|unpublished| unpublished.key.base_url == base_url) {
            return Ok(unpublished);
        }
        let pool = &read.pool.id;
        let alias = self.new_alias(pool);
        match self.make_key(&alias, pool, base_url).await {
            Ok(key) => {
                let key = ModelsKey { alias, base_url: base_url.to_owned(), key };
                Ok(Unpublished { key, is_in_doubt: false })
            }
            Err(failure) => {
                if let Failure::LiteLlm(LiteLlmError::Unanswered(_)) = failure {
                    // `LiteLLM` may have made the key despite the lost response.
                    self.end_or_warn(pool, &[alias]).await;
                }
                Err(not_made(failure))
            }
        }
    }

    /// Ends a key that was not published.
    pub async fn end_unpublished(&self, pool: &PoolId, unpublished: Unpublished) {
        let alias = unpublished.key.alias;
        if unpublished.is_in_doubt {
            match self.store.rule_out_models_key(pool, &alias).await {
                Ok(true) => {}
                // The key turned out to be published.
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%pool, alias, %error, "whether a new key to models was stored is not known: it is not ended");
                    return;
                }
            }
        }
        self.end_or_warn(pool, &[alias]).await;
    }

    /// Ends keys that the pool does not use any more. A failure is retried when the pool's next key is made, or when
    /// the pool is terminated.
    pub async fn end_replaced(&self, pool: &PoolId, aliases: &[String]) {
        if !aliases.is_empty()
            && self.end_or_warn(pool, aliases).await
            && let Err(error) = self.store.forget_models_keys(pool, aliases).await
        {
            tracing::warn!(%pool, %error, "a key to models has ended and its alias is still stored");
        }
    }

    /// Ends the keys of a terminated pool.
    ///
    /// # Errors
    /// 502 if `LiteLLM` did not end them, 503 if the store did not record it. The caller must repeat the termination.
    pub async fn end_keys_of_terminated(&self, pool: &Pool) -> Result<(), ApiError> {
        let aliases = &pool.models_key_aliases;
        match self.end_keys(aliases).await {
            Ok(()) => Ok(self.store.forget_models_keys(&pool.id, aliases).await?),
            Err(Failure::NoMasterKey) => {
                // Not an error: a repeated termination could not end them either.
                warn_of(&pool.id, aliases, Failure::NoMasterKey);
                Ok(())
            }
            Err(Failure::LiteLlm(error)) => Err(ApiError::bad_gateway(
                "The pool is terminated, but LiteLLM has not ended its key to the models: repeat the termination",
                error.to_string(),
            )),
        }
    }

    /// Ends keys, or logs a warning. Returns whether they have ended.
    async fn end_or_warn(&self, pool: &PoolId, aliases: &[String]) -> bool {
        let ended = self.end_keys(aliases).await;
        if let Err(failure) = ended {
            warn_of(pool, aliases, failure);
        }
        ended.is_ok()
    }

    async fn make_key(&self, alias: &str, pool: &PoolId, base_url: &str) -> Result<SecretString, Failure> {
        let access = self.lite_llm.cached();
        let lite_llm = &self.lite_llm_client;
        let made = lite_llm.generate_key(&admin(&access, Some(base_url))?, alias, pool.as_str()).await;
        let made = match self.rotated(&access, made.as_ref().err()).await {
            Some(access) => lite_llm.generate_key(&admin(&access, Some(base_url))?, alias, pool.as_str()).await,
            None => made,
        };
        made.map_err(Failure::LiteLlm)
    }

    async fn end_keys(&self, aliases: &[String]) -> Result<(), Failure> {
        if aliases.is_empty() {
            return Ok(());
        }
        let access = self.lite_llm.cached();
        let ended = self.lite_llm_client.delete_keys(&admin(&access, None)?, aliases).await;
        let ended = match self.rotated(&access, ended.as_ref().err()).await {
            Some(access) => self.lite_llm_client.delete_keys(&admin(&access, None)?, aliases).await,
            None => ended,
        };
        ended.map_err(Failure::LiteLlm)
    }

    /// Returns rotated access if `LiteLLM` rejected the master key and a new look-up found another one.
    async fn rotated(&self, access: &Arc<LiteLlmAccess>, error: Option<&LiteLlmError>) -> Option<Arc<LiteLlmAccess>> {
        let Some(LiteLlmError::Unauthorized(_)) = error else { return None };
        let again = self.lite_llm.refreshed().await;
        (!Arc::ptr_eq(access, &again)).then_some(again)
    }

    /// Returns a unique alias, which names the installation and the pool for a reader of `LiteLLM`'s list of keys. It
    /// uses only characters that every configuration of `LiteLLM` accepts.
    fn new_alias(&self, pool: &PoolId) -> String {
        let mut random = [0; 16];
        self.randomness.fill(&mut random);
        let name = format!("{}{pool}", self.store.prefix());
        let name = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
        let name: String = name.take(MAXIMUM_NAME_LENGTH).collect();
        format!("{}-{:032x}", name.trim_matches('-'), u128::from_be_bytes(random)).trim_start_matches('-').to_owned()
    }
}

fn admin(access: &LiteLlmAccess, base_url: Option<&str>) -> Result<LiteLlmAdmin, Failure> {
    let models = access.0.as_ref().filter(|models| base_url.is_none_or(|base_url| models.base_url == base_url));
    let models = models.ok_or(Failure::NoMasterKey)?;
    match &models.key {
        LiteLlmKey::Shared(_) => Err(Failure::NoMasterKey),
        // The settings reject a malformed URL, so the error cannot occur here.
        LiteLlmKey::Master(key) => LiteLlmAdmin::new(&models.base_url, key.clone()).map_err(|_| Failure::NoMasterKey),
    }
}

fn warn_of(pool: &PoolId, aliases: &[String], failure: Failure) {
    if aliases.is_empty() {
        return;
    }
    match failure {
        Failure::NoMasterKey => {
            tracing::warn!(%pool, ?aliases, "LITELLM_MASTER_KEY is not set: keys to models are to be ended by hand");
        }
        Failure::LiteLlm(error) => tracing::warn!(%pool, ?aliases, %error, "keys to models have not been ended"),
    }
}

fn not_made(failure: Failure) -> ApiError {
    match failure {
        Failure::NoMasterKey => ApiError::unavailable("LITELLM_MASTER_KEY has changed meanwhile"),
        Failure::LiteLlm(error) => {
            ApiError::bad_gateway("LiteLLM has not given the pool a key to the models; try again", error.to_string())
        }
    }
}
