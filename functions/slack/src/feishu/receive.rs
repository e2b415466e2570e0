//! `POST /api/feishu/events` and `POST /api/feishu/card-action`, and both with a channel's id: an event is queued before Feishu
//! gets its 200.

use std::sync::Arc;

use axum::extract::{Request, State};
use portcullis_runtime::{ApiError, openapi};
use serde_json::{Value, json};

use super::verify::FeishuVerified;
use crate::{App, queueing::request_id};

/// The answer is an empty object: of a card's action, any other would change the card.
#[utoipa::path(
    post,
    path = "/api/feishu/events",
    tag = "feishu",
    summary = "Receive an event of a Feishu app that is connected by webhook",
    params(
        ("x-lark-signature" = Option<String>, Header),
        ("x-lark-request-timestamp" = Option<String>, Header),
        ("x-lark-request-nonce" = Option<String>, Header),
    ),
    request_body = Object,
    responses((status = 200, description = "The challenge of a URL check, else an empty object", body = Object), openapi::Refusals),
    security(("feishuSignature" = [])),
)]
pub async fn handle(State(app): State<Arc<App>>, mut request: Request) -> Result<axum::Json<Value>, ApiError> {
    let verified = request.extensions_mut().remove::<FeishuVerified>();
    match verified.ok_or_else(|| ApiError::internal("the route is not behind its tier"))? {
        FeishuVerified::Challenge(challenge) => Ok(axum::Json(json!({ "challenge": challenge }))),
        FeishuVerified::Event(queued) => {
            app.queue_event(*queued, request_id(&request)).await?;
            Ok(axum::Json(json!({})))
        }
    }
}
