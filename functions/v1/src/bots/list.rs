//! `GET /v1/bots`: lists the caller's bots, oldest first.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use serde::Serialize;

use super::Bot;
use crate::app::App;

/// The caller's bots. There are at most 50, so the list has no pages.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OwnBots)]
pub(crate) struct Response {
    bots: Vec<Bot>,
}

#[utoipa::path(
    get,
    path = "/v1/bots",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<Json<Response>, ApiError> {
    let bots = app.store.bots_of(&caller.id).await?;
    Ok(Json(Response { bots: bots.into_iter().map(Bot::from).collect() }))
}
