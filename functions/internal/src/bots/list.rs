//! `GET /api/internal/bots`: lists the bots without their prompts.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_runtime::{
    ApiError, openapi,
    paging::{List, PageOf},
    tier::Operator,
};

use super::Listed;
use crate::app::App;

#[utoipa::path(
    get,
    path = "/api/internal/bots",
    tag = "operator",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of the bots", body = PageOf<Listed>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    parts: Parts,
) -> Result<Json<PageOf<Listed>>, ApiError> {
    let list = List::new("bots", &[]);
    let request = list.page(&parts)?;
    let page = app.store.list_bots(request.limit, request.after).await?;
    Ok(Json(list.answer(page.items.into_iter().map(Listed::from).collect(), page.after)))
}
