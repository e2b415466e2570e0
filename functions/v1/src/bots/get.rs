//! `GET /v1/bots/{id}`: returns one of the caller's bots.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::BotReach;

use super::{Bot, BotPath};
use crate::app::{App, refuse_bot};

#[utoipa::path(
    get,
    path = "/v1/bots/{id}",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Bot), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    BotPath(bot): BotPath,
) -> Result<Json<Bot>, ApiError> {
    Ok(Json(app.store.bot_within(BotReach::Owner(&caller.id), &bot).await.map_err(refuse_bot)?.into()))
}
