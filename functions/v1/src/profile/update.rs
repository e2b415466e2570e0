//! `PATCH /v1/me`: changes the caller's name or picture.

use std::sync::Arc;

use axum::extract::State;
use portcullis_runtime::{
    ApiError,
    fields::{
        change, optional,
        person::{PersonName, Picture},
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{Change, ProfileChange, UserError};
use serde::{Deserialize, Serialize};

use super::Profile;
use crate::app::App;

/// Changes of a profile. An absent field keeps its value; a picture of `null` is removed.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = ProfileChange)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    name: Option<PersonName>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Picture>)]
    image: Change<Picture>,
}

/// The profile after the change.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ProfileChanged)]
pub(crate) struct Response {
    ok: bool,
    profile: Profile,
}

#[utoipa::path(
    patch,
    path = "/v1/me",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let change = ProfileChange { name: request.name.map(|name| name.0), image: request.image.map(|image| image.0) };
    let changed = async {
        app.store.change_profile(&caller.id, &change).await.map_err(|error| match error {
            UserError::NotFound => ApiError::unauthenticated("Unauthorized"),
            UserError::Store(error) => error.into(),
        })
    };
    let has_channel = async { app.store.has_channel(&caller.id).await.map_err(ApiError::from) };
    let (user, has_channel) = tokio::try_join!(changed, has_channel)?;
    let profile = Profile::new(user, has_channel);
    Ok(axum::Json(Response { ok: true, profile }))
}
