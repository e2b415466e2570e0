//! The endpoints that skills call: part of `/api/internal/*`, behind the skill token.
//!
//! A breach of this function is limited to what skills can call: it can read pools' secrets but not write them, cannot
//! change pools, and writes artifacts, feedback and the state of connected accounts.

mod app;
mod artifacts;
mod composio;
mod feedback;
mod secrets;
mod toolkit_versions;

use std::sync::Arc;

use axum::{Router, routing};
use portcullis_crypto::Domain;
use portcullis_runtime::{
    Environment, front, lambda,
    settings::{SettingsError, SettingsReader},
    tier::{self, Routes, SkillGate},
};
use portcullis_store::{SealedSecrets, Table};
use portcullis_upstream::{BaseUrl, Composio};

pub use app::DEADLINE;

use app::App;
use toolkit_versions::ToolkitVersions;

/// Base URL of Composio unless `COMPOSIO_API_URL` is set.
const COMPOSIO_API_URL: &str = "https://backend.composio.dev/";

/// Reads the settings, opens the connection to the store, and builds the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(environment: &Environment) -> Result<Router, SettingsError> {
    let settings = SettingsReader::new(environment);
    let (secrets, integrations, tokens, internal_token, token, composio) = tokio::join!(
        settings.keyring(Domain::PoolSecrets),
        settings.keyring(Domain::Integrations),
        settings.keyring(Domain::SkillTokens),
        settings.internal_token(),
        settings.skill_token(),
        settings.composio(),
    );
    settings.tokens_must_differ(&internal_token, &token);
    let (internal_mode, mode) = (settings.internal_token_mode(), settings.skill_token_mode());
    let store = settings.store([(Domain::PoolSecrets, &secrets), (Domain::Integrations, &integrations)]);
    let composio_at = settings.upstream("COMPOSIO_API_URL", COMPOSIO_API_URL).map(|base: BaseUrl| Composio::new(base));
    let origins = settings.origins();
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let gate = SkillGate {
            token: token?,
            mode: mode?,
            internal_token: internal_token?,
            internal_mode: internal_mode?,
            keyring: tokens?,
            clock: Arc::clone(&environment.clock),
        };
        let app = App {
            store: store?,
            sealed_secrets: SealedSecrets::default(),
            composio: composio_at?,
            composio_access: composio?,
            versions: ToolkitVersions::default(),
            origins: origins?,
            clock: Arc::clone(&environment.clock),
            randomness: Arc::clone(&environment.randomness),
        };
        Ok((app, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::Pools).await;
    let routes = Routes::new()
        .at("/api/internal/secrets/{skillName}", routing::get(secrets::get::handle))
        .at("/api/internal/artifacts", routing::post(artifacts::create::handle))
        .at("/api/internal/artifacts/{id}", routing::patch(artifacts::update::handle))
        .at("/api/internal/artifacts/check-domain", routing::post(artifacts::check_domain::handle))
        .at("/api/internal/composio/execute", routing::post(composio::execute::handle))
        .at("/api/internal/composio/disconnect", routing::post(composio::disconnect::handle))
        .at("/api/internal/feedback", routing::post(feedback::handle));
    let mounted = [tier::skill(&gate, Arc::new(app), routes)];
    let service = front::Service { commit_hash, ..front::Service::new("skills", DEADLINE, mounted) };
    Ok(service.router(environment))
}

/// This function's part of the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    secrets::get::handle,
    artifacts::create::handle,
    artifacts::update::handle,
    artifacts::check_domain::handle,
    composio::execute::handle,
    composio::disconnect::handle,
    feedback::handle,
))]
pub struct ApiDoc;
