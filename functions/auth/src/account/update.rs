//! `POST /api/auth/update-user`: changes the name or the picture.

use std::sync::Arc;

use axum::extract::State;
use portcullis_runtime::{
    ApiError, ErrorCode,
    fields::{
        change,
        person::{PersonName, Picture},
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{Change, ProfileChange};
use serde::Deserialize;

use crate::{answer::Status, app::App, error};

/// Changes of a profile. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = UpdateUser)]
pub(crate) struct Request {
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>)]
    image: Change<Picture>,
    email: Option<String>,
}

#[utoipa::path(
    post,
    path = "/api/auth/update-user",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Status), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Status>, ApiError> {
    if request.email.is_some() {
        return Err(ApiError::bad_request(ErrorCode::EmailCanNotBeUpdated, "Email can not be updated"));
    }
    let change = ProfileChange { name: request.name.map(|name| name.0), image: request.image.map(|image| image.0) };
    if change == ProfileChange::default() {
        return Err(ApiError::bad_request(ErrorCode::NoFieldsToUpdate, "No fields to update"));
    }
    app.store.change_profile(&caller.id, &change).await.map_err(error::refuse_user)?;
    Ok(Status::done())
}
