//! A pool's configuration: reading the newest, which the poll that finds it out of date builds, and filling it.

pub mod answer;
pub mod bare;
pub mod bot_tokens;
pub mod generator;
pub mod latest;
pub mod models;
pub mod version;

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use portcullis_auth::{Generation, PoolId};
use portcullis_openclaw::{
    BotRecord, ChannelRecord, Configuration, CredentialKind, Platform, PoolRecords, Reference, webhook_port,
};
use portcullis_runtime::{ApiError, tier::Runtime};
use portcullis_store::{
    self as store, BotRecords, ChannelRecords, ChatPlatform, ConnectionMode, Credential, CredentialId, ModelsKey,
    ModelsKeyChange, Pool, PoolConfiguration, Publication, PublishError, Published, Snapshot, StoreError,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{
    App,
    config::{
        answer::PoolSecrets,
        bot_tokens::due_at,
        generator::Generator,
        models::{Unpublished, reference_to},
    },
    openclaw_version::dialect_of,
    pool_not_found,
};

/// How often a poll reads again that was overtaken. Of polls that race one publishes each round, and whoever is overtaken
/// finds what the other published, unless the pool has changed meanwhile.
const TRIES: usize = 32;

/// How many random bytes a gateway's token has.
const GATEWAY_TOKEN_BYTES: usize = 32;

/// A configuration as it is stored, of the pool as it is.
pub struct Current {
    /// The pool.
    pub read: PoolConfiguration,
    /// The version.
    pub snapshot: Snapshot,
    /// What it holds.
    pub configuration: Configuration,
    /// What it is filled with, where it was read for building it.
    pub known: Option<Filling>,
}

/// What a configuration is filled with, and the pool's secrets beside it.
pub struct Filling {
    credentials: BTreeMap<Reference, SecretString>,
    secrets: PoolSecrets,
}

impl App {
    /// The pool, which the caller may reach, with its newest snapshot: one call. Where bot tokens of it are due, they are
    /// replaced first.
    pub async fn pool_configuration(
        &self,
        pool: &PoolId,
        generation: Option<Generation>,
    ) -> Result<PoolConfiguration, ApiError> {
        let read = self.read_pool(pool, generation).await?;
        self.with_fresh_tokens(read, generation).await
    }

    async fn read_pool(&self, pool: &PoolId, generation: Option<Generation>) -> Result<PoolConfiguration, ApiError> {
        let Some(read) = self.store.pool_configuration(pool).await? else {
            return Err(generation.map_or_else(|| pool_not_found(pool), |_| Runtime::revoked()));
        };
        match generation {
            Some(generation) if generation != read.pool.runtime_generation => Err(Runtime::revoked()),
            _ => Ok(read),
        }
    }

    /// The newest configuration of a pool that was read: what is stored, or, in three calls, what is built anew.
    ///
    /// A pool that lacks a key of its own to the models is given one, which takes calls to `LiteLLM` beside these. A key that
    /// becomes no pool's is ended.
    pub async fn newest(
        &self,
        read: PoolConfiguration,
        generator: &Generator,
        generation: Option<Generation>,
    ) -> Result<Current, ApiError> {
        let (pool, mut unpublished) = (read.pool.id.clone(), None);
        let current = self.stored_or_built(read, generator, generation, &mut unpublished).await;
        if let Some(unpublished) = unpublished {
            self.end_unpublished(&pool, unpublished).await;
        }
        current
    }

    async fn stored_or_built(
        &self,
        mut read: PoolConfiguration,
        generator: &Generator,
        generation: Option<Generation>,
        unpublished: &mut Option<Unpublished>,
    ) -> Result<Current, ApiError> {
        let mut has_replaced = false;
        for _ in 0..TRIES {
            let dialect = dialect_of(&read.pool)?;
            let name = generator.name(dialect);
            if let Some(snapshot) = read.current(&name) {
                let (snapshot, configuration) = (snapshot.clone(), unpacked(snapshot)?);
                return Ok(Current { read, snapshot, configuration, known: None });
            }
            let pool = read.pool.id.clone();
            let (records, secrets, kept_token, kept_key) = tokio::try_join!(
                self.store.pool_records(&read.pool),
                self.store.secrets_of_pool(&pool),
                self.store.gateway_token(&read),
                self.own_models_key(&read, generator)
            )?;
            let tokens_due_at = due_at(&records);
            if !has_replaced && tokens_due_at.is_some_and(|due_at| due_at <= self.now()) {
                // The token of a bot that was paused, or in another pool, when it was due.
                has_replaced = true;
                self.replace_due_tokens(&read.pool).await?;
                read = self.read_pool(&pool, generation).await?;
                continue;
            }
            let mut built_of = pool_records(&read.pool, &records);
            let new_token = if kept_token.is_none() { Some(self.new_gateway_token()) } else { None };
            // Last, when nothing but the publication can fail any more.
            if let Some(base_url) = generator.models_of_each_pool().filter(|_| kept_key.is_none()) {
                *unpublished = Some(self.new_models_key(&read, base_url, unpublished.take()).await?);
            }
            let new_key = unpublished.as_ref().map(Unpublished::key).filter(|_| kept_key.is_none());
            let (change, replaced) = models_key_change(&read, generator, new_key);
            let is_new = new_key.is_some();
            let key = kept_key.as_ref().or(new_key);
            built_of.lite_llm = generator.lite_llm(key);
            let own_key = key.map(|key| (reference_to(key), key.key.clone()));
            let configuration = generator.build(&built_of, dialect);
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
            if let Published::As(snapshot) = published.map_err(refuse)? {
                if is_new {
                    *unpublished = None;
                }
                self.end_replaced(&pool, &replaced).await;
                let mut credentials = credentials(records);
                credentials.extend(kept_token.or(new_token).map(|token| (Reference::Gateway, token)));
                credentials.extend(own_key);
                let known = Some(Filling { credentials, secrets: PoolSecrets(secrets) });
                return Ok(Current { read, snapshot, configuration, known });
            }
            read = self.read_pool(&pool, generation).await?;
            *unpublished = unpublished.take().and_then(|unpublished| unpublished.unless_of(&read));
        }
        Err(ApiError::unavailable("a pool changes faster than its configuration is built"))
    }

    /// The pool's own key to the models as they are set now.
    async fn own_models_key(
        &self,
        read: &PoolConfiguration,
        generator: &Generator,
    ) -> Result<Option<ModelsKey>, StoreError> {
        match generator.models_of_each_pool() {
            Some(base_url) => self.store.models_key(read, base_url).await,
            None => Ok(None),
        }
    }

    fn new_gateway_token(&self) -> SecretString {
        let mut bytes = [0; GATEWAY_TOKEN_BYTES];
        self.randomness.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// `openclaw.json` with the credentials in their places, and the pool's secrets: one round of calls, where they are not
    /// known. `None` where a credential is not of that revision any more.
    pub async fn filled(
        &self,
        current: &mut Current,
        generator: &Generator,
    ) -> Result<Option<(Value, PoolSecrets)>, ApiError> {
        let filling = match current.known.take() {
            Some(filling) => filling,
            None => match self.read_filling(current, generator).await? {
                Some(filling) => filling,
                None => return Ok(None),
            },
        };
        let credential = |reference: &Reference| match reference {
            Reference::LiteLlm { revision } if generator.models_of_each_pool().is_none() => {
                generator.shared_key(*revision)
            }
            _ => filling.credentials.get(reference).map(SecretString::expose_secret),
        };
        let config = current.configuration.fill(&credential).ok();
        Ok(config.map(|config| (config, filling.secrets)))
    }

    /// What may be filled into this pool's configurations today, whatever they name: the credentials of connected channels of the
    /// pool's own active bots. Two rounds of calls.
    pub async fn filling_of_today(&self, read: &PoolConfiguration, generator: &Generator) -> Result<Filling, ApiError> {
        let (records, secrets, gateway_token, models_key) = tokio::try_join!(
            self.store.pool_records(&read.pool),
            self.store.secrets_of_pool(&read.pool.id),
            self.store.gateway_token(read),
            self.own_models_key(read, generator)
        )?;
        let mut credentials = credentials(records);
        credentials.extend(gateway_token.map(|token| (Reference::Gateway, token)));
        credentials.extend(models_key.map(|key| (reference_to(&key), key.key)));
        Ok(Filling { credentials, secrets: PoolSecrets(secrets) })
    }

    async fn read_filling(&self, current: &Current, generator: &Generator) -> Result<Option<Filling>, ApiError> {
        let (ids, references) = channel_references(current.configuration.references());
        let (found, secrets, gateway_token, models_key) = tokio::try_join!(
            self.store.credentials(&ids),
            self.store.secrets_of_pool(&current.read.pool.id),
            self.store.gateway_token(&current.read),
            self.own_models_key(&current.read, generator)
        )?;
        let mut credentials = BTreeMap::new();
        for ((reference, revision), credential) in references.into_iter().zip(found) {
            let Some(credential) = credential.filter(|credential| credential.revision == revision) else {
                return Ok(None);
            };
            credentials.insert(reference, credential.value);
        }
        credentials.extend(gateway_token.map(|token| (Reference::Gateway, token)));
        credentials.extend(models_key.map(|key| (reference_to(&key), key.key)));
        Ok(Some(Filling { credentials, secrets: PoolSecrets(secrets) }))
    }
}

/// What a snapshot holds.
pub fn unpacked(snapshot: &Snapshot) -> Result<Configuration, ApiError> {
    Configuration::from_bytes(&snapshot.config).map_err(|error| ApiError::internal(error.to_string()))
}

/// The channels' credentials that are referred to, and each one's reference with the revision that it must be of.
fn channel_references(references: BTreeSet<Reference>) -> (Vec<CredentialId>, Vec<(Reference, u64)>) {
    let channels = references.into_iter().filter_map(|reference| match &reference {
        Reference::Channel { channel, kind, revision } => {
            let id = CredentialId { channel: channel.clone(), kind: stored_kind(*kind) };
            let revision = *revision;
            Some((id, (reference, revision)))
        }
        Reference::Gateway | Reference::LiteLlm { .. } => None,
    });
    channels.unzip()
}

fn stored_kind(kind: CredentialKind) -> store::CredentialKind {
    match kind {
        CredentialKind::BotToken => store::CredentialKind::BotToken,
        CredentialKind::DeliverySecret => store::CredentialKind::DeliverySecret,
    }
}

fn built_kind(kind: store::CredentialKind) -> CredentialKind {
    match kind {
        store::CredentialKind::BotToken => CredentialKind::BotToken,
        store::CredentialKind::DeliverySecret => CredentialKind::DeliverySecret,
    }
}

/// Each credential that was read, behind what refers to it.
fn credentials(records: Vec<BotRecords>) -> BTreeMap<Reference, SecretString> {
    let channels = records.into_iter().flat_map(|bot| bot.channels);
    let each = channels.flat_map(|ChannelRecords { channel, credentials }| {
        credentials.into_iter().map(move |(kind, Credential { revision, value, .. })| {
            (Reference::Channel { channel: channel.id.clone(), kind: built_kind(kind), revision }, value)
        })
    });
    each.collect()
}

/// What a publication makes of the pool's own key to the models, and the aliases of keys that are to be ended after it.
fn models_key_change<'a>(
    read: &PoolConfiguration,
    generator: &Generator,
    new_key: Option<&'a ModelsKey>,
) -> (ModelsKeyChange<'a>, Vec<String>) {
    let left_over = read.left_over_models_keys();
    match new_key {
        Some(key) => {
            // What was left over has ended before this key was made.
            let replaced = read.pool.models_key_aliases.iter().filter(|alias| !left_over.contains(alias));
            (ModelsKeyChange::Set(key), replaced.cloned().collect())
        }
        None if generator.models_of_each_pool().is_some() => (ModelsKeyChange::Keep, left_over),
        // They are warned of once, since only a master key could end them.
        None if read.models_key_alias().is_some() => (ModelsKeyChange::Remove, read.pool.models_key_aliases.clone()),
        None => (ModelsKeyChange::Keep, Vec::new()),
    }
}

/// What a configuration is built of, still without models.
fn pool_records(pool: &Pool, records: &[BotRecords]) -> PoolRecords {
    let bots = records.iter().map(|records| bot_record(pool, records)).collect();
    PoolRecords { bots, bot_ids: pool.bots.clone(), lite_llm: None }
}

fn bot_record(pool: &Pool, records: &BotRecords) -> BotRecord {
    let bot = &records.bot;
    let channels = records.channels.iter().map(|ChannelRecords { channel, credentials }| {
        let credentials = credentials.iter().map(|(kind, credential)| (built_kind(*kind), credential.revision));
        let app_id = channel.app_id.to_string();
        let platform = match channel.platform {
            ChatPlatform::Slack => Platform::Slack,
            ChatPlatform::Discord => Platform::Discord { application_id: app_id },
            ChatPlatform::Feishu => {
                let by_webhook = channel.connection_mode == ConnectionMode::Webhook;
                let port = || webhook_port(&pool.bots, &bot.id, &bot.channels, &channel.id);
                Platform::Feishu { app_id, webhook_port: by_webhook.then(port) }
            }
        };
        ChannelRecord {
            id: channel.id.clone(),
            account: channel.account_id.clone(),
            platform,
            credentials: credentials.collect(),
        }
    });
    BotRecord {
        id: bot.id.clone(),
        name: bot.name.clone(),
        model: bot.model_id.clone(),
        system_prompt: bot.system_prompt.clone(),
        channels: channels.collect(),
    }
}

fn refuse(error: PublishError) -> ApiError {
    match error {
        PublishError::Store(error) => error.into(),
        PublishError::TooLarge(_) => ApiError::internal(error.to_string()),
    }
}

/// Whether the caller has what would be answered.
pub fn has(headers: &HeaderMap, etag: &str) -> bool {
    portcullis_runtime::etag::IfNoneMatch::from(headers).matches(etag)
}
