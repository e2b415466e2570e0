//! `DELETE /api/internal/bots/{botId}`: deletes a bot for good, with its channels and their credentials.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};
use portcullis_store::{BotReach, DeleteBotError};

use super::{BotPath, not_found};
use crate::app::{App, Deleted};

#[utoipa::path(
    delete,
    path = "/api/internal/bots/{botId}",
    tag = "operator",
    params(("botId" = openapi::Id, Path)),
    responses((status = 200, description = "The bot is deleted", body = Deleted), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    BotPath(bot): BotPath,
) -> Result<Json<Deleted>, ApiError> {
    match app.store.delete_bot(BotReach::Any, &bot).await {
        Ok(()) => Ok(Json(Deleted { ok: true })),
        Err(DeleteBotError::NotFound) => Err(not_found()),
        Err(DeleteBotError::Store(error)) => Err(error.into()),
    }
}
