//! `POST /api/internal/sessions`: a runtime tells of a conversation.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError,
    fields::{Count, Label, Metadata, SessionKey, Time, Title, optional},
    json::Json,
    openapi,
    tier::Runtime,
};
use portcullis_store::{NewSession, Session, SessionChange, SessionStatus};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::App;

/// What a runtime knows of a conversation; what is absent keeps its value.
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

/// A conversation, as the contract has it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct Response {
    id: String,
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    session_key: String,
    channel_type: Option<String>,
    channel_id: Option<String>,
    title: String,
    #[schema(value_type = openapi::SessionStatus)]
    status: SessionStatus,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    message_count: u64,
    last_message_at: Option<String>,
    #[schema(value_type = serde_json::Value)]
    metadata: Box<RawValue>,
    created_at: String,
    updated_at: String,
}

impl From<Session> for Response {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            bot_id: session.bot,
            session_key: session.session_key,
            channel_type: session.channel_type,
            channel_id: session.channel_id,
            title: session.title,
            status: session.status,
            message_count: session.message_count,
            last_message_at: session.last_message_at.map(|at| format!("{at:.3}")),
            metadata: Metadata::answered(session.metadata.as_deref()),
            created_at: format!("{:.3}", session.created_at),
            updated_at: format!("{:.3}", session.updated_at),
        }
    }
}

#[utoipa::path(
    post,
    path = "/api/internal/sessions",
    tag = "runtime",
    summary = "Keeps what a conversation is about",
    request_body = Request,
    responses((status = 201, description = "done", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    Json(request): Json<Request>,
) -> Result<(StatusCode, axum::Json<Response>), ApiError> {
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
