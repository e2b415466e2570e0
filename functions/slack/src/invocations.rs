//! `POST /api/slack/interactions` and `POST /api/slack/commands`, and both with a channel's id: what a user does to an app is
//! queued before Slack gets its 200.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::StatusCode;
use portcullis_runtime::{ApiError, openapi};

use crate::{
    App,
    queueing::request_id,
    verify::{Verified, take_verified},
};

/// The body of the 200 is empty: Slack would show any other to the user as the command's answer.
#[utoipa::path(
    post,
    path = "/api/slack/interactions",
    tag = "slack",
    summary = "An interaction of a user with a Slack app",
    params(
        ("x-slack-signature" = String, Header),
        ("x-slack-request-timestamp" = String, Header),
    ),
    request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "accepted"), openapi::Refusals),
    security(("slackSignature" = [])),
)]
pub async fn handle(State(app): State<Arc<App>>, mut request: Request) -> Result<StatusCode, ApiError> {
    if let Verified::Event(queued) = take_verified(&mut request)? {
        app.queue_event(*queued, request_id(&request)).await?;
    }
    Ok(StatusCode::OK)
}
