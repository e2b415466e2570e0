//! `DELETE /v1/bots/{id}`: deletes one of the caller's bots for good, with its channels, their credentials and routes.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::{BotReach, DeleteBotError};

use super::BotPath;
use crate::app::{App, Deleted, bot_not_found};

#[utoipa::path(
    delete,
    path = "/v1/bots/{id}",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Deleted), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    BotPath(bot): BotPath,
) -> Result<Json<Deleted>, ApiError> {
    match app.store.delete_bot(BotReach::Owner(&caller.id), &bot).await {
        Ok(()) => Ok(Deleted::done()),
        Err(DeleteBotError::NotFound) => Err(bot_not_found()),
        Err(DeleteBotError::Store(error)) => Err(error.into()),
    }
}
