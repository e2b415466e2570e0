//! `POST /api/internal/artifacts/check-domain`: checks whether a session may use a preview URL.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::BotId;
use portcullis_contract::{Label, SessionKey};
use portcullis_runtime::{ApiError, fields::optional, json::StrictJson, openapi, tier::Skill};
use portcullis_store::PreviewUrl;
use serde::{Deserialize, Serialize};

use super::{session::SessionSelector, to_api_error};
use crate::app::App;

/// A preview URL and the session that wants it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DomainQuestion)]
pub struct Request {
    bot_id: BotId,
    preview_url: PreviewUrl,
    #[serde(default, deserialize_with = "optional")]
    session_key: Option<SessionKey>,
    #[serde(default, deserialize_with = "optional")]
    chat_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    thread_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    channel_type: Option<Label>,
}

/// The URL is available. `existing_*` name the session's own artifact that already has the URL.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DomainAnswer)]
pub struct Response {
    available: bool,
    session_key: Option<String>,
    existing_artifact_id: Option<String>,
    existing_session_key: Option<String>,
}

#[utoipa::path(
    post,
    path = "/api/internal/artifacts/check-domain",
    tag = "skill",
    request_body = Request,
    responses(
        (status = 200, description = "The selected session, and its artifact that already has the URL", body = Response),
        openapi::Refusals
    ),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let Request { bot_id: bot, preview_url: url, channel_type, .. } = request;
    let selector =
        SessionSelector { session_key: request.session_key, chat_id: request.chat_id, thread_id: request.thread_id };
    let session = match selector.required(&bot) {
        Ok(session) => session,
        Err(refusal) => return Err(app.unless_bot_is_refused(&caller, &bot, refusal).await),
    };
    let channel_type = channel_type.as_ref().map(Label::as_str);
    let check = app.store.check_preview(caller.bots(), &bot, Some(&session), channel_type, &url);
    let check = check.await.map_err(to_api_error)?;
    let (existing_artifact_id, existing_session_key) =
        check.existing.map(|owner| (owner.artifact, owner.session_key)).unzip();
    Ok(axum::Json(Response {
        available: true,
        session_key: check.session_key,
        existing_artifact_id,
        existing_session_key: existing_session_key.flatten(),
    }))
}
