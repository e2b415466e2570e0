//! The API of pools' runtimes and of the operator: `/api/internal/*` behind the internal token.
//!
//! One file per endpoint. This function seals secrets and issues bound tokens. It opens only the secrets of a pool's
//! configuration: the pool's own secrets, its channels' bot tokens and delivery secrets. It reaches no pool, and no
//! code of it opens a skill's secret. It seals the signing secrets of customers' Slack apps for the operator, and no
//! code of it opens one. With `LITELLM_MASTER_KEY` it makes the pools' keys to the models; `v1` uses the same key to
//! list models. It replaces expiring bot tokens with the client secret of the platform's own Slack app, which `v1`
//! uses to install the app.

mod app;
mod bot_tokens;
mod bots;
mod budget;
mod build_inputs;
mod channels;
mod config;
mod library;
mod library_versions;
mod models_keys;
mod openclaw_version;
mod pool_path;
mod pool_read;
mod pools;
mod sessions;
mod tokens;
mod tools;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing};
use portcullis_crypto::Domain;
use portcullis_openclaw::StateDir;
use portcullis_runtime::{
    Environment,
    documents::Documents,
    front, lambda, openapi,
    settings::{SettingsError, SettingsReader},
    tier::{self, InternalGate, Mounted, Routes},
};
use portcullis_store::Table;
use portcullis_upstream::{BaseUrl, Discord, Feishu, LiteLlm, Slack};

use crate::{app::App, library_versions::LibraryVersions};

/// Deadline of a response: above the store's time-outs with retries, below API Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The `OpenAPI` document of all functions, which this function serves.
const OPENAPI: &str = include_str!("../../../openapi.json");

/// Base URL of Slack's Web API unless `SLACK_API_URL` is set.
const SLACK_API_URL: &str = "https://slack.com/api/";

/// Reads the settings, opens the connection to the store, and builds the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(environment: &Environment) -> Result<Router, SettingsError> {
    let settings = SettingsReader::new(environment);
    let (signing, configuration, deliveries, secrets, runtime_tokens, skill_tokens, token, lite_llm, slack_client) = tokio::join!(
        settings.keyring(Domain::SigningSecrets),
        settings.keyring(Domain::Configuration),
        settings.keyring(Domain::DeliverySecrets),
        settings.keyring(Domain::PoolSecrets),
        settings.keyring(Domain::RuntimeTokens),
        settings.keyring(Domain::SkillTokens),
        settings.internal_token(),
        settings.lite_llm(),
        settings.slack_client(),
    );
    let mode = settings.internal_token_mode();
    let store = settings.store([
        (Domain::SigningSecrets, &signing),
        (Domain::Configuration, &configuration),
        (Domain::DeliverySecrets, &deliveries),
        (Domain::PoolSecrets, &secrets),
    ]);
    let networks = settings.pool_networks();
    let pool_state_dir = settings.pool_state_dir::<StateDir>();
    let slack = settings.upstream("SLACK_API_URL", SLACK_API_URL).map(|base: BaseUrl| Slack::new(base));
    let discord = settings.upstream("DISCORD_API_URL", Discord::URL).map(|base: BaseUrl| Discord::new(base));
    let feishu = settings.upstream("FEISHU_API_URL", Feishu::URL).map(|base: BaseUrl| Feishu::new(base));
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let (runtime_tokens, clock) = (runtime_tokens?, Arc::clone(&environment.clock));
        let keyring = runtime_tokens.clone();
        let gate = InternalGate { token: token?, mode: mode?, keyring, clock: Arc::clone(&clock) };
        let randomness = Arc::clone(&environment.randomness);
        let app = App {
            store: store?,
            configuration_keys: configuration?,
            runtime_token_keys: runtime_tokens,
            skill_token_keys: skill_tokens?,
            networks: networks?,
            pool_state_dir: pool_state_dir?.unwrap_or_default(),
            lite_llm: lite_llm?,
            lite_llm_client: LiteLlm::default(),
            slack: slack?,
            discord: discord?,
            feishu: feishu?,
            slack_client: slack_client?,
            library_versions: LibraryVersions::default(),
            clock,
            randomness,
        };
        Ok((app, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::Pools).await;
    let (mounted, documents) = (mount(Arc::new(app), &gate), Documents::new(OPENAPI));
    let service = front::Service {
        commit_hash,
        documents: Some(documents),
        ..front::Service::new("internal", DEADLINE, mounted)
    };
    Ok(service.router(environment))
}

fn mount(app: Arc<App>, gate: &InternalGate) -> [Mounted; 3] {
    let registration = Routes::new().at("/api/internal/pools/register", routing::post(pools::register::handle));
    let operator = Routes::new()
        .at(
            "/api/internal/pools/{poolId}/secrets",
            routing::put(pools::put_secrets::handle).get(pools::list_secrets::handle),
        )
        .at(
            "/api/internal/pools/{poolId}/runtime-tokens",
            routing::post(tokens::runtime::issue).delete(tokens::runtime::revoke),
        )
        .at(
            "/api/internal/pools/{poolId}/tool-policy",
            routing::get(tools::get_policy::handle).put(tools::put_policy::handle),
        )
        .at("/api/internal/toolkits", routing::get(tools::list_toolkits::handle))
        .at(
            "/api/internal/toolkits/{slug}",
            routing::put(tools::put_toolkit::handle).delete(tools::delete_toolkit::handle),
        )
        .at("/api/internal/pools", routing::get(pools::list::handle))
        .at("/api/internal/pools/{poolId}", routing::get(pools::get::handle))
        .at("/api/internal/bots", routing::get(bots::list::handle))
        .at(
            "/api/internal/bots/{botId}",
            routing::put(bots::put::handle).get(bots::get::handle).delete(bots::delete::handle),
        )
        .at("/api/internal/channels", routing::get(channels::list::handle))
        .at(
            "/api/internal/channels/{channelId}",
            routing::put(channels::put::handle).get(channels::get::handle).delete(channels::delete::handle),
        )
        .at("/api/internal/skills", routing::get(library::list::skills))
        .at("/api/internal/skills/{name}", routing::put(library::put_skill::handle).delete(library::delete::skill))
        .at("/api/internal/workspace-templates", routing::get(library::list::templates))
        .at(
            "/api/internal/workspace-templates/{name}",
            routing::put(library::put_template::handle).delete(library::delete::template),
        );
    let runtime = Routes::new()
        .at("/api/internal/pools/heartbeat", routing::post(pools::heartbeat::handle))
        .at(
            "/api/internal/pools/{poolId}/skill-tokens",
            routing::post(tokens::skill::issue).delete(tokens::skill::revoke),
        )
        .at("/api/internal/pools/{poolId}/check-slack-tokens", routing::post(pools::check_slack_tokens::handle))
        .at("/api/internal/pools/{poolId}/config", routing::get(config::openclaw_json::handle))
        .at("/api/internal/pools/{poolId}/config/latest", routing::get(config::latest::handle))
        .at("/api/internal/pools/{poolId}/config/versions/{version}", routing::get(config::version::handle))
        .at("/api/internal/skills/latest", routing::get(library::latest_skills::handle))
        .at("/api/internal/workspace-templates/latest", routing::get(library::latest_templates::handle))
        .at("/api/internal/sessions", routing::post(sessions::put::handle))
        .at("/api/internal/sessions/sync-discord", routing::post(sessions::sync::discord::handle))
        .at("/api/internal/sessions/sync-feishu", routing::post(sessions::sync::feishu::handle))
        .at("/api/internal/sessions/{id}", routing::patch(sessions::patch::handle));
    [
        tier::registration(gate, Arc::clone(&app), registration),
        tier::operator(gate, Arc::clone(&app), operator),
        tier::internal(gate, app, runtime),
    ]
}

/// This function's part of the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        pools::register::handle,
        pools::heartbeat::handle,
        pools::put_secrets::handle,
        tokens::skill::issue,
        tokens::skill::revoke,
        tokens::runtime::issue,
        tokens::runtime::revoke,
        pools::check_slack_tokens::handle,
        sessions::sync::discord::handle,
        sessions::sync::feishu::handle,
        config::openclaw_json::handle,
        config::latest::handle,
        config::version::handle,
        pools::list::handle,
        pools::get::handle,
        pools::list_secrets::handle,
        bots::list::handle,
        bots::put::handle,
        bots::get::handle,
        bots::delete::handle,
        channels::list::handle,
        channels::put::handle,
        channels::get::handle,
        channels::delete::handle,
        library::list::skills,
        library::put_skill::handle,
        library::delete::skill,
        library::list::templates,
        library::put_template::handle,
        library::delete::template,
        library::latest_skills::handle,
        library::latest_templates::handle,
        sessions::put::handle,
        sessions::patch::handle,
        tools::list_toolkits::handle,
        tools::put_toolkit::handle,
        tools::delete_toolkit::handle,
        tools::get_policy::handle,
        tools::put_policy::handle,
    ),
    components(schemas(openapi::Error, openapi::SkillFolder, openapi::TemplateName))
)]
pub struct ApiDoc;
