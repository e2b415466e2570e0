//! A pool's own key to the models: made at `LiteLLM` by the poll that builds a configuration, ended with the pool.
//!
//! Without `LITELLM_MASTER_KEY` no pool has one. A key is ended by its alias, always at the `LITELLM_BASE_URL` of now: the master
//! key of now must not go to any other address. So a key that was made at another `LiteLLM` than today's is not ended by us; nor
//! is one whose maker was killed between `LiteLLM`'s answer and the publication, but its text is then known to nobody.

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

/// How much of a pool's id stands in an alias, in characters: `LiteLLM` may be set to take no more than 255 in all.
const MAXIMUM_NAME_LENGTH: usize = 96;

/// A key that was made and is not (yet) published.
pub struct Unpublished {
    key: ModelsKey,
    /// Whether it is in a publication whose outcome is not known.
    is_in_doubt: bool,
}

impl Unpublished {
    pub fn key(&self) -> &ModelsKey {
        &self.key
    }

    /// Notes what became of its publication. One that lost a race may have lost it to its own first attempt, whose answer was
    /// lost.
    pub fn came_out(&mut self, published: &Result<Published, PublishError>) {
        self.is_in_doubt = match published {
            Ok(Published::Overtaken) => true,
            Err(error) => matches!(error, PublishError::Store(StoreError::Unavailable { .. })),
            Ok(Published::As(_)) => false,
        };
    }

    /// The same without a doubt; `None` where it is the pool's after all.
    pub fn unless_of(self, read: &PoolConfiguration) -> Option<Self> {
        let is_the_pools = read.models_key_alias() == Some(&self.key.alias);
        (!is_the_pools).then_some(Self { is_in_doubt: false, ..self })
    }
}

/// Why a key was neither made nor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// No master key is set any more, or one for another address.
    NoMasterKey,
    LiteLlm(LiteLlmError),
}

/// The reference that stands for this key in a snapshot.
pub fn reference_to(key: &ModelsKey) -> Reference {
    Reference::LiteLlm { revision: revision_of(key) }
}

impl App {
    /// Reads the pool's own key to the models at the address of now.
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

    /// A key for a pool that has none at this address: the one that was made and not published, or a new one. Keys left over
    /// from the pool's earlier lives are ended first.
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
                    // It may have been made all the same.
                    self.end_or_warn(pool, &[alias]).await;
                }
                Err(not_made(failure))
            }
        }
    }

    /// Ends a key that did not become the pool's.
    pub async fn end_unpublished(&self, pool: &PoolId, unpublished: Unpublished) {
        let alias = unpublished.key.alias;
        if unpublished.is_in_doubt {
            match self.store.rule_out_models_key(pool, &alias).await {
                Ok(true) => {}
                // It has become the pool's after all.
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%pool, alias, %error, "whether a new key to models was stored is not known: it is not ended");
                    return;
                }
            }
        }
        self.end_or_warn(pool, &[alias]).await;
    }

    /// Ends keys that the pool does not use any more. What fails is tried again when the pool's next key is made, or when it
    /// is terminated.
    pub async fn end_replaced(&self, pool: &PoolId, aliases: &[String]) {
        if !aliases.is_empty()
            && self.end_or_warn(pool, aliases).await
            && let Err(error) = self.store.forget_models_keys(pool, aliases).await
        {
            tracing::warn!(%pool, %error, "a key to models has ended and its alias is still stored");
        }
    }

    /// Ends the keys of a pool that has been terminated.
    ///
    /// # Errors
    /// 502 where `LiteLLM` did not end them, 503 where that could not be stored: the termination is to be repeated.
    pub async fn end_keys_of_terminated(&self, pool: &Pool) -> Result<(), ApiError> {
        let aliases = &pool.models_key_aliases;
        match self.end_keys(aliases).await {
            Ok(()) => Ok(self.store.forget_models_keys(&pool.id, aliases).await?),
            Err(Failure::NoMasterKey) => {
                // Nobody who repeats the termination could do more.
                warn_of(&pool.id, aliases, Failure::NoMasterKey);
                Ok(())
            }
            Err(Failure::LiteLlm(error)) => Err(ApiError::bad_gateway(
                "The pool is terminated, but LiteLLM has not ended its key to the models: repeat the termination",
                error.to_string(),
            )),
        }
    }

    /// Whether they have ended.
    async fn end_or_warn(&self, pool: &PoolId, aliases: &[String]) -> bool {
        let ended = self.end_keys(aliases).await;
        if let Err(failure) = ended {
            warn_of(pool, aliases, failure);
        }
        ended.is_ok()
    }

    async fn make_key(&self, alias: &str, pool: &PoolId, base_url: &str) -> Result<SecretString, Failure> {
        let access = self.lite_llm.get();
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
        let access = self.lite_llm.get();
        let ended = self.lite_llm_client.delete_keys(&admin(&access, None)?, aliases).await;
        let ended = match self.rotated(&access, ended.as_ref().err()).await {
            Some(access) => self.lite_llm_client.delete_keys(&admin(&access, None)?, aliases).await,
            None => ended,
        };
        ended.map_err(Failure::LiteLlm)
    }

    /// The access after another look, where `LiteLLM` does not know the master key and the look found a new one.
    async fn rotated(&self, access: &Arc<LiteLlmAccess>, error: Option<&LiteLlmError>) -> Option<Arc<LiteLlmAccess>> {
        let Some(LiteLlmError::Unauthorized(_)) = error else { return None };
        let again = self.lite_llm.look_again().await;
        (!Arc::ptr_eq(access, &again)).then_some(again)
    }

    /// An alias that no other key has. It names the installation and the pool to who looks through `LiteLLM`'s keys, in the
    /// characters that `LiteLLM` may be set to insist on.
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
        // A URL that is none was refused where it was read.
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
