//! `GET /v1/artifacts/stats`: counts the caller's artifacts by status and source.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use serde::Serialize;

use crate::app::App;

/// Counts of artifacts, over the newest 1,000 of each bot.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ArtifactStats)]
pub(crate) struct Response {
    total_artifacts: u64,
    live_count: u64,
    building_count: u64,
    failed_count: u64,
    coding_count: u64,
    content_count: u64,
    total_lines_of_code: u64,
}

#[utoipa::path(
    get,
    path = "/v1/artifacts/stats",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<Json<Response>, ApiError> {
    let stats = app.store.artifact_stats(&app.store.owned_bots(&caller.id).await?).await?;
    Ok(Json(Response {
        total_artifacts: stats.total,
        live_count: stats.live,
        building_count: stats.building,
        failed_count: stats.failed,
        coding_count: stats.coding,
        content_count: stats.content,
        total_lines_of_code: stats.lines_of_code,
    }))
}
