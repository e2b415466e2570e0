//! `GET /v1/channels/slack/oauth-url`: begins an install of the platform's Slack app.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE, request::Parts};
use portcullis_auth::BotId;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, fields::InvalidField, openapi, origins::Origins, params, tier::User};
use portcullis_store::NewOauthState;
use serde::Serialize;

use super::browser_cookie::{self, BrowserCookie};
use crate::App;

/// Scopes that the bot asks for. Source: the contract, §5.
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

/// Random bytes of a state; it is written in hex.
const STATE_BYTES: usize = 32;

/// Longest path to return to, in characters.
const MAXIMUM_PATH_LENGTH: usize = 2048;

/// The page that asks for consent.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlackOauthUrl)]
pub(crate) struct Response {
    url: String,
    redirect_uri: String,
}

/// The digest under which a state is kept.
pub(super) fn digest(state: &str) -> Digest {
    Digest::of_parts(&[b"slack-install-state", state.as_bytes()])
}

/// A path of the front end, as browsers read it; `None` for whatever leads elsewhere.
fn front_end_path(origins: &Origins, text: &str) -> Option<String> {
    if !text.starts_with('/') || text.len() > MAXIMUM_PATH_LENGTH {
        return None;
    }
    let url = origins.redirect_target(text).filter(|url| url.origin() == origins.web().url().origin())?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("{}{query}{fragment}", url.path()))
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
    let cookie = BrowserCookie::new(app.origins.api().is_secure());
    let secret = cookie.read(&parts.headers).unwrap_or_else(|| BrowserCookie::new_secret(&*app.randomness));
    let mut bytes = [0; STATE_BYTES];
    app.randomness.fill(&mut bytes);
    let state = hex::encode(bytes);
    let new =
        NewOauthState { id: digest(&state), browser: browser_cookie::digest(&secret), user: caller.id, bot, return_to };
    app.store.put_oauth_state(&new).await?;
    let redirect_uri = app.redirect_uri()?;
    let url = app.slack.consent_page(&slack_client.id, &SCOPES, &redirect_uri, &state).into();
    let set_cookie: HeaderValue = cookie.set(&secret)?;
    Ok((HeaderMap::from_iter([(SET_COOKIE, set_cookie)]), Json(Response { url, redirect_uri })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_returns_to_a_path_of_the_front_end_alone() {
        let origin = |text: &str| text.parse().unwrap();
        let origins = Origins::new(
            origin("https://api.example.com"),
            origin("https://web.example.com"),
            &"https://o.test".parse().unwrap(),
        );
        let path = |text: &str| front_end_path(&origins, text);
        assert_eq!(path("/").as_deref(), Some("/"));
        assert_eq!(path("/a/../b?c=d#e").as_deref(), Some("/b?c=d#e"));
        for bad in [
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "javascript:alert(1)",
            "https://evil.test",
            "https://web.example.com/a",
            "https://o.test/",
            "//o.test/",
            "a",
            &format!("/{}", "a".repeat(2048)),
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
