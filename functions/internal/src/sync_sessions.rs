//! `POST /api/internal/sessions/sync-discord` and `…/sync-feishu`: conversations that a platform knows before anybody writes.
//!
//! No Discord or Feishu channel can be connected yet, so that there is nothing to list: the answer is 0 for every pool.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_auth::PoolId;
use portcullis_runtime::{ApiError, json::Json, openapi, tier::Runtime};
use serde::{Deserialize, Serialize};

use crate::{App, pool_not_found};

/// The pool whose bots' conversations are listed.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SyncSessions)]
pub struct Request {
    #[schema(value_type = openapi::Id)]
    pool_id: PoolId,
}

/// The number of sessions that were made or renewed.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SyncedSessions)]
pub struct Response {
    synced: u32,
}

#[utoipa::path(
    post,
    path = "/api/internal/sessions/sync-discord",
    operation_id = "syncDiscordSessions",
    tag = "runtime",
    summary = "Sync Discord sessions",
    request_body = Request,
    responses((status = 200, description = "The number of sessions that were synced", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn discord(
    state: State<Arc<App>>,
    caller: Runtime,
    request: Json<Request>,
) -> Result<Answer<Response>, ApiError> {
    sync(state, caller, request).await
}

#[utoipa::path(
    post,
    path = "/api/internal/sessions/sync-feishu",
    operation_id = "syncFeishuSessions",
    tag = "runtime",
    summary = "Sync Feishu sessions",
    request_body = Request,
    responses((status = 200, description = "The number of sessions that were synced", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn feishu(
    state: State<Arc<App>>,
    caller: Runtime,
    request: Json<Request>,
) -> Result<Answer<Response>, ApiError> {
    sync(state, caller, request).await
}

async fn sync(
    State(app): State<Arc<App>>,
    caller: Runtime,
    Json(Request { pool_id }): Json<Request>,
) -> Result<Answer<Response>, ApiError> {
    let generation = caller.reach(&pool_id)?;
    match app.store.generations(&pool_id).await? {
        Some(generations) if generation.is_none_or(|generation| generation == generations.runtime) => {
            Ok(Answer(Response { synced: 0 }))
        }
        Some(_) => Err(Runtime::revoked()),
        None => Err(pool_not_found(&pool_id)),
    }
}
