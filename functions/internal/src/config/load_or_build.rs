//! Loads a pool's newest configuration, or builds and publishes it if the stored one is out of date.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_openclaw::Reference;
use portcullis_runtime::ApiError;
use portcullis_store::{
    ModelsKey, ModelsKeyChange, PoolConfiguration, PoolReach, Publication, PublishError, Published,
};
use secrecy::SecretString;

use super::{
    PoolSnapshot, ResolvedCredentials, decode,
    translate::{credentials_by_reference, pool_records},
};
use crate::{
    app::App,
    bot_tokens::due_at,
    build_inputs::BuildInputs,
    models_keys::{Unpublished, reference_to},
    openclaw_version::dialect_of,
};

/// Tries of a poll that loses the race for the publication (optimistic lock). One of the racing polls wins each round,
/// and the others find its snapshot unless the pool has changed in the meantime.
const TRIES: usize = 32;

/// Length of a gateway's token in bytes, before base64.
const GATEWAY_TOKEN_BYTES: usize = 32;

impl App {
    /// Returns the newest configuration of a pool: the stored snapshot if it is current, else a new one, in three
    /// calls.
    ///
    /// A pool without its own key to the models gets one, which takes additional calls to `LiteLLM`. A new key that is
    /// not published is ended.
    ///
    /// # Errors
    /// 503 if the pool changes faster than its configuration is built, and the errors of the store and of `LiteLLM`.
    pub(super) async fn load_or_build(
        &self,
        read: PoolConfiguration,
        inputs: &BuildInputs,
        reach: PoolReach,
    ) -> Result<PoolSnapshot, ApiError> {
        let (pool, mut unpublished) = (read.pool.id.clone(), None);
        let current = self.stored_or_built(read, inputs, reach, &mut unpublished).await;
        if let Some(unpublished) = unpublished {
            self.end_unpublished(&pool, unpublished).await;
        }
        current
    }

    async fn stored_or_built(
        &self,
        mut read: PoolConfiguration,
        inputs: &BuildInputs,
        reach: PoolReach,
        unpublished: &mut Option<Unpublished>,
    ) -> Result<PoolSnapshot, ApiError> {
        let mut has_replaced = false;
        for _ in 0..TRIES {
            let dialect = dialect_of(&read.pool)?;
            let name = inputs.generator_name(dialect);
            if let Some(snapshot) = read.current(&name) {
                let (snapshot, configuration) = (snapshot.clone(), decode(snapshot)?);
                return Ok(PoolSnapshot { read, snapshot, configuration, credentials: None });
            }
            let pool = read.pool.id.clone();
            let (records, secrets, kept_token, kept_key) = tokio::try_join!(
                self.store.pool_records(&read.pool),
                self.store.secrets_of_pool(&pool),
                self.store.gateway_token(&read),
                self.own_models_key(&read, inputs)
            )?;
            let tokens_due_at = due_at(&records);
            if !has_replaced && tokens_due_at.is_some_and(|due_at| due_at <= self.now()) {
                // A token became due while its bot was paused or in another pool, so the poll before has not replaced
                // it.
                has_replaced = true;
                self.replace_due_tokens(&read.pool).await?;
                read = self.read_pool(&pool, reach).await?;
                continue;
            }
            let mut built_of = pool_records(&read.pool, &records);
            let new_token = if kept_token.is_none() { Some(self.new_gateway_token()) } else { None };
            // The key is made last: only the publication can fail after this.
            if let Some(base_url) = inputs.models_of_each_pool().filter(|_| kept_key.is_none()) {
                *unpublished = Some(self.new_models_key(&read, base_url, unpublished.take()).await?);
            }
            let new_key = unpublished.as_ref().map(Unpublished::key).filter(|_| kept_key.is_none());
            let (change, replaced) = models_key_change(&read, inputs, new_key);
            let is_new = new_key.is_some();
            let key = kept_key.as_ref().or(new_key);
            built_of.lite_llm = inputs.lite_llm(key);
            let own_key = key.map(|key| (reference_to(key), key.key.clone()));
            let configuration = inputs.build(&built_of, dialect);
            let publication = Publication {
                generator: &name,
                hash: configuration.hash(),
                config: configuration.to_bytes(),
                gateway_token: new_token.as_ref(),
                models_key: change,
                tokens_due_at,
            };
            let published = self.store.publish_snapshot(&read, &publication).await;
            if let Some(unpublished) = unpublished.as_mut() {
                unpublished.came_out(&published);
            }
            if let Published::As(snapshot) = published.map_err(to_api_error)? {
                if is_new {
                    *unpublished = None;
                }
                self.end_replaced(&pool, &replaced).await;
                let mut credentials = credentials_by_reference(records);
                credentials.extend(kept_token.or(new_token).map(|token| (Reference::Gateway, token)));
                credentials.extend(own_key);
                let credentials = Some(ResolvedCredentials { by_reference: credentials, secrets });
                return Ok(PoolSnapshot { read, snapshot, configuration, credentials });
            }
            read = self.read_pool(&pool, reach).await?;
            *unpublished = unpublished.take().and_then(|unpublished| unpublished.unless_of(&read));
        }
        Err(ApiError::unavailable("a pool changes faster than its configuration is built"))
    }

    fn new_gateway_token(&self) -> SecretString {
        let mut bytes = [0; GATEWAY_TOKEN_BYTES];
        self.randomness.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes).into()
    }
}

/// Returns the publication's change to the pool's own key to the models, and the aliases of keys to end after it.
fn models_key_change<'a>(
    read: &PoolConfiguration,
    inputs: &BuildInputs,
    new_key: Option<&'a ModelsKey>,
) -> (ModelsKeyChange<'a>, Vec<String>) {
    let left_over = read.left_over_models_keys();
    match new_key {
        Some(key) => {
            // Making this key has ended the left-over keys already.
            let replaced = read.pool.models_key_aliases.iter().filter(|alias| !left_over.contains(alias));
            (ModelsKeyChange::Set(key), replaced.cloned().collect())
        }
        None if inputs.models_of_each_pool().is_some() => (ModelsKeyChange::Keep, left_over),
        // Removed from the pool and logged once: without a master key they cannot be ended here.
        None if read.models_key_alias().is_some() => (ModelsKeyChange::Remove, read.pool.models_key_aliases.clone()),
        None => (ModelsKeyChange::Keep, Vec::new()),
    }
}

fn to_api_error(error: PublishError) -> ApiError {
    match error {
        PublishError::Store(error) => error.into(),
        PublishError::TooLarge(_) => ApiError::internal(error.to_string()),
    }
}
