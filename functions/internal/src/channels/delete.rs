//! `DELETE /api/internal/channels/{channelId}`: deletes a channel with its credentials and its route.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};
use portcullis_store::{BotReach, ChannelError};

use super::{ChannelPath, not_found};
use crate::app::{App, Deleted};

#[utoipa::path(
    delete,
    path = "/api/internal/channels/{channelId}",
    tag = "operator",
    params(("channelId" = openapi::Id, Path)),
    responses((status = 200, description = "The channel is deleted", body = Deleted), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    ChannelPath(channel): ChannelPath,
) -> Result<Json<Deleted>, ApiError> {
    match app.store.delete_channel(BotReach::Any, &channel).await {
        Ok(()) => Ok(Json(Deleted { ok: true })),
        Err(ChannelError::NotFound) => Err(not_found()),
        Err(ChannelError::Store(error)) => Err(error.into()),
    }
}
