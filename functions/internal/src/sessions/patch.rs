//! `PATCH /api/internal/sessions/{id}`: updates a session.

use std::sync::Arc;

use axum::extract::State;
use http::request::Parts;
use portcullis_contract::{Metadata, SafeInteger, Time, Title};
use portcullis_runtime::{
    ApiError, fields::optional, json::StrictJson, openapi, params, resources::Session, tier::PoolMachine,
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
    status: Option<SessionStatus>,
    #[serde(default, deserialize_with = "optional")]
    message_count: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    last_message_at: Option<Time>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

#[utoipa::path(
    patch,
    path = "/api/internal/sessions/{id}",
    tag = "runtime",
    params(("id" = String, Path)),
    request_body = Request,
    responses((status = 200, description = "The session", body = Session), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    mut parts: Parts,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Session>, ApiError> {
    let id: String = params::path(&mut parts, "id").await?;
    let change = SessionChange {
        title: request.title,
        status: request.status,
        message_count: request.message_count,
        last_message_at: request.last_message_at,
        metadata: request.metadata,
    };
    match app.store.change_session(caller.bots(), &id, &change).await {
        Ok(session) => Ok(axum::Json(session.into())),
        Err(SessionError::NotFound) => Err(ApiError::not_found("Session not found")),
        Err(SessionError::Revoked) => Err(PoolMachine::revoked()),
        Err(SessionError::Store(error)) => Err(error.into()),
    }
}
