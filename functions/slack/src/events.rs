//! `POST /api/slack/events` and `POST /api/slack/events/{channelId}`: queues an event before Slack gets its 200.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use portcullis_auth::ChannelId;
use portcullis_runtime::{ApiError, metrics::Metric, openapi, tier::Verified};
use portcullis_store::{ChannelEnd, ChannelError, EndOutcome};
use serde_json::json;

use crate::{app::App, verify::SlackRequest};

#[utoipa::path(
    post,
    path = "/api/slack/events",
    tag = "slack",
    params(
        ("x-slack-signature" = String, Header),
        ("x-slack-request-timestamp" = String, Header),
    ),
    request_body = Object,
    responses(
        (status = 200, description = "Confirmation, or the challenge of a URL verification", body = Object),
        openapi::Refusals
    ),
    security(("slackSignature" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    Verified(request): Verified<SlackRequest>,
) -> Result<Response, ApiError> {
    match request {
        SlackRequest::Challenge(challenge) => return Ok(axum::Json(json!({ "challenge": challenge })).into_response()),
        SlackRequest::Nothing => {}
        SlackRequest::RateLimited(channel) => {
            app.metrics.count(Metric::AppRateLimited);
            tracing::warn!(%channel, "Slack holds back events: the app exceeded its rate limit");
            if let Err(error) = app.store.record_rate_limit(&channel).await {
                // Not an error: Slack repeats the notice each minute, and the metric has counted this one.
                tracing::warn!(%error, %channel, "the channel's status does not show its rate limit yet");
            }
        }
        SlackRequest::Ended(channel, end, happened_at) => end_channel(&app, &channel, end, happened_at).await?,
        SlackRequest::Event(queued) => app.queue_event(*queued).await?,
    }
    Ok(axum::Json(json!({ "ok": true })).into_response())
}

/// Ends a channel. A failure is a 503, so that Slack sends the event again.
async fn end_channel(app: &App, channel: &ChannelId, end: ChannelEnd, happened_at: Timestamp) -> Result<(), ApiError> {
    match app.store.end_channel(channel, end, happened_at).await {
        Ok(EndOutcome::Ended(status)) => {
            tracing::warn!(%channel, %status, "the channel has ended, and its bot token is deleted");
        }
        Ok(EndOutcome::AlreadyEnded) => tracing::info!(%channel, "the channel had ended before"),
        Ok(EndOutcome::ConnectedSince) => {
            tracing::info!(%channel, "the channel has been connected anew since, and stays as it is");
        }
        Err(ChannelError::NotFound) => tracing::info!(%channel, "the channel is no more"),
        Err(ChannelError::Store(error)) => return Err(error.into()),
    }
    Ok(())
}
