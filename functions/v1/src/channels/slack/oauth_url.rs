//! `GET /v1/channels/slack/oauth-url`: begins an install of the platform's Slack app.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE, request::Parts};
use portcullis_auth::BotId;
use portcullis_contract::InvalidField;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, openapi, params, tier::User};
use portcullis_store::NewOauthState;
use serde::Serialize;

use crate::{
    app::App,
    browser_cookie::{Begun, BrowserCookie},
    return_path::front_end_path,
};

/// OAuth scopes of the bot. Source: the contract, §5.
const SCOPES: [&str; 17] = [
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:read",
    "chat:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "mpim:read",
    "files:read",
    "files:write",
    "reactions:write",
    "users:read",
    "users.profile:read",
];

/// Length of a state in bytes, before hex encoding.
const STATE_BYTES: usize = 32;

/// The consent page.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlackOauthUrl)]
pub(crate) struct Response {
    url: String,
    redirect_uri: String,
}

/// Returns the digest under which a state is stored.
pub(super) fn digest(state: &str) -> Digest {
    Digest::of_parts(&[b"slack-install-state", state.as_bytes()])
}

#[utoipa::path(
    get,
    path = "/v1/channels/slack/oauth-url",
    tag = "user",
    params(("returnTo" = Option<String>, Query, max_length = 2048), ("botId" = Option<openapi::Id>, Query)),
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    parts: Parts,
) -> Result<(HeaderMap, Json<Response>), ApiError> {
    let return_to = params::query::<String>(&parts, "returnTo")?.filter(|text| !text.is_empty());
    let refuse = || ApiError::invalid_field("returnTo", InvalidField::new("a path of the front end").to_string());
    let return_to = return_to.map(|text| front_end_path(&app.origins, &text).ok_or_else(refuse)).transpose()?;
    let named = params::query::<BotId>(&parts, "botId")?;
    let slack_client = app.slack_client()?;
    let bot = app.bot_to_connect(&caller.id, named).await?;
    let cookie = BrowserCookie::new(app.origins.api().is_secure(), Begun::Installs);
    let secret = cookie.read_or_new(&parts.headers, &*app.randomness);
    let mut bytes = [0; STATE_BYTES];
    app.randomness.fill(&mut bytes);
    let state = hex::encode(bytes);
    let new = NewOauthState { id: digest(&state), browser: cookie.digest(&secret), user: caller.id, bot, return_to };
    app.store.put_oauth_state(&new).await?;
    let redirect_uri = app.redirect_uri()?;
    let url = app.slack.consent_page(&slack_client.id, &SCOPES, &redirect_uri, &state).into();
    let set_cookie: HeaderValue = cookie.set(&secret)?;
    Ok((HeaderMap::from_iter([(SET_COOKIE, set_cookie)]), Json(Response { url, redirect_uri })))
}
