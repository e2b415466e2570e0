//! `POST /api/slack/interactions`, `POST /api/slack/commands`, and both with a channel's id: queues an interaction or
//! a slash command before Slack gets its 200.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_runtime::{ApiError, openapi, tier::Verified};

use crate::{app::App, verify::SlackRequest};

/// The body of the 200 is empty: Slack would show any other body to the user as the command's response.
#[utoipa::path(
    post,
    path = "/api/slack/interactions",
    tag = "slack",
    params(
        ("x-slack-signature" = String, Header),
        ("x-slack-request-timestamp" = String, Header),
    ),
    request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Empty: the interaction is queued"), openapi::Refusals),
    security(("slackSignature" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    Verified(request): Verified<SlackRequest>,
) -> Result<StatusCode, ApiError> {
    if let SlackRequest::Event(queued) = request {
        app.queue_event(*queued).await?;
    }
    Ok(StatusCode::OK)
}
