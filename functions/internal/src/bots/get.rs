//! `GET /api/internal/bots/{botId}`: returns a bot.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};
use portcullis_store::BotStatus;

use super::{BotPath, Response, not_found};
use crate::app::App;

#[utoipa::path(
    get,
    path = "/api/internal/bots/{botId}",
    tag = "operator",
    params(("botId" = openapi::Id, Path)),
    responses((status = 200, description = "The bot", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    BotPath(bot): BotPath,
) -> Result<Json<Response>, ApiError> {
    let bot = app.store.get_bot(&bot).await?.filter(|bot| bot.status != BotStatus::Deleted);
    Ok(Json(bot.ok_or_else(not_found)?.into()))
}
