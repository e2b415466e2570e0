//! `POST /v1/bots/{id}/pause` and `/resume`: pauses or resumes a bot. A paused bot gets no events and is in no
//! configuration.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_auth::{BotId, UserId};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::{BotReach, BotUpdate};

use super::{Bot, BotPath, refuse_update};
use crate::app::App;

#[utoipa::path(
    post,
    path = "/v1/bots/{id}/pause",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Bot), openapi::Refusals),
)]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    caller: User,
    BotPath(bot): BotPath,
) -> Result<Json<Bot>, ApiError> {
    app.set_paused(&caller.id, &bot, true).await
}

#[utoipa::path(
    post,
    path = "/v1/bots/{id}/resume",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Bot), openapi::Refusals),
)]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    caller: User,
    BotPath(bot): BotPath,
) -> Result<Json<Bot>, ApiError> {
    app.set_paused(&caller.id, &bot, false).await
}

impl App {
    async fn set_paused(&self, user: &UserId, bot: &BotId, paused: bool) -> Result<Json<Bot>, ApiError> {
        let update = BotUpdate { paused: Some(paused), ..BotUpdate::default() };
        Ok(Json(self.store.update_bot(BotReach::Owner(user), bot, &update).await.map_err(refuse_update)?.into()))
    }
}
