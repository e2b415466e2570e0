//! `DELETE /api/internal/toolkits/{slug}`: reverts a change of a standard toolkit, or removes an added one.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};

use super::ToolkitPath;
use crate::app::{App, Deleted};

#[utoipa::path(
    delete,
    path = "/api/internal/toolkits/{slug}",
    tag = "operator",
    params(("slug" = portcullis_toolkits::ToolkitSlug, Path)),
    responses((status = 200, body = Deleted), openapi::Refusals),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    ToolkitPath(slug): ToolkitPath,
) -> Result<Json<Deleted>, ApiError> {
    app.store.delete_toolkit_change(&slug).await?;
    Ok(Json(Deleted { ok: true }))
}
