//! `POST /api/internal/sessions`: creates or updates the session of a conversation.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::BotId;
use portcullis_contract::{Label, Metadata, SafeInteger, SessionKey, Time, Title};
use portcullis_runtime::{
    ApiError, fields::optional, json::StrictJson, openapi, resources::Session, tier::PoolMachine,
};
use portcullis_store::{NewSession, SessionChange, SessionStatus};
use serde::Deserialize;

use crate::app::App;

/// A session as its runtime reports it. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSession)]
pub struct Request {
    bot_id: BotId,
    session_key: SessionKey,
    title: Title,
    #[serde(default, deserialize_with = "optional")]
    channel_type: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    channel_id: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    status: Option<SessionStatus>,
    #[serde(default, deserialize_with = "optional")]
    message_count: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    last_message_at: Option<Time>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

#[utoipa::path(
    post,
    path = "/api/internal/sessions",
    tag = "runtime",
    request_body = Request,
    responses((status = 201, description = "The session", body = Session), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    StrictJson(request): StrictJson<Request>,
) -> Result<(StatusCode, axum::Json<Session>), ApiError> {
    let new = NewSession {
        bot: request.bot_id,
        session_key: request.session_key,
        channel_type: request.channel_type,
        channel_id: request.channel_id,
        change: SessionChange {
            title: Some(request.title),
            status: request.status,
            message_count: request.message_count,
            last_message_at: request.last_message_at,
            metadata: request.metadata,
        },
    };
    let session = app.store.put_session(caller.bots(), &new).await.map_err(PoolMachine::refuse_bot)?;
    Ok((StatusCode::CREATED, axum::Json(session.into())))
}
