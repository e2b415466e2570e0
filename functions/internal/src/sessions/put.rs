//! `POST /api/internal/sessions`: creates or updates the session of a conversation.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError,
    fields::{Count, Label, Metadata, SessionKey, Time, Title, optional},
    json::Json,
    openapi,
    resources::Session,
    tier::Runtime,
};
use portcullis_store::{NewSession, SessionChange, SessionStatus};
use serde::Deserialize;

use crate::app::App;

/// A session as its runtime reports it. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSession)]
pub struct Request {
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    session_key: SessionKey,
    title: Title,
    #[serde(default, deserialize_with = "optional")]
    channel_type: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    channel_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<openapi::SessionStatus>)]
    status: Option<SessionStatus>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    message_count: Option<Count>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<openapi::Time>)]
    last_message_at: Option<Time>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

#[utoipa::path(
    post,
    path = "/api/internal/sessions",
    tag = "runtime",
    summary = "Create or update a session",
    request_body = Request,
    responses((status = 201, description = "The session", body = Session), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    Json(request): Json<Request>,
) -> Result<(StatusCode, axum::Json<Session>), ApiError> {
    let new = NewSession {
        bot: request.bot_id,
        session_key: request.session_key.0,
        channel_type: request.channel_type.map(|label| label.0),
        channel_id: request.channel_id.map(|label| label.0),
        change: SessionChange {
            title: Some(request.title.0),
            status: request.status,
            message_count: request.message_count.map(|count| count.0),
            last_message_at: request.last_message_at.map(|at| at.0),
            metadata: request.metadata.map(|metadata| metadata.0),
        },
    };
    let session = app.store.put_session(caller.bots(), &new).await.map_err(Runtime::refuse_bot)?;
    Ok((StatusCode::CREATED, axum::Json(session.into())))
}
