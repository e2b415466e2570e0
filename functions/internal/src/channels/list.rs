//! `GET /api/internal/channels`: lists the channels of bots that are not deleted.

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
    path = "/api/internal/channels",
    tag = "operator",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of the channels", body = PageOf<Response>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    parts: Parts,
) -> Result<Json<PageOf<Response>>, ApiError> {
    let list = List::new("channels", &[]);
    let request = list.page(&parts)?;
    let page = app.store.list_channels(request.limit, request.after).await?;
    Ok(Json(list.answer(page.items.into_iter().map(Response::from).collect(), page.after)))
}
