//! Receives the chat platforms' webhooks: Slack's at `/api/slack/events`, `/api/slack/interactions` and
//! `/api/slack/commands`, Feishu's at `/api/feishu/events` and `/api/feishu/card-action`. Each path also exists with a
//! channel's id.
//!
//! A request is parsed once, its channel is found, and its signature is verified over the raw bytes before anything
//! acts on it, and then for that channel alone. An accepted event is durably queued before the platform gets its 200.
//! This function reaches no pool; only this function reads the platforms' signing secrets.

mod app;
mod body;
mod channels;
mod events;
mod feishu;
mod form;
mod invocation_body;
mod invocations;
mod lenient;
mod look_ups;
mod queued;
mod verify;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing};
use portcullis_auth::Clock;
use portcullis_crypto::Domain;
use portcullis_runtime::{
    Environment,
    cache::Cache,
    front, lambda,
    queue::DEDUPLICATION_WINDOW,
    settings::{SettingsError, SettingsReader},
    tier::{self, Routes},
};
use portcullis_store::Table;

use crate::{
    app::{App, QUEUED_CAPACITY},
    channels::Channels,
    feishu::{FeishuChannels, FeishuDoor, FeishuGate, FeishuVerifier},
    verify::{Door, Gate, Verifier},
};

/// Deadline of a response. Slack gives up after 3 s; the whole response takes at most 2.5 s, which leaves room for the
/// way back.
pub const DEADLINE: Duration = Duration::from_millis(2300);

/// Reads the settings, opens the connections to the store and the queue, and builds the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(environment: &Environment) -> Result<Router, SettingsError> {
    let settings = SettingsReader::new(environment);
    let domain = Domain::SigningSecrets;
    let (keyring, slack_app) = tokio::join!(settings.keyring(domain), settings.slack_app());
    let store = settings.store([(domain, &keyring)]);
    let queue = settings.queue();
    let commit_hash = settings.commit_hash();
    let (verifier, feishu, app, commit_hash) = settings.finish(|| {
        let clock: Arc<dyn Clock> = Arc::clone(&environment.clock);
        let store = store?;
        let feishu_channels = FeishuChannels::new(store.clone(), Arc::clone(&clock));
        let feishu = FeishuVerifier::new(feishu_channels, Arc::clone(&clock), &*environment.randomness);
        let channels = Channels::new(store.clone(), Arc::clone(&clock));
        let verifier = Verifier::new(channels, slack_app?, clock, &*environment.randomness);
        let app = App {
            store,
            queue: queue?,
            metrics: environment.metrics.clone(),
            clock: Arc::clone(&environment.clock),
            queued: Cache::new(QUEUED_CAPACITY, DEDUPLICATION_WINDOW),
        };
        Ok((verifier, feishu, app, commit_hash?))
    })?;
    tokio::join!(lambda::warm_up(&app.store, Table::WebhookRoutes), app.queue.warm_up());
    let (verifier, feishu, app) = (Arc::new(verifier), Arc::new(feishu), Arc::new(app));
    let behind = |door: Door, routes: Routes<Arc<App>>| {
        tier::webhook(Arc::new(Gate::new(Arc::clone(&verifier), door)), Arc::clone(&app), routes)
    };
    let events = Routes::new()
        .at("/api/slack/events", routing::post(events::handle))
        .at("/api/slack/events/{channelId}", routing::post(events::handle));
    let interactions = Routes::new()
        .at("/api/slack/interactions", routing::post(invocations::handle))
        .at("/api/slack/interactions/{channelId}", routing::post(invocations::handle));
    let commands = Routes::new()
        .at("/api/slack/commands", routing::post(invocations::handle))
        .at("/api/slack/commands/{channelId}", routing::post(invocations::handle));
    let behind_feishu = |door: FeishuDoor, routes: Routes<Arc<App>>| {
        tier::webhook(Arc::new(FeishuGate::new(Arc::clone(&feishu), door)), Arc::clone(&app), routes)
    };
    let feishu_events = Routes::new()
        .at("/api/feishu/events", routing::post(feishu::receive::handle))
        .at("/api/feishu/events/{channelId}", routing::post(feishu::receive::handle));
    let card_actions = Routes::new()
        .at("/api/feishu/card-action", routing::post(feishu::receive::handle))
        .at("/api/feishu/card-action/{channelId}", routing::post(feishu::receive::handle));
    let mounted = [
        behind(Door::Events, events),
        behind(Door::Interactions, interactions),
        behind(Door::Commands, commands),
        behind_feishu(FeishuDoor::Events, feishu_events),
        behind_feishu(FeishuDoor::CardActions, card_actions),
    ];
    let service = front::Service { commit_hash, ..front::Service::new("slack", DEADLINE, mounted) };
    Ok(service.router(environment))
}

/// This function's part of the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(events::handle, invocations::handle, feishu::receive::handle))]
pub struct ApiDoc;
