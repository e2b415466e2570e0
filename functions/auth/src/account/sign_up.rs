//! `POST /api/auth/sign-up/email`: creates an unverified account.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::{Email, Password};
use portcullis_runtime::{
    ApiError,
    fields::{
        optional,
        person::{PersonName, Picture},
    },
    front,
    json::StrictJson,
    openapi,
};
use portcullis_store::{NewUser, SignedUp, User};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{answer, app::App, error, mails, verification_mail};

/// A new account's name, address and password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignUp)]
pub(crate) struct Request {
    #[schema(value_type = String)]
    name: PersonName,
    email: String,
    #[schema(value_type = String)]
    password: SecretString,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>)]
    image: Option<Picture>,
    #[serde(default, rename = "callbackURL")]
    callback_url: Option<String>,
}

/// The new account. A session needs a sign-in after the address is verified.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SignUpAnswer)]
pub(crate) struct Response {
    #[schema(value_type = Option<String>)]
    token: Option<()>,
    user: answer::User,
}

#[utoipa::path(
    post,
    path = "/api/auth/sign-up/email",
    tag = "browser",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let email: Email = request.email.parse().map_err(|_| error::invalid_email())?;
    let password = Password::chosen(request.password.expose_secret()).map_err(error::refuse_password)?;
    let callback = app.callback(request.callback_url.as_deref())?;
    let new = NewUser {
        id: front::new_request_id(&*app.randomness).parse().map_err(|_| ApiError::internal("a UUID is an id"))?,
        email: email.clone(),
        name: request.name.0,
        image: request.image.map(|image| image.0),
        password: Some(app.hasher.hash(password).await?),
        email_verified: false,
        created_at: None,
    };
    // Mails per address are limited. A sign-up without a mail left changes nothing, since it would invalidate the
    // codes and links mailed before. The response is the same, so that a stranger learns nothing.
    if app.take_mail(&email).await?.is_some() {
        tracing::warn!("a sign-up was left alone: its address has had its mails of this hour");
        return Ok(axum::Json(Response { token: None, user: User::unsaved(new, app.now()).into() }));
    }
    let user = match app.store.sign_up(&new).await? {
        SignedUp::Made { user, credential_revision } => {
            verification_mail::send(&app, &user.id, &email, credential_revision, callback.as_ref()).await?;
            user
        }
        SignedUp::Taken => {
            app.send(mails::already_signed_up(email, app.origins.web().url().as_str())).await?;
            User::unsaved(new, app.now())
        }
    };
    Ok(axum::Json(Response { token: None, user: user.into() }))
}
