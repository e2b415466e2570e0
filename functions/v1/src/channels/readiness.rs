//! `GET /v1/channels/{id}/readiness`: returns whether one of the caller's channels answers, and the first problem if
//! it does not.

use std::sync::Arc;

use axum::{Json, extract::State};
use jiff::{SignedDuration, Timestamp};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::{BotStatus, ChannelState, ChannelStatus, Pool, PoolStatus};
use serde::Serialize;

use super::{ChannelPath, not_found};
use crate::app::App;

/// Time for which Slack's last rate-limit notice counts as a problem.
const RATE_LIMIT_IS_TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Readiness of a channel. `ready` is all of `connected`, `running` and `configured`.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChannelReadiness)]
#[expect(clippy::struct_excessive_bools, reason = "the contract has them one by one")]
pub(crate) struct Response {
    ready: bool,
    /// The channel's credentials are valid, as far as Slack has reported.
    connected: bool,
    /// The bot is active and its pool takes deliveries.
    running: bool,
    /// The pool has fetched its current configuration.
    configured: bool,
    /// The first problem, in words; `null` if the channel answers.
    #[schema(required)]
    last_error: Option<&'static str>,
    /// The pool has sent a heartbeat within the last minute.
    gateway_connected: bool,
}

impl Response {
    fn new(state: &ChannelState, now: Timestamp) -> Self {
        let pool = state.pool.as_ref();
        let connected = state.channel.status == ChannelStatus::Connected;
        let gateway_connected = pool.is_some_and(|pool| pool.is_alive(now));
        let takes_deliveries = pool.is_some_and(|pool| {
            !matches!(pool.status, PoolStatus::Pending | PoolStatus::Unhealthy | PoolStatus::Terminated)
        });
        let running = state.bot.status == BotStatus::Active && gateway_connected && takes_deliveries;
        let configured = pool.is_some_and(Pool::has_fetched_its_configuration);
        let ready = connected && running && configured;
        Self { ready, connected, running, configured, last_error: problem(state, now), gateway_connected }
    }
}

/// Returns the first problem that keeps the channel from answering, in the order in which problems can be fixed.
fn problem(state: &ChannelState, now: Timestamp) -> Option<&'static str> {
    match state.channel.status {
        ChannelStatus::Error => return Some("Slack does not accept the bot token any more; connect the channel again"),
        ChannelStatus::Disconnected => return Some("The app was uninstalled from Slack; connect the channel again"),
        ChannelStatus::Pending => return Some("The channel is not connected yet"),
        ChannelStatus::Connected => {}
    }
    if state.bot.status == BotStatus::Paused {
        return Some("The bot is paused");
    }
    let Some(pool) = &state.pool else { return Some("The bot is in no pool") };
    if !pool.is_alive(now) {
        return Some("The bot's pool has not been heard from for more than a minute");
    }
    match pool.status {
        PoolStatus::Pending => return Some("The bot's pool is starting"),
        PoolStatus::Unhealthy => return Some("The bot's pool is unhealthy"),
        PoolStatus::Terminated => return Some("The bot's pool has ended"),
        PoolStatus::Active | PoolStatus::Degraded | PoolStatus::Draining => {}
    }
    if !pool.has_fetched_its_configuration() {
        return Some("The bot's pool has not fetched the newest configuration yet");
    }
    let is_limited = |at: Timestamp| now.duration_since(at) <= RATE_LIMIT_IS_TOLD_FOR;
    let limited = state.channel.rate_limited_at.is_some_and(is_limited);
    limited.then_some("Slack holds back events of this app, since there were too many")
}

#[utoipa::path(
    get,
    path = "/v1/channels/{id}/readiness",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    ChannelPath(channel): ChannelPath,
) -> Result<Json<Response>, ApiError> {
    let state = app.store.channel_state(&caller.id, &channel).await?.ok_or_else(not_found)?;
    Ok(Json(Response::new(&state, app.now())))
}
