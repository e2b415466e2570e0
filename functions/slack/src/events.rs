//! `POST /api/slack/events` and `POST /api/slack/events/{channelId}`: an event is queued before Slack gets its 200.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use portcullis_runtime::{ApiError, front::RequestId, metrics::Metric, openapi, queue::NewMessage};
use serde_json::json;

use crate::{App, identity::Queued, verify::Verified};

#[utoipa::path(
    post,
    path = "/api/slack/events",
    tag = "slack",
    summary = "An event of the platform's own Slack app, or of any app whose team and app are connected",
    params(
        ("x-slack-signature" = String, Header),
        ("x-slack-request-timestamp" = String, Header),
    ),
    request_body = Object,
    responses((status = 200, description = "accepted", body = Object), openapi::Refusals),
    security(("slackSignature" = [])),
)]
pub async fn handle(State(app): State<Arc<App>>, mut request: Request) -> Result<Response, ApiError> {
    // Taken, not cloned: an event holds its body.
    let verified = request.extensions_mut().remove::<Verified>();
    let verified = verified.ok_or_else(|| ApiError::internal("the route is not behind its tier"))?;
    match verified {
        Verified::Challenge(challenge) => Ok(axum::Json(json!({ "challenge": challenge })).into_response()),
        Verified::ForNobody => Ok(accepted()),
        Verified::RateLimited(channel) => {
            app.metrics.count(Metric::AppRateLimited);
            tracing::warn!(%channel, "Slack holds back events: the app exceeded its rate limit");
            if let Err(error) = app.store.record_rate_limit(&channel).await {
                // Slack repeats the notice each minute, and the metric has counted this one.
                tracing::warn!(%error, %channel, "the channel's status does not show its rate limit yet");
            }
            Ok(accepted())
        }
        Verified::Event(queued) => {
            let request_id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
            let message = message(*queued, request_id.unwrap_or_default())?;
            // Whether the queue is away or refuses, to Slack it is the same: it is to send the event again.
            app.queue.send(&message).await.map_err(|error| ApiError::unavailable(error.to_string()))?;
            let (key, now) = (*message.deduplication.as_bytes(), app.clock.now());
            if app.queued.get(&key, now).is_some() {
                app.metrics.count(Metric::EventRepeated);
                tracing::info!("deduplicated: the event was queued before");
            } else {
                app.queued.insert(key, (), now);
                app.metrics.count(Metric::EventAccepted);
            }
            Ok(accepted())
        }
    }
}

fn message(queued: Queued, request_id: String) -> Result<NewMessage, ApiError> {
    let Queued { mut event, conversation } = queued;
    event.request_id = request_id;
    let (body, payload) = event.to_message().map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(NewMessage { group: conversation, deduplication: event.identity, body, payload })
}

fn accepted() -> Response {
    axum::Json(json!({ "ok": true })).into_response()
}
