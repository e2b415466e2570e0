//! `POST /api/feishu/events`, `POST /api/feishu/card-action`, and both with a channel's id: queues an event before
//! Feishu gets its 200.

use std::sync::Arc;

use axum::extract::State;
use portcullis_runtime::{ApiError, openapi, tier::Verified};
use serde_json::{Value, json};

use super::verify::FeishuRequest;
use crate::app::App;

/// The response is an empty object: any other response to a card's action would change the card.
#[utoipa::path(
    post,
    path = "/api/feishu/events",
    tag = "feishu",
    params(
        ("x-lark-signature" = Option<String>, Header),
        ("x-lark-request-timestamp" = Option<String>, Header),
        ("x-lark-request-nonce" = Option<String>, Header),
    ),
    request_body = Object,
    responses(
        (status = 200, description = "An empty object, or the challenge of a URL verification", body = Object),
        openapi::Refusals
    ),
    security(("feishuSignature" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    Verified(request): Verified<FeishuRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    match request {
        FeishuRequest::Challenge(challenge) => Ok(axum::Json(json!({ "challenge": challenge }))),
        FeishuRequest::Event(queued) => {
            app.queue_event(*queued).await?;
            Ok(axum::Json(json!({})))
        }
    }
}
