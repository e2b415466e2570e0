//! `GET /v1/channels`: lists the channels of the caller's bots, and those that the caller has joined.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use serde::Serialize;

use super::Channel;
use crate::app::App;

/// The caller's channels. A bot has at most 20 channels; a person has at most 50 bots and 100 joined channels. The
/// list therefore has no pages.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OwnChannels)]
pub(crate) struct Response {
    channels: Vec<Channel>,
}

#[utoipa::path(
    get,
    path = "/v1/channels",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<Json<Response>, ApiError> {
    let channels = app.store.channels_of(&caller.id).await?;
    Ok(Json(Response { channels: channels.into_iter().map(Channel::from).collect() }))
}
