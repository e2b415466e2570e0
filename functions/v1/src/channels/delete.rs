//! `DELETE /v1/channels/{id}`: disconnects one of the caller's channels and deletes its credentials and its route. A
//! channel that the caller has joined stays, and the caller's membership ends.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::ChannelError;

use super::{ChannelPath, not_found};
use crate::app::{App, Deleted};

#[utoipa::path(
    delete,
    path = "/v1/channels/{id}",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Deleted), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    ChannelPath(channel): ChannelPath,
) -> Result<Json<Deleted>, ApiError> {
    match app.store.disconnect_channel(&caller.id, &channel).await {
        Ok(()) => Ok(Deleted::done()),
        Err(ChannelError::NotFound) => Err(not_found()),
        Err(ChannelError::Store(error)) => Err(error.into()),
    }
}
