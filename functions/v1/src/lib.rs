//! The API of signed-in people: `/v1/*`, and the same routes under their older prefix `/api/v1/*`.
//!
//! One folder per resource, one file per endpoint. A call reaches only the person's own data: the store checks
//! ownership in the call that does the work, and another person's data looks absent. This function seals the
//! credentials with which people connect their bots. It holds no token of a pool, a skill or an operator, and no key
//! to make one.

mod app;
mod artifacts;
mod bots;
mod browser_cookie;
mod channels;
mod console;
mod integrations;
mod models;
mod policies;
mod profile;
mod return_path;
mod sessions;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing};
use portcullis_crypto::Domain;
use portcullis_runtime::{
    Environment, front, lambda, openapi,
    settings::{SettingsError, SettingsReader},
    tier::{self, BrowserGate, Mounted, Routes},
};
use portcullis_store::Table;
use portcullis_upstream::{BaseUrl, Composio, Discord, Feishu, LiteLlm, Slack};

use app::App;
use channels::slack::CALLBACK_PATH;
use models::Models;
use policies::policy_cache;

/// Deadline of a response: above the store's time-outs with retries and two calls to Slack, below API Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Base URL of Slack's Web API unless `SLACK_API_URL` is set.
const SLACK_API_URL: &str = "https://slack.com/api/";

/// Base URL of Composio unless `COMPOSIO_API_URL` is set.
const COMPOSIO_API_URL: &str = "https://backend.composio.dev/";

/// Reads the settings, opens the connection to the store, and builds the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(environment: &Environment) -> Result<Router, SettingsError> {
    let settings = SettingsReader::new(environment);
    let (signing, configuration, deliveries, integrations, secret, slack_client, lite_llm, composio) = tokio::join!(
        settings.keyring(Domain::SigningSecrets),
        settings.keyring(Domain::Configuration),
        settings.keyring(Domain::DeliverySecrets),
        settings.keyring(Domain::Integrations),
        settings.session_secret(),
        settings.slack_client(),
        settings.lite_llm(),
        settings.composio(),
    );
    let origins = settings.origins();
    let cookie = settings.session_cookie(&origins);
    let store = settings.store([
        (Domain::SigningSecrets, &signing),
        (Domain::Configuration, &configuration),
        (Domain::DeliverySecrets, &deliveries),
        (Domain::Integrations, &integrations),
    ]);
    let slack = settings.upstream("SLACK_API_URL", SLACK_API_URL).map(|base: BaseUrl| Slack::new(base));
    let discord = settings.upstream("DISCORD_API_URL", Discord::URL).map(|base: BaseUrl| Discord::new(base));
    let feishu = settings.upstream("FEISHU_API_URL", Feishu::URL).map(|base: BaseUrl| Feishu::new(base));
    let composio_at = settings.upstream("COMPOSIO_API_URL", COMPOSIO_API_URL).map(|base: BaseUrl| Composio::new(base));
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let (store, origins, clock) = (store?, origins?, Arc::clone(&environment.clock));
        let gate = BrowserGate {
            secret: secret?,
            cookie: cookie?,
            origins: Arc::clone(&origins),
            store: store.clone(),
            clock: Arc::clone(&clock),
        };
        let app = App {
            store,
            slack_client: slack_client?,
            lite_llm: lite_llm?,
            composio_access: composio?,
            models: Models::new(LiteLlm::default()),
            policies: policy_cache(),
            slack: slack?,
            discord: discord?,
            feishu: feishu?,
            composio: composio_at?,
            origins,
            clock,
            randomness: Arc::clone(&environment.randomness),
        };
        Ok((app, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::AuthSessions).await;
    let origins = Arc::clone(&app.origins);
    let mounted = mount(Arc::new(app), &gate);
    let service = front::Service {
        commit_hash,
        origins: Some(origins),
        pages: Some(console::pages()),
        ..front::Service::new("v1", DEADLINE, mounted)
    };
    Ok(service.router(environment))
}

/// Mounts each route under both prefixes.
macro_rules! under_both_prefixes {
    ($($path:literal => $methods:expr),+ $(,)?) => {
        Routes::new()$(.at(concat!("/v1", $path), $methods).at(concat!("/api/v1", $path), $methods))+
    };
}

fn mount(app: Arc<App>, gate: &BrowserGate) -> [Mounted; 2] {
    let routes = under_both_prefixes! {
        "/me" => routing::get(profile::get::handle).patch(profile::update::handle),
        "/models" => routing::get(models::handle),
        "/bots" => routing::get(bots::list::handle).post(bots::create::handle),
        "/bots/{id}" =>
            routing::get(bots::get::handle).patch(bots::update::handle).delete(bots::delete::handle),
        "/bots/{id}/pause" => routing::post(bots::pause::pause),
        "/bots/{id}/resume" => routing::post(bots::pause::resume),
        "/channels" => routing::get(channels::list::handle),
        "/channels/{id}" => routing::delete(channels::delete::handle),
        "/channels/{id}/status" => routing::get(channels::status::handle),
        "/channels/{id}/readiness" => routing::get(channels::readiness::handle),
        "/channels/discord/connect" => routing::post(channels::discord::connect::handle),
        "/channels/feishu/connect" => routing::post(channels::feishu::connect::handle),
        "/channels/slack/connect" => routing::post(channels::slack::connect::handle),
        "/channels/slack/oauth-url" => routing::get(channels::slack::oauth_url::handle),
        "/channels/slack/redirect-uri" => routing::get(channels::slack::redirect_uri::handle),
        "/integrations" => routing::get(integrations::list::handle),
        "/integrations/connect" => routing::post(integrations::connect::handle),
        "/integrations/{id}" => routing::delete(integrations::delete::handle),
        "/integrations/{id}/refresh" => routing::post(integrations::refresh::handle),
        "/sessions" => routing::get(sessions::list::handle),
        "/sessions/{id}" => routing::get(sessions::get::handle),
        "/artifacts" => routing::get(artifacts::list::handle),
        "/artifacts/stats" => routing::get(artifacts::stats::handle),
        "/artifacts/{id}" => routing::get(artifacts::get::handle)
            .patch(artifacts::update::handle)
            .delete(artifacts::delete::handle),
    };
    let pages = under_both_prefixes! {
        "/integrations/connect/{linkId}" => routing::get(integrations::open_link::handle),
    };
    let pages = pages.at(CALLBACK_PATH, routing::get(channels::slack::callback::handle));
    [tier::browser(gate, Arc::clone(&app), pages), tier::user(gate, app, routes)]
}

/// This function's part of the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        profile::get::handle,
        profile::update::handle,
        models::handle,
        bots::list::handle,
        bots::create::handle,
        bots::get::handle,
        bots::update::handle,
        bots::delete::handle,
        bots::pause::pause,
        bots::pause::resume,
        channels::list::handle,
        channels::delete::handle,
        channels::status::handle,
        channels::readiness::handle,
        channels::discord::connect::handle,
        channels::feishu::connect::handle,
        channels::slack::connect::handle,
        channels::slack::redirect_uri::handle,
        channels::slack::oauth_url::handle,
        channels::slack::callback::handle,
        integrations::list::handle,
        integrations::connect::handle,
        integrations::refresh::handle,
        integrations::delete::handle,
        integrations::open_link::handle,
        sessions::list::handle,
        sessions::get::handle,
        artifacts::list::handle,
        artifacts::stats::handle,
        artifacts::get::handle,
        artifacts::update::handle,
        artifacts::delete::handle,
    ),
    components(schemas(openapi::Error))
)]
pub struct ApiDoc;
