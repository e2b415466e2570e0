//! `GET /api/internal/pools`: lists the pools, terminated ones too.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_runtime::{
    ApiError, openapi,
    paging::{List, PageOf},
    tier::Operator,
};

use super::Response;
use crate::app::App;

#[utoipa::path(
    get,
    path = "/api/internal/pools",
    tag = "operator",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of the pools", body = PageOf<Response>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    parts: Parts,
) -> Result<Json<PageOf<Response>>, ApiError> {
    let list = List::new("pools", &[]);
    let request = list.page(&parts)?;
    let page = app.store.list_pools(request.limit, request.after).await?;
    let inputs = app.build_inputs();
    let items = page.items.into_iter().map(|pool| Response::new(pool, &inputs)).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(items, page.after)))
}
