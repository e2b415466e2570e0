//! `GET /v1/channels/{id}/status`: returns one of the caller's channels.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};

use super::{Channel, ChannelPath, not_found};
use crate::app::App;

#[utoipa::path(
    get,
    path = "/v1/channels/{id}/status",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Channel), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    ChannelPath(channel): ChannelPath,
) -> Result<Json<Channel>, ApiError> {
    let channel = app.store.channel_of(&caller.id, &channel).await?;
    Ok(Json(channel.ok_or_else(not_found)?.into()))
}
