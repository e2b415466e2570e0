//! `PATCH /api/internal/sessions/{id}`: updates a session.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_runtime::{
    ApiError,
    fields::{Count, Metadata, Time, Title, optional},
    json::Json,
    openapi, params,
    resources::Session,
    tier::Runtime,
};
use portcullis_store::{SessionChange, SessionError, SessionStatus};
use serde::Deserialize;

use crate::app::App;

/// Changes of a session. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionChange)]
pub struct Request {
    #[serde(default, deserialize_with = "optional")]
    title: Option<Title>,
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
    patch,
    path = "/api/internal/sessions/{id}",
    tag = "runtime",
    summary = "Update a session",
    params(("id" = String, Path)),
    request_body = Request,
    responses((status = 200, description = "The session", body = Session), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Runtime,
    mut parts: Parts,
    Json(request): Json<Request>,
) -> Result<axum::Json<Session>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    let change = SessionChange {
        title: request.title.map(|title| title.0),
        status: request.status,
        message_count: request.message_count.map(|count| count.0),
        last_message_at: request.last_message_at.map(|at| at.0),
        metadata: request.metadata.map(|metadata| metadata.0),
    };
    match app.store.change_session(caller.bots(), &id, &change).await {
        Ok(session) => Ok(axum::Json(session.into())),
        Err(SessionError::NotFound) => Err(ApiError::not_found("Session not found")),
        Err(SessionError::Revoked) => Err(Runtime::revoked()),
        Err(SessionError::Store(error)) => Err(error.into()),
    }
}
