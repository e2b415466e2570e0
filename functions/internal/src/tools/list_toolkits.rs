//! `GET /api/internal/toolkits`: lists all toolkits, disabled ones too.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};
use serde::Serialize;

use super::ToolkitBody;
use crate::app::App;

/// The toolkits, in the catalogue's order. They are too few to need pages.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Toolkits)]
pub struct Response {
    items: Vec<ToolkitBody>,
    #[schema(required)]
    cursor: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/internal/toolkits",
    tag = "operator",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub async fn handle(State(app): State<Arc<App>>, _caller: Operator) -> Result<Json<Response>, ApiError> {
    let catalogue = app.store.catalogue().await?;
    let items = catalogue.in_order().into_iter().cloned().map(ToolkitBody::from).collect();
    Ok(Json(Response { items, cursor: None }))
}
