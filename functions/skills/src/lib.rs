//! What a skill does: the skill rows of `/api/internal/*`, behind the skill token.
//!
//! A hole here is a hole in what skills can call, and in nothing else: this function can read pools' secrets, and can write
//! none, nor anything of a pool. What it writes are artifacts and feedback.

mod artifact;
mod artifacts;
mod check_domain;
mod composio;
mod feedback;
mod get_secrets;
mod session_ref;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing};
use portcullis_auth::BotId;
use portcullis_crypto::Domain;
use portcullis_runtime::{
    ApiError, Platform, front, lambda,
    settings::{SettingsError, SettingsReader},
    tier::{self, Routes, Skill, SkillGate},
};
use portcullis_store::{Store, Table};

/// How long an answer may take: longer than the store's own time-outs and retries take, shorter than API Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// What the handlers work with.
struct App {
    store: Store,
}

/// Reads the settings, opens the connection to the store, and makes the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(platform: &Platform) -> Result<Router, SettingsError> {
    let mut settings = SettingsReader::new(platform);
    let (secrets, tokens, internal_token, token) = tokio::join!(
        settings.keyring(Domain::PoolSecrets),
        settings.keyring(Domain::SkillTokens),
        settings.internal_token(),
        settings.skill_token(),
    );
    let (secrets, tokens) = (settings.secret_outcome(secrets), settings.secret_outcome(tokens));
    let internal_token = settings.secret_outcome(internal_token);
    let token = settings.secret_outcome(token);
    settings.tokens_must_differ(&internal_token, &token);
    let (internal_mode, mode) = (settings.internal_token_mode(), settings.skill_token_mode());
    let store = settings.store([(Domain::PoolSecrets, &secrets)]);
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let gate = SkillGate {
            token: token?,
            mode: mode?,
            internal_token: internal_token?,
            internal_mode: internal_mode?,
            keyring: tokens?,
            clock: Arc::clone(&platform.clock),
        };
        Ok((App { store: store? }, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::Pools).await;
    let routes = Routes::new()
        .at("/api/internal/secrets/{skillName}", routing::get(get_secrets::handle))
        .at("/api/internal/artifacts", routing::post(artifacts::handle))
        .at("/api/internal/artifacts/{id}", routing::patch(artifact::handle))
        .at("/api/internal/artifacts/check-domain", routing::post(check_domain::handle))
        .at("/api/internal/composio/execute", routing::post(composio::execute))
        .at("/api/internal/composio/disconnect", routing::post(composio::disconnect))
        .at("/api/internal/feedback", routing::post(feedback::handle));
    let mounted = [tier::skill(&gate, Arc::new(app), routes)];
    Ok(front::serve("skills", platform, commit_hash.as_deref(), DEADLINE, mounted))
}

impl App {
    /// A refusal, unless the caller is to be told first that the bot is none of its own.
    async fn unless_bot_is_refused(&self, caller: &Skill, bot: &BotId, refusal: ApiError) -> ApiError {
        self.store.check_bot(caller.bots(), bot).await.map_or_else(Skill::refuse_bot, |()| refusal)
    }
}

/// What the `OpenAPI` document says of this function.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    get_secrets::handle,
    artifacts::handle,
    artifact::handle,
    check_domain::handle,
    composio::execute,
    composio::disconnect,
    feedback::handle,
))]
pub struct Described;
