//! `GET /api/internal/channels/{channelId}`: returns a channel.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::Operator};

use super::{ChannelPath, Response, not_found};
use crate::app::App;

#[utoipa::path(
    get,
    path = "/api/internal/channels/{channelId}",
    tag = "operator",
    params(("channelId" = openapi::Id, Path)),
    responses((status = 200, description = "The channel", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    ChannelPath(channel): ChannelPath,
) -> Result<Json<Response>, ApiError> {
    let channel = app.store.get_living_channel(&channel).await?;
    Ok(Json(channel.ok_or_else(not_found)?.into()))
}
